"""A bench on Ray: two nodes, one lost half-way, and what a lost cluster leaves. Needs ray."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness import run_bench
from harness.bench import BenchResult, Progress
from harness.files import write_text
from harness.suite import AgentEntry
from simulator.errors import RunError
from simulator.table_io import save
from tests.harness.helpers import AGENTS, program, same_results, toy_table

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
SEEDS = 36
OWN = (
    AGENTS
    + '''
from pathlib import Path
from uuid import uuid4


class Marks(Sweep):
    """Leaves one file for each search begun, named by the Ray node that it ran on.

    Where the file `hold` names that node, it says so in a file `held-...` and goes no further.
    """

    def __init__(self, card, rng, marks):
        super().__init__(card, rng)
        import ray

        self.pause, self.marks = 0.1 if ray.is_initialized() else 0.0, Path(marks)
        if self.pause:
            self.node = ray.get_runtime_context().get_node_id()
            self.name = f"{self.node}-{uuid4().hex}"
            (self.marks / self.name).touch()

    def ask(self):
        time.sleep(self.pause)
        hold = self.marks / "hold"
        if self.pause and hold.exists() and hold.read_text() == self.node:
            (self.marks / f"held-{self.name}").touch()
            time.sleep(600)
        return super().ask()


class Dies(Sweep):
    """Ends its process, as the system does where memory runs out."""

    def ask(self):
        os.kill(os.getpid(), 9)
'''
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the agents (importable in all processes), a table, and room for marks."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "code").mkdir()
    (folder / "code" / "own_agents.py").write_text(OWN)
    save(toy_table(outcomes=True), folder / "toy", card="# toy\n\nMade for tests.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "code"))
        patch.setenv("PYTHONPATH", f"{folder / 'code'}{os.pathsep}{ROOT}")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield folder


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def undisturbed(shared: Path, tmp_path: Path, marks: Path) -> Path:
    """The same bench with the backend `local`."""
    assert bench(shared, tmp_path / "local", marks).done == SEEDS
    return tmp_path / "local"


@pytest.fixture
def cluster(shared: Path) -> Iterator[Any]:
    """Two nodes on this machine: a head with one processor, and a worker with two."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=2)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def bench(shared: Path, out: Path, marks: Path, **settings: Any) -> BenchResult:
    agent = AgentEntry(name="own_agents:Marks", settings={"marks": str(marks)})
    return run_bench(
        out=out, agents=[agent.model_dump()], tables=[str(shared / "toy")], seeds=SEEDS, trials=6,
        **settings,
    )  # fmt: skip


def start(shared: Path, out: Path, marks: Path, **environment: str) -> subprocess.Popen[str]:
    """The same bench as a program, whose processes all carry the variable `AGENTTTS_MARK`."""
    suite = out.with_suffix(".toml")
    suite.write_text(
        f'seeds = {SEEDS}\ntrials = 6\ntables = ["{shared / "toy"}"]\n[[agents]]\n'
        f'name = "own_agents:Marks"\nsettings = {{ marks = "{marks}" }}\n'
    )
    return subprocess.Popen(
        program("bench", suite, "--backend", "ray", "--jobs", "3", "--out", out),
        env={**os.environ, **environment}, cwd=out.parent, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def cells_in(out: Path) -> int:
    return sum(1 for _ in (out / "cells").glob("[!.]*"))


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def carrying(mark: str) -> list[int]:
    """Live processes that were started with this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def visited() -> set[str]:
    """Nodes that three tasks run on: their worker processes are then there, however slow."""

    @ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
    def where() -> str:
        time.sleep(0.3)
        return str(ray.get_runtime_context().get_node_id())

    return set(ray.get([where.remote() for _ in range(3)]))


def test_the_loss_of_a_node_half_way_changes_nothing(
    shared: Path, cluster: Any, undisturbed: Path, marks: Path, tmp_path: Path
) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    (worker,) = cluster.worker_nodes
    nodes = {node["NodeID"] for node in ray.nodes()}
    (doomed,) = nodes - {ray.get_runtime_context().get_node_id()}
    wait_for(lambda: visited() == nodes)
    seen: list[Progress] = []

    def lose() -> None:
        """Hold what runs on the worker once a third is done, and end its node at that moment."""
        wait_for(lambda: bool(seen) and seen[-1].done >= SEEDS // 3)
        write_text(marks / "hold", doomed)
        wait_for(lambda: any(marks.glob("held-*")))
        at_loss.append(seen[-1])
        cluster.remove_node(worker, allow_graceful=False)

    at_loss: list[Progress] = []
    loss = threading.Thread(target=lose, daemon=True)
    loss.start()
    disturbed = bench(
        shared, tmp_path / "ray", marks, backend="ray", jobs=None, on_progress=seen.append
    )
    loss.join(60)
    assert (disturbed.done, disturbed.failed) == (SEEDS, ())
    assert at_loss[0].left > 0
    held = {path.name.split("-")[1] for path in marks.glob("held-*")}
    assert held == {doomed}, "it was at work when it was lost"
    begun = [path.name.partition("-")[0] for path in marks.glob("[!h]*-*")]
    assert set(begun) == nodes, "both nodes took part"
    assert len(begun) > SEEDS, "what ran on the lost node was run again"
    assert [node["NodeID"] for node in ray.nodes() if node["Alive"]] == list(nodes - {doomed})
    assert max(len(now.running) for now in seen) == 3, "as many at a time as there are processors"
    same_results(undisturbed, tmp_path / "ray")
    assert ray.is_initialized(), "a cluster that the caller joined is left joined"


def test_the_programme_joins_the_cluster_that_ray_address_names(
    shared: Path, cluster: Any, undisturbed: Path, marks: Path, tmp_path: Path
) -> None:
    process = start(shared, tmp_path / "ray", marks, RAY_ADDRESS=cluster.address)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "Overall" in out
    assert f"{SEEDS} run, 0 already there, 0 failed" in err
    ray.init(address=cluster.address, log_to_driver=False)
    nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    assert {path.name.partition("-")[0] for path in marks.iterdir()} <= nodes
    assert len(nodes) == 2, "the cluster outlives the bench"
    same_results(undisturbed, tmp_path / "ray")


def test_without_ray_address_a_cluster_of_its_own_comes_and_goes(
    shared: Path, undisturbed: Path, marks: Path, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    process = start(shared, tmp_path / "ray", marks, AGENTTTS_MARK=mark)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert f"{SEEDS} run" in err
    assert len({path.name.partition("-")[0] for path in marks.iterdir()}) == 1
    wait_for(lambda: not carrying(mark))
    same_results(undisturbed, tmp_path / "ray")


def test_a_cluster_that_is_lost_is_one_line_and_finished_cells_are_kept(
    shared: Path, cluster: Any, undisturbed: Path, marks: Path, tmp_path: Path
) -> None:
    process = start(shared, tmp_path / "ray", marks, RAY_ADDRESS=cluster.address)
    wait_for(lambda: process.poll() is not None or cells_in(tmp_path / "ray") > 6)
    cluster.shutdown()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    # Ray's own core may still log beside it, to the same stream.
    lines = [line for line in err.splitlines() if line.startswith("agenttts: ")]
    assert len(lines) == 1, err
    said = lines[0]
    assert said.startswith("agenttts: the Ray cluster is gone")
    assert said.endswith("finished cells are kept: run the same command again to go on")
    assert "Traceback" not in err
    kept = cells_in(tmp_path / "ray")
    assert 6 < kept < SEEDS
    assert not (tmp_path / "ray" / "summary.parquet").exists()
    assert bench(shared, tmp_path / "ray", marks).resumed == kept
    same_results(undisturbed, tmp_path / "ray")


def test_a_cluster_that_is_not_there_is_one_line(shared: Path, marks: Path, tmp_path: Path) -> None:
    process = start(shared, tmp_path / "ray", marks, RAY_ADDRESS="127.0.0.1:1")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("agenttts: the Ray cluster at 127.0.0.1:1 cannot be reached")
    assert "Traceback" not in err


def test_ctrl_c_ends_every_process_of_a_cluster_of_ones_own(
    shared: Path, marks: Path, tmp_path: Path
) -> None:
    mark, out = uuid.uuid4().hex, tmp_path / "ray"
    process = start(shared, out, marks, AGENTTTS_MARK=mark)
    wait_for(lambda: process.poll() is not None or cells_in(out) > 0)
    assert len(carrying(mark)) > 3, "there is a cluster to be ended"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; finished cells are kept" in err
    assert "Traceback" not in err
    assert 0 < cells_in(out) < SEEDS
    wait_for(lambda: not carrying(mark), 30)


def test_a_worker_that_dies_each_time_is_one_line_and_finished_cells_are_kept(
    shared: Path, cluster: Any, tmp_path: Path
) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    settings: dict[str, Any] = {"tables": [str(shared / "toy")], "seeds": 4, "trials": 6}
    with pytest.raises(RunError, match=r"lost its Ray worker or node 4 times \(out of memory\?\)"):
        run_bench(
            out=tmp_path, agents=["random", "own_agents:Dies"], backend="ray", jobs=1, **settings
        )
    assert cells_in(tmp_path) == 4
    assert run_bench(out=tmp_path, agents=["random"], **settings).resumed == 4
