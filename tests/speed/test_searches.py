"""Whole searches, and a million of them, against Syne Tune's simulator and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.search import Problem, run_search, search_problem
from simulator import LookupTable, Simulator
from simulator.curves import random_search_curves
from tests.speed.problems import BUDGET, processor_seconds, two_stages

pytestmark = [pytest.mark.speed, pytest.mark.slow]

WORKERS = 4
TRIALS = 400


@pytest.fixture(scope="module")
def table() -> LookupTable:
    return two_stages()


def test_search(benchmark: Any, table: LookupTable) -> None:
    """From a loaded table to its result: records, simulated clock, 4 workers, `random`."""

    def search(seed: int) -> None:
        result = run_search(
            table, "random", budget=BUDGET, trials=TRIALS, seed=seed, workers=WORKERS
        )
        assert len(result.trials) == TRIALS

    seeds = iter(range(1000))
    benchmark.extra_info["items"] = TRIALS
    benchmark.pedantic(search, setup=lambda: ((next(seeds),), {}), rounds=150, warmup_rounds=2)


def test_search_of_a_ready_problem(benchmark: Any, table: LookupTable) -> None:
    """As in a bench, where a problem is made once for all seeds, like the peer's blackbox."""
    problem = Problem.of(table, budget=BUDGET, trials=TRIALS, workers=WORKERS)

    def search(seed: int) -> None:
        assert len(search_problem(problem, "random", seed=seed).trials) == TRIALS

    seeds = iter(range(1000))
    benchmark.extra_info["items"] = TRIALS
    benchmark.pedantic(search, setup=lambda: ((next(seeds),), {}), rounds=150, warmup_rounds=2)


def test_search_by_syne_tune(benchmark: Any, table: LookupTable) -> None:
    pytest.importorskip("syne_tune")
    from tests.speed.syne_tune_peer import blackbox, random_search

    box = blackbox(table)
    seeds = iter(range(1000))
    done = random_search(box, TRIALS, WORKERS, next(seeds))
    assert TRIALS <= done <= TRIALS + 4 * WORKERS
    benchmark.extra_info["items"] = done
    benchmark.pedantic(
        random_search, setup=lambda: ((box, TRIALS, WORKERS, next(seeds)), {}), rounds=5
    )


RUNS, LENGTH = 1_000_000, 50


@pytest.mark.parametrize("threads", [1, 2])
def test_curves(benchmark: Any, table: LookupTable, threads: int) -> None:
    simulator = Simulator(table, BUDGET)
    random_search_curves(simulator, LENGTH, 10_000)
    benchmark.extra_info["items"] = RUNS * LENGTH
    benchmark.pedantic(
        random_search_curves, args=(simulator, LENGTH, RUNS), kwargs={"threads": threads},
        rounds=5, warmup_rounds=1,
    )  # fmt: skip
    benchmark.extra_info["processor_seconds"] = processor_seconds(
        lambda: random_search_curves(simulator, LENGTH, RUNS, threads=threads), 5
    )


def test_curves_by_numpy(benchmark: Any, table: LookupTable) -> None:
    """Indices, scores and running maxima as arrays, in blocks that fit the cache."""
    simulator = Simulator(table, BUDGET)
    values = simulator.scores[simulator.feasible_cells]

    def curves() -> np.ndarray:
        rng = np.random.default_rng(0)
        out = np.empty((RUNS, LENGTH))
        for begin in range(0, RUNS, 2000):
            drawn = rng.integers(0, len(values), (2000, LENGTH), dtype=np.uint32)
            np.maximum.accumulate(values[drawn], axis=1, out=out[begin : begin + 2000])
        return out

    benchmark.extra_info["items"] = RUNS * LENGTH
    benchmark.pedantic(curves, rounds=5, warmup_rounds=1)
