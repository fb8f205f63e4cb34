"""The agent `gp` against Optuna's GPSampler and scikit-optimize: seconds a trial, and regret.

Regret is over `SPEED_SEEDS` seeds (default 3) of `SPEED_TRIALS` trials (default 50); the peers take
tens of seconds for each.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agents import create
from harness.search import Problem
from simulator import Choice, Configuration, LookupTable

pytestmark = [pytest.mark.speed, pytest.mark.slow]

SEEDS = int(os.environ.get("SPEED_SEEDS", "3"))
TRIALS = int(os.environ.get("SPEED_TRIALS", "50"))


@pytest.fixture(scope="module")
def table() -> LookupTable:
    """Two stages whose scores rise and fall with samples, with a little noise in each cell."""
    rng = np.random.default_rng(7)

    def score(configuration: Configuration) -> float:
        a, b = configuration.choices
        first = {"small": 0.5, "large": 0.7}[a.model] * (1 - np.exp(-a.samples / 6))
        second = {"small": 0.6, "large": 0.65}[b.model] * (1 - np.exp(-b.samples / 15))
        return float(first * second - 0.0005 * b.samples + 0.004 * rng.standard_normal())

    grid = [1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 75, 100]
    return LookupTable.from_function({"a": grid, "b": grid}, score)


@pytest.fixture(scope="module")
def problem(table: LookupTable) -> Problem:
    return Problem.of(table, budget=900, trials=TRIALS)


Search = Callable[[Problem, int], float]


def measure(benchmark: Any, problem: Problem, search: Search) -> None:
    """Seconds an ask and tell over one search, and the mean regret over seeds."""
    optimum = problem.simulator.optimum.score
    seconds, regrets = [], []
    for seed in range(SEEDS):
        begin = time.perf_counter()
        best = search(problem, seed)
        seconds.append(time.perf_counter() - begin)
        regrets.append(optimum - best)
    benchmark.extra_info.update(
        items=TRIALS, seeds=SEEDS, mean_regret=float(np.mean(regrets)),
        standard_error=float(np.std(regrets) / np.sqrt(SEEDS)),
    )  # fmt: skip
    # The searches are long and few: what was timed above is what is recorded.
    times = iter(seconds)
    clock = [0.0]

    benchmark._timer = lambda: clock[0]

    def replay() -> None:
        clock[0] += next(times)

    benchmark.pedantic(replay, rounds=SEEDS)


def by_gp(problem: Problem, seed: int) -> float:
    simulator = problem.simulator.restarted(seed)
    agent = create("gp", problem.card, seed)
    best = -np.inf
    for _ in range(TRIALS):
        trial = simulator.evaluate(agent.ask())
        agent.tell(trial)
        best = max(best, -np.inf if trial.score is None else trial.score)
    return best


def by_optuna(problem: Problem, seed: int) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    simulator = problem.simulator.restarted(seed)
    best = -np.inf

    def over(trial: Any) -> tuple[float]:
        return (trial.user_attrs["cost"] - simulator.budget,)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.GPSampler(seed=seed, constraints_func=over)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(TRIALS):
            asked = study.ask()
            trial = simulator.evaluate(
                Configuration(
                    tuple(
                        Choice(
                            stage.name,
                            asked.suggest_categorical(
                                f"{stage.name}_model", [m.name for m in stage.models]
                            ),
                            asked.suggest_int(f"{stage.name}_samples", 1, stage.samples[-1]),
                        )
                        for stage in simulator.task.stages
                    )
                )
            )
            asked.set_user_attr("cost", trial.cost)
            if trial.score is None:
                study.tell(asked, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(asked, trial.score)
                best = max(best, trial.score)
    return best


def by_scikit_optimize(problem: Problem, seed: int) -> float:
    from skopt import Optimizer
    from skopt.space import Categorical, Integer

    simulator = problem.simulator.restarted(seed)
    dimensions: list[Any] = []
    for stage in simulator.task.stages:
        dimensions.append(Categorical([m.name for m in stage.models]))
        dimensions.append(Integer(1, stage.samples[-1]))
    best = -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = Optimizer(dimensions, random_state=seed)
        for _ in range(TRIALS):
            point = optimizer.ask()
            trial = simulator.evaluate(
                Configuration(
                    tuple(
                        Choice(stage.name, str(point[2 * i]), int(point[2 * i + 1]))
                        for i, stage in enumerate(simulator.task.stages)
                    )
                )
            )
            # It knows no infeasible trials: the worst score so far, as its users do.
            best = max(best, -np.inf if trial.score is None else trial.score)
            optimizer.tell(point, 0.0 if trial.score is None else -trial.score)
    return best


def test_gp(benchmark: Any, problem: Problem) -> None:
    by_gp(problem, 1000)
    measure(benchmark, problem, by_gp)


def test_gp_by_optuna(benchmark: Any, problem: Problem) -> None:
    pytest.importorskip("torch")
    measure(benchmark, problem, by_optuna)


def test_gp_by_scikit_optimize(benchmark: Any, problem: Problem) -> None:
    pytest.importorskip("skopt")
    measure(benchmark, problem, by_scikit_optimize)
