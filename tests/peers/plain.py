"""Each wrapped library as its own documentation first shows it, on a problem of this project.

One function a library: `search(simulator, seed, trials)` returns the best feasible score. A model
is the library's categorical parameter, a sample count its whole-number parameter from 1 to the
largest of the grid, on a log scale where the library offers one in the parameter's definition.
Nothing of the agents is used. A trial over the budget is told in the way that the library has for
it: as a constraint where it takes constraints, as a crashed or a worst trial where it does not;
either way it is a trial that was spent.
"""

from __future__ import annotations

import logging
import math
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from simulator import Simulator

Search = Callable[[Simulator, int, int], float]

WORST = 0.0
"""The lowest score that a task of the benchmark can have; libraries that minimise get `-score`."""


class Spent:
    """Scores of configurations given as one (model index, samples) a stage; keeps the best."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.space = simulator, simulator.space
        self.stages = range(self.space.n_stages)
        self.best, self.trials = -math.inf, 0

    def __call__(self, rows: list[tuple[int, int]]) -> float | None:
        self.trials += 1
        score = self.simulator.score(self.space.from_indices(np.array(rows)))
        if score is not None:
            self.best = max(self.best, score)
        return score

    def excess(self, rows: list[tuple[int, int]]) -> float:
        """Cost over the budget; 0 or less where it is affordable."""
        return self.simulator.cost(self.space.from_indices(np.array(rows))) - self.simulator.budget

    def models(self, stage: int) -> list[int]:
        return list(range(int(self.space.n_models[stage])))

    def most(self, stage: int) -> int:
        return int(self.space.max_samples[stage])


def optuna_sampler(make: Callable[[int], Any], *, log: bool) -> Search:
    """A study with the sampler that `make(seed)` returns; over the budget is pruned, with its
    excess as the constraint."""

    def search(simulator: Simulator, seed: int, trials: int) -> float:
        import optuna

        spent = Spent(simulator)

        def objective(trial: optuna.Trial) -> float:
            rows = [
                (
                    trial.suggest_categorical(f"model{i}", spent.models(i)),
                    trial.suggest_int(f"samples{i}", 1, spent.most(i), log=log),
                )
                for i in spent.stages
            ]
            score = spent(rows)
            trial.set_constraint("budget", spent.excess(rows))
            if score is None:
                raise optuna.TrialPruned
            return score

        with hushed():
            study = optuna.create_study(direction="maximize", sampler=make(seed))
            study.optimize(objective, n_trials=trials)
        return spent.best

    return search


def cmaes_package(simulator: Simulator, seed: int, trials: int) -> float:
    """`CatCMAwM` over the grid's sample counts; over the budget ranks last."""
    from cmaes import CatCMAwM

    spent = Spent(simulator)
    with hushed():
        optimizer = CatCMAwM(
            z_space=[grid.tolist() for grid in spent.space.grids],
            c_space=[len(spent.models(i)) for i in spent.stages],
            seed=seed,
        )
        while spent.trials < trials:
            told = []
            for _ in range(optimizer.population_size):
                if spent.trials == trials:
                    return spent.best
                solution = optimizer.ask()
                rows = [
                    (int(np.argmax(solution.c[i])), round(float(solution.z[i])))
                    for i in spent.stages
                ]
                score = spent(rows)
                told.append((solution, -WORST if score is None else -score))
            optimizer.tell(told)
    return spent.best


def nevergrad_package(simulator: Simulator, seed: int, trials: int) -> float:
    """Nevergrad's `NGOpt` with the budget as a cheap constraint."""
    import nevergrad as ng

    spent = Spent(simulator)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    with hushed():
        parts: dict[str, Any] = {}
        for i in spent.stages:
            parts[f"model{i}"] = ng.p.Choice(spent.models(i))
            parts[f"samples{i}"] = ng.p.Log(lower=1, upper=spent.most(i)).set_integer_casting()
        space = ng.p.Dict(**parts)
        space.random_state.seed(seed)

        def rows_of(value: dict[str, Any]) -> list[tuple[int, int]]:
            return [(int(value[f"model{i}"]), int(value[f"samples{i}"])) for i in spent.stages]

        space.register_cheap_constraint(lambda value: spent.excess(rows_of(value)) <= 0)
        optimizer = ng.optimizers.NGOpt(parametrization=space, budget=trials)
        for _ in range(trials):
            candidate = optimizer.ask()
            score = spent(rows_of(candidate.value))
            optimizer.tell(candidate, -WORST if score is None else -score)
    return spent.best


def smac_package(simulator: Simulator, seed: int, trials: int) -> float:
    """SMAC3's `HyperparameterOptimizationFacade`; over the budget has crashed."""
    from ConfigSpace import Categorical, ConfigurationSpace, Integer
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue
    from smac.runhistory.enumerations import StatusType

    spent = Spent(simulator)
    space = ConfigurationSpace(seed=seed)
    for i in spent.stages:
        space.add(Categorical(f"model{i}", spent.models(i)))
        space.add(Integer(f"samples{i}", (1, spent.most(i)), log=True))
    with hushed(), tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, deterministic=True, n_trials=trials, seed=seed, output_directory=folder,
            crash_cost=-WORST,
        )  # fmt: skip
        facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, logging_level=False, overwrite=True
        )
        for _ in range(trials):
            info = facade.ask()
            rows = [
                (int(info.config[f"model{i}"]), int(info.config[f"samples{i}"]))
                for i in spent.stages
            ]
            score = spent(rows)
            crashed = StatusType.CRASHED
            value = (
                TrialValue(cost=scenario.crash_cost, status=crashed)
                if score is None
                else TrialValue(cost=-score)
            )
            facade.tell(info, value, save=False)
    return spent.best


def skopt_package(simulator: Simulator, seed: int, trials: int) -> float:
    """scikit-optimize's `Optimizer` with its Gaussian process; over the budget is worst."""
    from skopt import Optimizer
    from skopt.space import Categorical, Integer

    spent = Spent(simulator)
    dimensions: list[Any] = []
    for i in spent.stages:
        dimensions.append(Categorical(spent.models(i)))
        dimensions.append(Integer(1, spent.most(i), prior="log-uniform"))
    with hushed():
        optimizer = Optimizer(dimensions, base_estimator="GP", random_state=seed)
        for _ in range(trials):
            point = [int(value) for value in optimizer.ask()]
            score = spent(list(zip(point[::2], point[1::2], strict=True)))
            optimizer.tell(point, -WORST if score is None else -score)
    return spent.best


def optuna_hyperband(simulator: Simulator, seed: int, trials: int) -> float:
    """Optuna's random sampler with its `HyperbandPruner` over the number of training examples.

    Every look at a configuration is one of the `trials`, as an ask of the agent is.
    """
    import optuna

    spent, clock = Spent(simulator), simulator.restarted(seed)
    whole = simulator.split.outcomes.n_examples  # type: ignore[union-attr]
    rungs = [max(1, round(whole / 9)), max(1, round(whole / 3)), whole]

    def objective(trial: optuna.Trial) -> float:
        rows = [
            (
                trial.suggest_categorical(f"model{i}", spent.models(i)),
                trial.suggest_int(f"samples{i}", 1, spent.most(i), log=True),
            )
            for i in spent.stages
        ]
        configuration = spent.space.from_indices(np.array(rows))
        for examples in rungs:
            if spent.trials == trials:
                trial.study.stop()
                raise optuna.TrialPruned
            spent.trials += 1
            found = clock.evaluate(configuration, examples=examples)
            if found.score is None:
                raise optuna.TrialPruned
            if examples == whole:
                spent.best = max(spent.best, found.score)
                return found.score
            trial.report(found.score, examples)
            if trial.should_prune():
                raise optuna.TrialPruned
        raise AssertionError("the last rung is all examples")

    with hushed():
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=seed),
            pruner=optuna.pruners.HyperbandPruner(
                min_resource=rungs[0], max_resource=whole, reduction_factor=3
            ),
            study_name=f"hyperband-{seed}",  # the pruner draws a trial's bracket from the name
        )
        study.optimize(objective)
    return spent.best


@contextmanager
def hushed() -> Iterator[None]:
    """Without the libraries' log lines and warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
