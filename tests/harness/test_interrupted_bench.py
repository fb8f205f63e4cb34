"""A bench that Ctrl-C, or its caller, stops at any moment, and that then goes on."""

from __future__ import annotations

import multiprocessing
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

from harness.bench import Progress, run_bench
from tests.harness.helpers import cells_of, same_results, start_bench


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_finished_cells_and_says_how_to_go_on(
    tmp_path: Path, table_folder: Path, own_agents: Path, jobs: str
) -> None:
    out = tmp_path / "out"
    (out / "cells").mkdir(parents=True)
    process = start_bench(out, table_folder, "--jobs", jobs)
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
    on = start_bench(out, table_folder, "--jobs", "1")
    _, err = on.communicate(timeout=60)
    assert on.returncode == 0
    assert f"{12 - done} run, {done} already there" in err


def test_workers_hold_interrupts_back_from_their_first_moment(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    process = start_bench(
        tmp_path / "out", table_folder, "--agents", "own_agents:Masked", "--jobs", "2"
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_ctrl_c_while_an_object_is_thrown_away_is_not_lost(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    """Python prints what is raised in a `__del__`, and would go on."""
    words = ("--agents", "own_agents:Interrupted", "--jobs", "1")
    process = start_bench(tmp_path / "out", table_folder, *words)
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


def test_what_a_callers_display_raises_stops_the_bench_without_a_word(
    table_folder: Path, own_agents: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        run_bench(
            out=tmp_path / "out", tables=[table_folder], agents=["own_agents:Slow"],
            seeds=40, trials=6, jobs=2, on_progress=stop,
        )  # fmt: skip
    assert 0 < len(cells_of(tmp_path / "out")) < 40
    assert not recwarn.list
    assert not [p for p in multiprocessing.active_children() if p.is_alive()]


@pytest.mark.parametrize("times", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_ctrl_c_at_any_moment(
    tmp_path: Path, table_folder: Path, own_agents: Path, times: int
) -> None:
    """While modules load, while workers start, while cells run, while results are written."""
    undisturbed, out = tmp_path / "a", tmp_path / "b"
    begin = time.monotonic()
    assert start_bench(undisturbed, table_folder, "--jobs", "2").wait(120) == 0
    whole = time.monotonic() - begin
    draw = random.Random(times)
    for n in range(times):
        process = start_bench(out, table_folder, "--jobs", "2")
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
    assert start_bench(out, table_folder, "--jobs", "1").wait(120) == 0
    same_results(undisturbed, out)
    assert not list(out.rglob(".tmp-*"))
