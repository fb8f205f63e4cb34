"""Agents with a model earn their keep: better than random, no worse than the library plain.

Mean regret over generated landscapes that are smooth, peaked in log samples and traded off between
stages; each seed has a landscape of its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from agents import TaskCard, create
from agents.testing import run_trials
from simulator import LookupTable, Model, Simulator, Space, Stage, Task

TRIALS, SEEDS = 30, 10

GRID = (1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
SIZES = (3e9, 7e9, 14e9, 32e9, 72e9)


def landscape(seed: int, stages: int = 2, models: int = 3) -> tuple[LookupTable, float]:
    """A table and a budget that binds: between a quarter and 60 % of its cells are affordable.

    Each stage's quality peaks in log samples, where depends on its model and on the stage before;
    the score is the logistic of the qualities' sum and of their products.
    """
    rng = np.random.default_rng((seed, 77))
    made = []
    for i in range(stages):
        sizes = sorted(rng.choice(SIZES, models, replace=False).tolist())
        made.append(
            Stage(
                name=f"stage{i}",
                models=tuple(Model(name=f"m{p / 1e9:g}", parameters=p) for p in sizes),
                prompt_tokens=int(rng.choice([128, 512, 2048])),
                generated_tokens=int(rng.choice([32, 64, 128])),
                samples=GRID,
            )
        )
    task = Task(
        name=f"landscape{seed}",
        kind="modelled",
        metric="score",
        metrics=("score",),
        default_budget=1000,
        stages=tuple(made),
    )
    space = Space(task)
    asked = space.asked_of_cells(np.arange(space.n_cells))
    total, before = np.zeros(space.n_cells), np.zeros(space.n_cells)
    for i in range(stages):
        model, logs = asked[:, i, 0], np.log(asked[:, i, 1])
        peak = rng.uniform(math.log(4), math.log(110), models)[model] + 0.4 * before
        width = rng.uniform(1.0, 2.5, models)[model]
        quality = rng.normal(0, 0.9, models)[model] + rng.uniform(0.5, 2.0, models)[
            model
        ] * np.clip(1 - ((logs - peak) / width) ** 2 / 2, -1.5, None)
        total += quality + rng.normal(0, 0.5) * np.tanh(quality) * before
        before = np.tanh(quality)
    score = np.round(1 / (1 + np.exp(-0.8 * (total - 0.8 * stages))), 4)
    table = LookupTable.from_arrays(task, {"train": {"score": score}, "test": {"score": score}})
    costs = Simulator(table, 1e12).cell_costs
    return table, float(np.quantile(costs, rng.uniform(0.25, 0.6)))


@cache
def problem(seed: int) -> Simulator:
    table, budget = landscape(seed)
    return Simulator(table, budget)


@cache
def mean_regret(agent: str) -> float:
    regrets = []
    for seed in range(SEEDS):
        simulator = problem(seed).restarted(seed)
        card = TaskCard.of(simulator, trials=TRIALS)
        found = run_trials(create(agent, card, seed), simulator, TRIALS)
        regrets.append(simulator.optimum.score - found.best)
    return float(np.mean(regrets))


def plain_optuna(sampler: Callable[[int], object]) -> float:
    """Mean regret of an Optuna study as it is first written down.

    Linear samples, no constraint: a trial over the budget is a trial spent on a score of 0.
    """
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    regrets = []
    for seed in range(SEEDS):
        simulator = problem(seed)
        study = optuna.create_study(direction="maximize", sampler=sampler(seed))  # type: ignore[arg-type]

        def objective(trial: optuna.Trial, simulator: Simulator = simulator) -> float:
            space = simulator.space
            rows = [
                (
                    trial.suggest_categorical(f"model{i}", list(range(int(n)))),
                    trial.suggest_int(f"samples{i}", 1, int(most)),
                )
                for i, (n, most) in enumerate(zip(space.n_models, space.max_samples, strict=True))
            ]
            return simulator.score(space.from_indices(np.array(rows))) or 0.0

        study.optimize(objective, n_trials=TRIALS)
        regrets.append(simulator.optimum.score - study.best_value)
    optuna.logging.set_verbosity(level)
    return float(np.mean(regrets))


@pytest.mark.parametrize(
    ("agent", "package"),
    [
        ("gp", "scipy"),
        ("tpe", "optuna"),
        ("genetic", "optuna"),
        ("cmaes", "cmaes"),
        ("nevergrad", "nevergrad"),
        ("smac", "smac"),
    ],
)
def test_better_than_random(agent: str, package: str) -> None:
    pytest.importorskip(package)
    assert mean_regret(agent) < mean_regret("random")


@pytest.mark.parametrize(
    ("agent", "sampler"), [("tpe", "TPESampler"), ("genetic", "NSGAIISampler")]
)
def test_no_worse_than_optuna_used_plainly(agent: str, sampler: str) -> None:
    optuna = pytest.importorskip("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = plain_optuna(lambda seed: getattr(optuna.samplers, sampler)(seed=seed))
    assert mean_regret(agent) <= plain
