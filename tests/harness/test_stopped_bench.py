"""A bench that is killed, interrupted or robbed of a worker, and then goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.cells import read_cell
from harness.plan import make_plan
from harness.suite import make_suite
from tests.harness.helpers import cells_of, program, same_results


def _start(out: Path, folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        program("bench", "--tables", str(folder), "--agents", "own_agents:Slow", "--seeds", "12",
                "--trials", "6", "--out", str(out), *words),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_and_resumed_equals_undisturbed(
    tmp_path: Path, table_folder: Path, own_agents: Path, kills: int
) -> None:
    undisturbed, killed = tmp_path / "a", tmp_path / "b"
    n_seeds = 16 * kills
    seeds = ("--seeds", str(n_seeds))
    assert _start(undisturbed, table_folder, *seeds, "--jobs", "1").wait(60) == 0
    draw, killings = random.Random(kills), 0
    (killed / "cells").mkdir(parents=True)
    for n in range(4 * kills):
        # Some are killed before they have written a cell, the others soon after one; there are
        # more cells than the kills together let through, so the number of kills is reached.
        have, patience = len(cells_of(killed)), draw.choice((0, 1, 1)) if n else 1
        process = _start(killed, table_folder, *seeds, "--jobs", draw.choice("122"))
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
    last = _start(killed, table_folder, *seeds, "--jobs", "1")
    _, err = last.communicate(timeout=60)
    assert last.returncode == 0
    assert "0 failed" in err
    same_results(undisturbed, killed)
    suite = make_suite({"agents": ["own_agents:Slow"], "seeds": n_seeds, "trials": 6})
    plan = make_plan(suite, [table_folder])
    assert all(read_cell(killed / "cells", cell) is not None for cell in plan.cells)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_finished_cells_and_says_how_to_go_on(
    tmp_path: Path, table_folder: Path, own_agents: Path, jobs: str
) -> None:
    out = tmp_path / "out"
    (out / "cells").mkdir(parents=True)
    process = _start(out, table_folder, "--jobs", jobs)
    while process.poll() is None and not cells_of(out):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    lines = err.strip().splitlines()
    assert "interrupted; finished cells are kept" in lines[-2]
    assert lines[-1].strip().startswith("agenttts bench --tables")
    done = len(cells_of(out))
    assert 0 < done < 12
    assert not (out / "summary.parquet").exists()
    on = _start(out, table_folder, "--jobs", "1")
    _, err = on.communicate(timeout=60)
    assert on.returncode == 0
    assert f"{12 - done} run, {done} already there" in err


def test_workers_hold_interrupts_back_from_their_first_moment(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    process = _start(tmp_path / "out", table_folder, "--agents", "own_agents:Masked", "--jobs", "2")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_ctrl_c_while_an_object_is_thrown_away_is_not_lost(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    """Python prints what is raised in a `__del__`, and would go on."""
    words = ("--agents", "own_agents:Interrupted", "--jobs", "1")
    process = _start(tmp_path / "out", table_folder, *words)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Exception ignored" not in err
    assert "interrupted; finished cells are kept" in err


@pytest.mark.parametrize("threads", ["1", "2"], ids=["held", "through another thread"])
@pytest.mark.parametrize("moment", ["starting", "running"])
def test_ctrl_c_beside_joblib_ends_the_bench(
    tmp_path: Path, table_folder: Path, own_agents: Path, moment: str, threads: str
) -> None:
    """The kernel gives an interrupt to any thread that does not hold it back, as those of a linear
    algebra library do not, and Python then interrupts the main thread."""
    code = f"""
import os, signal, numpy
from harness.bench import run_bench
def interrupt(progress):
    if len(progress.running) == 1 if {moment!r} == "starting" else progress.done:
        os.kill(os.getpid(), signal.SIGINT)
try:
    run_bench(out={str(tmp_path / "out")!r}, tables=[{str(table_folder)!r}], jobs=2, seeds=40,
              trials=6, agents=["own_agents:Slow"], on_progress=interrupt)
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "interrupted True\n", done.stderr
    assert done.stderr == ""
    assert len(cells_of(tmp_path / "out")) < 40


@pytest.mark.parametrize("times", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_ctrl_c_at_any_moment(
    tmp_path: Path, table_folder: Path, own_agents: Path, times: int
) -> None:
    """While modules load, while workers start, while cells run, while results are written."""
    undisturbed, out = tmp_path / "a", tmp_path / "b"
    begin = time.monotonic()
    assert _start(undisturbed, table_folder, "--jobs", "2").wait(120) == 0
    whole = time.monotonic() - begin
    draw = random.Random(times)
    for n in range(times):
        process = _start(out, table_folder, "--jobs", "2")
        time.sleep(whole * (n + draw.random()) / times)
        os.killpg(process.pid, signal.SIGINT)
        if n % 4 == 3:  # an impatient one
            time.sleep(draw.uniform(0, 0.3))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if process.returncode in (0, 130):
            assert "Traceback" not in err
            assert "KeyboardInterrupt" not in err
        else:  # Python itself: its own start and its own end
            assert process.returncode == -signal.SIGINT
            assert "harness/bench.py" not in err
        if n % 2:
            shutil.rmtree(out, ignore_errors=True)
    assert _start(out, table_folder, "--jobs", "1").wait(120) == 0
    same_results(undisturbed, out)
    assert not list(out.rglob(".tmp-*"))


def test_a_worker_that_is_killed_for_memory_is_told_and_the_bench_goes_on(
    tmp_path: Path, table_folder: Path, own_agents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends a process that takes too much by SIGKILL; so does this agent."""
    out, words = tmp_path / "out", ("--agents", "own_agents:Greedy", "--jobs", "2")
    monkeypatch.setenv("GREEDY", str(out / "cells"))
    process = _start(out, table_folder, *words)
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
    on = _start(out, table_folder, *words)
    _, err = on.communicate(timeout=120)
    assert on.returncode == 0, err
    assert f"{12 - kept} run, {kept} already there, 0 failed" in err
    assert _start(tmp_path / "whole", table_folder, *words).wait(120) == 0
    same_results(tmp_path / "whole", out)


def test_two_benches_at_once_leave_what_one_does(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    out, words = tmp_path / "out", ("--seeds", "40", "--jobs", "1")
    first = _start(out, table_folder, *words)
    while first.poll() is None and not list(out.glob("cells/*")):
        time.sleep(0.005)
    second = _start(out, table_folder, *words)
    _, refused = second.communicate(timeout=120)
    assert second.returncode == 1
    (line,) = refused.strip().splitlines()
    assert line.startswith(f"agenttts: {out} is in use by another bench (process {first.pid} on ")
    assert first.wait(120) == 0
    assert _start(tmp_path / "alone", table_folder, *words).wait(120) == 0
    same_results(tmp_path / "alone", out)
