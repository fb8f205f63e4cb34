"""Searches of one problem by the agent `gp` and its peers; each returns its best score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from agents import create
from harness.search import Problem
from simulator import Choice, Configuration, LookupTable

BUDGET = 900.0

Search = Callable[[Problem, int], float]


def rise_and_fall() -> LookupTable:
    """Two stages whose scores rise and fall with samples, with a little noise in each cell."""
    rng = np.random.default_rng(7)

    def score(configuration: Configuration) -> float:
        a, b = configuration.choices
        first = {"small": 0.5, "large": 0.7}[a.model] * (1 - np.exp(-a.samples / 6))
        second = {"small": 0.6, "large": 0.65}[b.model] * (1 - np.exp(-b.samples / 15))
        return float(first * second - 0.0005 * b.samples + 0.004 * rng.standard_normal())

    grid = [1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 75, 100]
    return LookupTable.from_function({"a": grid, "b": grid}, score)


def by_gp(problem: Problem, seed: int) -> float:
    simulator = problem.simulator.restarted(seed)
    agent = create("gp", problem.card, seed)
    best = -np.inf
    for _ in range(problem.card.trials):
        trial = simulator.evaluate(agent.ask())
        agent.tell(trial)
        best = max(best, -np.inf if trial.score is None else trial.score)
    return best


def at(problem: Problem, options: list[tuple[int, int]]) -> Configuration:
    """The configuration of a model index and a position in the grid for each stage."""
    return Configuration(
        tuple(
            Choice(stage.name, stage.models[model].name, stage.samples[position])
            for stage, (model, position) in zip(problem.card.stages, options, strict=True)
        )
    )


def by_optuna(problem: Problem, seed: int) -> float:
    """Told each cost as a constraint: asks over the budget count as the worst score so far.

    Told them as pruned, the sampler would leave them out of its constraint too.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    simulator = problem.simulator.restarted(seed)
    scores: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.GPSampler(seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(problem.card.trials):
            asked = study.ask()
            options = [
                (
                    asked.suggest_categorical(f"{stage.name}_model", range(len(stage.models))),
                    asked.suggest_int(f"{stage.name}_samples", 0, len(stage.samples) - 1),
                )
                for stage in problem.card.stages
            ]
            trial = simulator.evaluate(at(problem, options))
            asked.set_constraint("budget", trial.cost / simulator.budget - 1)
            if trial.score is not None:
                scores.append(trial.score)
            study.tell(asked, min(scores, default=0.0) if trial.score is None else trial.score)
    return max(scores, default=-np.inf)


def by_scikit_optimize(problem: Problem, seed: int) -> float:
    """It knows no constraints: asks over the budget count as the worst score so far."""
    from skopt import Optimizer
    from skopt.space import Categorical, Integer

    simulator = problem.simulator.restarted(seed)
    dimensions: list[Any] = []
    for stage in problem.card.stages:
        dimensions.append(Categorical(range(len(stage.models))))
        dimensions.append(Integer(0, len(stage.samples) - 1))
    scores: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = Optimizer(dimensions, random_state=seed)
        for _ in range(problem.card.trials):
            point = optimizer.ask()
            options = [(int(m), int(k)) for m, k in zip(point[::2], point[1::2], strict=True)]
            trial = simulator.evaluate(at(problem, options))
            if trial.score is not None:
                scores.append(trial.score)
            optimizer.tell(
                point, -(min(scores, default=0.0) if trial.score is None else trial.score)
            )
    return max(scores, default=-np.inf)


SEARCHES: dict[str, Search] = {
    "gp": by_gp,
    "Optuna's GPSampler": by_optuna,
    "scikit-optimize": by_scikit_optimize,
}
