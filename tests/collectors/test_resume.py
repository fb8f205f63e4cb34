"""Killed anywhere, a sweep goes on with what is missing, and its table is the same to the byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors import store as store_module
from collectors.engines.scripted import ScriptedEngine
from collectors.merge import merge, write
from collectors.runner import collected, run
from collectors.store import Store
from collectors.sweep import Sweep

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, os, sys
from pathlib import Path
import polars, rich.progress
from collectors.engines import make_engine
from collectors.runner import run
from collectors.store import Store
from collectors.sweep import Sweep, SweepFile

sweep = Sweep.of(SweepFile.from_mapping(json.loads(Path("sweep.json").read_text())))
for line in sys.stdin:
    if line == "wait\\n":
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        store = Store.open(line.strip(), sweep)
        run(sweep, store, make_engine(sweep.file.engine.kind, sweep.file.engine.settings))
        os._exit(0)
    print(child, flush=True)
"""
"""Starts a process of its own for each run, without the seconds that importing takes."""

SCRIPT = """
import random

def answer(model, prompt, n, seed):
    texts = []
    for k in range(n):
        rng = random.Random(f"{model}|{prompt}|{seed + k}")
        if "Passages:" in prompt:
            texts.append(",".join(str(rng.randint(1, 6)) for _ in range(rng.randint(1, 3))))
        else:
            texts.append(rng.choice(["Town 1", "town 2.", "Answer: Town 3", "Nowhere", "?"]))
    return texts
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def _same_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def table_bytes(sweep: Sweep, store: Store, target: Path) -> dict[str, bytes]:
    write(merge(sweep, store), sweep, store, target, overwrite=False)
    return contents(target)


def test_killed_twenty_times_the_table_is_the_same_to_the_byte(
    tmp_path: Path, settings: dict[str, Any], make_sweep: Callable[[dict[str, Any]], Sweep]
) -> None:
    settings["engine"] = {"kind": "scripted", "function": "script:answer", "delay": 0.005}
    settings["data"] |= {"train_examples": 2, "test_examples": 1}
    settings["plan"] = {"chunk_samples": 8, "subsets": 2}
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "sweep.json").write_text(json.dumps(settings))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    sweep = make_sweep(settings)
    rng = random.Random(11)
    killed, folder, finished, progress = 0, "broken-0", ["whole"], [0]
    with subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdin is not None
        assert starter.stdout is not None

        def life(name: str, seconds: float | None) -> int:
            """Run the sweep in a process of its own; its exit status, -9 where it was killed."""
            print(name, file=starter.stdin, flush=True)
            child = int(starter.stdout.readline())  # type: ignore[union-attr]
            if seconds is not None:
                time.sleep(seconds)
                # The starter has not waited for it yet, so the number is still the child's.
                os.kill(child, signal.SIGKILL)
            print("wait", file=starter.stdin, flush=True)
            return int(starter.stdout.readline())  # type: ignore[union-attr]

        begin = time.monotonic()
        assert life("whole", None) == 0
        length = time.monotonic() - begin
        while killed < 20:
            if life(folder, rng.uniform(0.0, length / 4)) == -signal.SIGKILL:
                killed += 1
                progress.append(len(list((tmp_path / folder).rglob("[0-9]*.parquet"))))
                assert progress[-1] >= progress[-2], "a shard that was written stays"
            else:
                finished.append(folder)
                folder, progress = f"broken-{len(finished)}", [0]
        assert life(folder, None) == 0
        starter.stdin.close()
    stores = [Store.open(tmp_path / name, sweep) for name in (*finished, folder)]
    assert len(stores) >= 2
    tables = [table_bytes(sweep, store, tmp_path / f"table-{i}") for i, store in enumerate(stores)]
    assert set(tables[0]) == {
        "CARD.md",
        "MANIFEST.json",
        "noise.parquet",
        "outcomes.parquet",
        "samples.parquet",
        "scores.parquet",
        "task.toml",
    }
    for store, table in zip(stores[1:], tables[1:], strict=True):
        assert contents(store.path / "shards") == contents(stores[0].path / "shards")
        assert table == tables[0]
    assert sum(len(store.sessions()) for store in stores) > len(stores), "some died while running"


class Killed(BaseException):
    """Stands for the process's death."""


def test_dying_at_any_step_of_any_write_loses_at_most_the_chunk_in_flight(
    tmp_path: Path,
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
    script: Callable[[str, str, int, int], list[str]],
) -> None:
    whole = Store.open(tmp_path / "whole", sweep)
    run(sweep, whole, ScriptedEngine.of(script))
    expected = table_bytes(sweep, whole, tmp_path / "whole-table")
    n_shards = len(list((whole.path / "shards").rglob("[0-9]*.parquet")))
    real_fsync, real_replace = os.fsync, Path.replace
    store = Store.open(tmp_path / "broken", sweep)
    steps, dead = 0, [0]

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == dead[0]:
            raise Killed

    def fsync(descriptor: int) -> None:
        step()
        real_fsync(descriptor)
        step()

    def replace(self: Path, target: Any) -> Any:
        step()
        real_replace(self, target)
        step()
        return target

    monkeypatch.setattr(store_module.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    deaths = 0
    for dead[0] in (1, 2, *range(3, 40, 2)):
        steps = 0
        before = len(list((store.path / "shards").rglob("[0-9]*.parquet")))
        try:
            run(sweep, store, ScriptedEngine.of(script))
        except Killed:
            deaths += 1
        after = len(list((store.path / "shards").rglob("[0-9]*.parquet")))
        assert after >= before
    assert deaths >= 8
    monkeypatch.undo()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    engine = ScriptedEngine.of(script)
    run(sweep, store, engine)
    assert collected(sweep, store).complete
    assert len(list((store.path / "shards").rglob("[0-9]*.parquet"))) == n_shards
    assert table_bytes(sweep, store, tmp_path / "broken-table") == expected


def test_a_finished_sweep_draws_nothing_again(
    sweep: Sweep, store: Store, engine: ScriptedEngine
) -> None:
    first = run(sweep, store, engine)
    asked, loads = engine.requests, len(engine.loads)
    again = run(sweep, store, engine)
    assert (again.drawn_requests, again.loads, again.session) == (0, 0, first.session + 1)
    assert (engine.requests, len(engine.loads)) == (asked, loads)
