"""Faults of the machine: a full disk, a read-only folder, a clock that jumps, a missing package."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from agents.llm import (
    Message,
    ModelError,
    Recorder,
    Recording,
    Reply,
    Request,
    Sampling,
    ScriptedModel,
)
from agents.registry import SHIPPED
from collectors.engines.scripted import ScriptedEngine
from collectors.errors import StoreError
from collectors.runner import collected, run
from collectors.store import Store
from collectors.sweep import Sweep
from harness import run_bench, run_search
from simulator import LookupTable, table_io
from simulator.errors import AgentTTSError, TableError
from simulator.table_format import SCORES
from simulator.verify import verify
from tests.collectors.conftest import *  # noqa: F403 - its sweep, store and engine
from tests.harness.conftest import *  # noqa: F403 - its table and agents
from tests.harness.helpers import toy_table
from tests.simulator import disk

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 256 KiB: a real full disk, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk but for about `leave` bytes."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return path


@pytest.mark.parametrize("leave", [0, 8192, 40_960])
def test_a_bench_on_a_full_disk_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, table: LookupTable, leave: int
) -> None:
    settings = {"tables": [table], "agents": ["random"], "seeds": 12, "trials": 20}
    ballast = fill(small_disk, leave)
    with pytest.raises(AgentTTSError, match=r"[Nn]o space left") as caught:
        run_bench(out=small_disk / "out", jobs=1, **settings)
    assert "\n" not in str(caught.value)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run_bench(out=small_disk / "out", jobs=1, **settings)
    run_bench(out=tmp_path / "whole", jobs=1, **settings)
    mended, whole = (f / "trials.parquet" for f in (small_disk / "out", tmp_path / "whole"))
    assert mended.read_bytes() == whole.read_bytes()
    assert not list((small_disk / "out").rglob(".tmp-*"))


def test_a_table_on_a_full_disk_is_not_half_written(small_disk: Path) -> None:
    fill(small_disk, 4096)
    with pytest.raises(TableError, match="No space left"):
        disk.save_small(small_disk / "t")
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast"]


def test_a_recording_on_a_full_disk_holds_whole_lines(small_disk: Path) -> None:
    path = small_disk / "run.jsonl"
    requests = [Request((Message("user", "x" * 3000),), Sampling(), {}, n, "t") for n in range(9)]
    recorder = Recorder(ScriptedModel([Reply("y" * 3000)] * 20, name="m"), path)
    recorder.reply(requests[0])
    ballast = fill(small_disk, 6000)
    with pytest.raises(ModelError, match="cannot write the recording: No space left"):
        _ = [recorder.reply(request) for request in requests[1:]]
    assert path.read_bytes().endswith(b"}\n"), "a part of a line was left"
    held = len(Recording.load(path).calls)
    ballast.unlink()
    again = Recorder(ScriptedModel([Reply("z")] * 20, name="m"), path)
    for request in requests:
        again.reply(request)
    assert 1 <= held < len(Recording.load(path).calls) == 9


def test_a_sweep_on_a_full_disk_goes_on_when_there_is_room(
    small_disk: Path, sweep: Sweep, engine: ScriptedEngine
) -> None:
    store = Store.open(small_disk / "out", sweep)
    ballast = fill(small_disk, 8192)
    with pytest.raises(StoreError, match="no space left on the disk"):
        run(sweep, store, engine)
    ballast.unlink()
    run(sweep, store, engine)
    assert collected(sweep, store).complete
    assert not list((small_disk / "out").rglob(".writing-*"))


def test_a_read_only_folder_is_one_line(small_disk: Path, table: LookupTable) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(AgentTTSError, match=r"[Rr]ead-only file system"):
        run_bench(out=small_disk / "out", tables=[table], agents=["random"], seeds=1, trials=2)
    with pytest.raises(TableError, match="Read-only file system"):
        disk.save_small(small_disk / "t")
    recorder = Recorder(ScriptedModel(["x"], name="m"), small_disk / "run.jsonl")
    with pytest.raises(ModelError, match="cannot write the recording: Read-only"):
        recorder.reply(Request((Message("user", "hi"),), Sampling()))


def test_a_clock_that_jumps_changes_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Search time is simulated: hours forth and back on the host's clocks leave no trace in it."""
    table = toy_table()
    sound = run_search(table, "random", seed=3, trials=10)
    run_bench(out=tmp_path / "a", tables=[table], agents=["random"], seeds=2, trials=5, jobs=1)
    jumps = itertools.cycle((0.0, 1e7, -1e7, 3e9, -3600.0))
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: next(jumps))
    jumped = run_search(table, "random", seed=3, trials=10)
    run_bench(out=tmp_path / "b", tables=[table], agents=["random"], seeds=2, trials=5, jobs=1)
    monkeypatch.undo()
    assert jumped.trials == sound.trials
    assert jumped.search_hours == sound.search_hours
    a, b = (tmp_path / name / "trials.parquet" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


MISSING = """
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Gone())
from harness.cli import main
main()
"""


@pytest.mark.parametrize(
    ("package", "extra", "words"),
    [
        ("optuna", "optimisers", "search math --agent tpe --trials 2"),
        ("optuna", "optimisers", "search math --agent genetic --trials 2"),
        ("cmaes", "optimisers", "search math --agent cmaes --trials 2"),
        ("nevergrad", "optimisers", "search math --agent nevergrad --trials 2"),
        ("smac", "smac", "search math --agent smac --trials 2"),
        ("openai", "llm", "search math --agent agenttts --model m --base-url http://127.0.0.1:9/v1"),
        ("tenacity", "llm", "search math --agent agenthpo --model m --base-url http://127.0.0.1:9/v1"),
        ("ray", "ray", "bench --agents random --tables math --seeds 1 --backend ray --out out"),
        ("smac", "smac", "bench --agents smac --tables math --seeds 1 --out out"),
        ("datasets", "collect",
         "collect plan paper/2wiki --set data.revision=0123456789012345678901234567890123456789"),
    ],
)  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, package: str, extra: str, words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING.format(package=package), *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"pip install 'agenttts[{extra}]'" in done.stderr.strip().splitlines()[-1]


def test_every_extra_that_is_advised_is_one_of_the_projects() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    advised = {info.extra for info in SHIPPED.values() if info.extra}
    for room in ("simulator", "lookup_tables", "collectors", "agents", "harness"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            advised |= set(re.findall(r"agenttts\[(\w+)\]", text))
            advised |= set(re.findall(r"MissingExtra\([^()]*?, \"(\w+)\"", text))
    assert len(advised) >= 5
    assert advised <= set(extras)


@pytest.mark.slow
def test_ten_million_rows_of_one_configuration(tmp_path: Path) -> None:
    """Memory and time stay bounded, the first repeats are named and the rest counted."""
    folder = disk.save_small(tmp_path / "t", outcomes=False)
    frame = pl.read_parquet(folder / SCORES).with_columns(pl.col(pl.Enum).cast(pl.String))
    n = 10_000_000
    pl.concat([frame[:1]] * 10).select(pl.all().repeat_by(n // 10).explode()).write_parquet(
        folder / SCORES
    )
    disk.reseal(folder)
    code = (
        "import json, sys; from simulator.verify import verify; "
        "from tests.memory import peak_mib; "
        "print(json.dumps([[str(p) for p in verify(sys.argv[1])], peak_mib()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    found, peak = json.loads(done.stdout)
    assert found[0].endswith("row 2: repeats row 1: retrieve=Small-3B:1,answer=Small-3B:1 (train)")
    assert len(found) < 200
    assert peak < 2 * 2**10, f"{peak / 2**10:.1f} GiB"


def test_parquet_files_swapped_between_tables_are_named(tmp_path: Path) -> None:
    one, two = (disk.save_small(tmp_path / name, seed=n) for n, name in enumerate("ab"))
    ours, theirs = (one / SCORES).read_bytes(), (two / SCORES).read_bytes()
    (one / SCORES).write_bytes(theirs)
    (two / SCORES).write_bytes(ours)
    for folder in (one, two):
        assert any("scores.parquet: has changed since" in str(p) for p in verify(folder))
        with pytest.raises(TableError, match=r"scores.parquet: has changed since"):
            table_io.load(folder)
        disk.reseal(folder)
        assert any("but its outcomes average" in str(p) for p in verify(folder))
