"""The agent `gp` against Optuna's GPSampler and scikit-optimize: seconds a trial.

The peers take tens of seconds for a search of 50 trials, so that there are `SPEED_SEEDS` (default
3) of each. `tests/speed/regret.py` compares what they find over many seeds.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from harness.search import Problem
from tests.speed.gp_peers import (
    BUDGET,
    Search,
    by_gp,
    by_optuna,
    by_scikit_optimize,
    rise_and_fall,
)

pytestmark = [pytest.mark.speed, pytest.mark.slow]

SEEDS = int(os.environ.get("SPEED_SEEDS", "3"))
TRIALS = int(os.environ.get("SPEED_TRIALS", "50"))


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.of(rise_and_fall(), budget=BUDGET, trials=TRIALS)


def measure(benchmark: Any, problem: Problem, search: Search) -> None:
    """Seconds an ask and tell, over whole searches."""
    seconds = []
    for seed in range(SEEDS):
        begin = time.perf_counter()
        search(problem, seed)
        seconds.append(time.perf_counter() - begin)
    benchmark.extra_info["items"] = TRIALS
    # The searches are long and few: what was timed above is what is recorded.
    times = iter(seconds)
    clock = [0.0]

    benchmark._timer = lambda: clock[0]

    def replay() -> None:
        clock[0] += next(times)

    benchmark.pedantic(replay, rounds=SEEDS)


def test_gp(benchmark: Any, problem: Problem) -> None:
    by_gp(problem, 1000)
    measure(benchmark, problem, by_gp)


def test_gp_by_optuna(benchmark: Any, problem: Problem) -> None:
    pytest.importorskip("torch")
    measure(benchmark, problem, by_optuna)


def test_gp_by_scikit_optimize(benchmark: Any, problem: Problem) -> None:
    pytest.importorskip("skopt")
    measure(benchmark, problem, by_scikit_optimize)
