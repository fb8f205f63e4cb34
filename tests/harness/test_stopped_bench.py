"""A bench that is killed or robbed of a worker, and then goes on."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from harness.cells import read_cell
from harness.plan import make_plan
from harness.suite import make_suite
from tests.harness.helpers import cells_of, same_results, start_bench


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_and_resumed_equals_undisturbed(
    tmp_path: Path, table_folder: Path, own_agents: Path, kills: int
) -> None:
    undisturbed, killed = tmp_path / "a", tmp_path / "b"
    n_seeds = 16 * kills
    seeds = ("--seeds", str(n_seeds))
    assert start_bench(undisturbed, table_folder, *seeds, "--jobs", "1").wait(60) == 0
    draw, killings = random.Random(kills), 0
    (killed / "cells").mkdir(parents=True)
    for n in range(4 * kills):
        # Some are killed before they have written a cell, the others soon after one; there are
        # more cells than the kills together let through, so the number of kills is reached.
        have, patience = len(cells_of(killed)), draw.choice((0, 1, 1)) if n else 1
        process = start_bench(killed, table_folder, *seeds, "--jobs", draw.choice("122"))
        deadline = time.monotonic() + 60
        while (
            process.poll() is None
            and len(cells_of(killed)) < have + patience
            and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.05 if patience else 2.0))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killings += 1
        process.communicate()
        if killings == kills or len(cells_of(killed)) >= n_seeds:
            break
    assert killings == kills
    last = start_bench(killed, table_folder, *seeds, "--jobs", "1")
    _, err = last.communicate(timeout=60)
    assert last.returncode == 0
    assert "0 failed" in err
    same_results(undisturbed, killed)
    suite = make_suite({"agents": ["own_agents:Slow"], "seeds": n_seeds, "trials": 6})
    plan = make_plan(suite, [table_folder])
    assert all(read_cell(killed / "cells", cell) is not None for cell in plan.cells)


def test_a_worker_that_is_killed_for_memory_is_told_and_the_bench_goes_on(
    tmp_path: Path, table_folder: Path, own_agents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends a process that takes too much by SIGKILL; so does this agent."""
    out, words = tmp_path / "out", ("--agents", "own_agents:Greedy", "--jobs", "2")
    monkeypatch.setenv("GREEDY", str(out / "cells"))
    process = start_bench(out, table_folder, *words)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.strip().splitlines()[-1] == (
        "agenttts: a worker process was killed (out of memory?); finished cells are kept: run the "
        "same command again to go on, with fewer --jobs"
    )
    assert "Traceback" not in err
    assert not (out / "summary.parquet").exists()
    kept = len(cells_of(out))
    assert 0 < kept < 12
    monkeypatch.delenv("GREEDY")
    on = start_bench(out, table_folder, *words)
    _, err = on.communicate(timeout=120)
    assert on.returncode == 0, err
    assert f"{12 - kept} run, {kept} already there, 0 failed" in err
    assert start_bench(tmp_path / "whole", table_folder, *words).wait(120) == 0
    same_results(tmp_path / "whole", out)


def test_two_benches_at_once_leave_what_one_does(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    out, words = tmp_path / "out", ("--seeds", "40", "--jobs", "1")
    first = start_bench(out, table_folder, *words)
    while first.poll() is None and not list(out.glob("cells/*")):
        time.sleep(0.005)
    second = start_bench(out, table_folder, *words)
    _, refused = second.communicate(timeout=120)
    assert second.returncode == 1
    (line,) = refused.strip().splitlines()
    assert line.startswith(f"agenttts: {out} is in use by another bench (process {first.pid} on ")
    assert first.wait(120) == 0
    assert start_bench(tmp_path / "alone", table_folder, *words).wait(120) == 0
    same_results(tmp_path / "alone", out)
