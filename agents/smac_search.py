"""SMAC3: a random forest and expected improvement (Lindauer et al. 2022)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    UniformFloatHyperparameter,
)
from numpy.typing import NDArray
from smac import HyperparameterOptimizationFacade as Facade
from smac import Scenario
from smac.acquisition.function import EI
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer
from smac.initial_design import AbstractInitialDesign
from smac.model.random_forest import RandomForest
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.encoder import RunHistoryEncoder

from agents.card import TaskCard
from agents.encoding import sample_indices
from agents.wrapped import Wrapped, at_least, quiet, seed_from

_SEED = 0
"""The seed that SMAC gives to trials of a deterministic target."""


class SMAC(Wrapped[TrialInfo | None]):
    """SMAC3's `HyperparameterOptimizationFacade`, asked and told trial by trial.

    Settings:

    - `warm_start`: trials of the spread design before the forest is asked (default 10);
    - `candidates`: among how many affordable configurations expected improvement is maximised:
      those that differ from one of the five best in a single stage, and random ones (default
      2,000);
    - `explore`: probability that a random one is asked instead (default 0.1);
    - `trees`: trees of the forest (default 10, SMAC's).

    SMAC has no constraint on cost, so its acquisition function is maximised over affordable
    configurations alone. Scores enter as they are, without the logarithm that its default takes of
    running times. A trial that comes back infeasible stays unfinished for SMAC, which then neither
    asks it again nor learns a score. Nothing is written but in a temporary folder that is gone when
    the agent is made.
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        warm_start: int = 10,
        candidates: int = 2000,
        explore: float = 0.1,
        trees: int = 10,
    ) -> None:
        at_least("smac", "warm_start", warm_start, 1)
        at_least("smac", "candidates", candidates, 1)
        at_least("smac", "explore", explore, 0)
        at_least("smac", "trees", trees, 1)
        super().__init__(card, rng, warm_start)
        self._candidates, self._explore = candidates, explore
        seed = seed_from(rng)
        self.space = ConfigurationSpace(seed=seed)
        self._tops = [
            float(units[int(stage.largest.max())])
            for units, stage in zip(self.encoding.units, self.encoding.stages, strict=True)
        ]
        for i, stage in enumerate(self.encoding.stages):
            if len(stage.models) > 1:
                models = [int(m) for m in stage.models]
                self.space.add(CategoricalHyperparameter(f"model{i}", models))
            if self._tops[i] > 0:
                self.space.add(UniformFloatHyperparameter(f"samples{i}", 0.0, 1.0))
        self._columns = {name: at for at, name in enumerate(self.space.keys())}
        self._facade = self._made(seed, trees) if self._columns else None

    def propose(self) -> tuple[TrialInfo | None, int]:
        if self._facade is None or not self.archive.scores:
            cell = self.archive.nearest_fresh(self._random_cell())
            return self.place(cell), cell
        with _silent():
            info = self._facade.ask()
        return info, self._cell(info.config)

    def refuse(self, proposal: TrialInfo | None, cell: int) -> None:
        if cell in self.archive.scores:
            self.learn(proposal, cell, self.archive.scores[cell])

    def place(self, cell: int) -> TrialInfo | None:
        return None if self._facade is None else TrialInfo(self.configuration_of(cell), seed=_SEED)

    def learn(self, proposal: TrialInfo | None, cell: int, score: float | None) -> None:
        if self._facade is not None and proposal is not None and score is not None:
            with _silent():
                self._facade.tell(proposal, TrialValue(cost=-score), save=False)

    def candidates(self) -> NDArray[np.int64]:
        """Unasked affordable cells to compare: neighbours of the best, and random ones."""
        cells, archive = self.encoding.cells, self.archive
        if len(cells) > self._candidates:
            best = sorted(archive.scores, key=lambda c: (-archive.scores[c], c))[:5]
            near = [archive.neighbours(cell) for cell in best]
            drawn = cells[sample_indices(len(cells), self._candidates, self.rng)]
            cells = np.unique(np.concatenate([drawn, *near]))
        left = cells[~np.isin(cells, np.fromiter(archive.asked, dtype=np.int64))]
        if len(left) == 0:
            return np.array([archive.nearest_fresh(int(cells[0]))])
        if self.rng.random() < self._explore:
            return left[[int(self.rng.integers(len(left)))]]
        return left

    def vectors(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cells as SMAC's forest sees them, shape (n, parameters)."""
        models, units = self.encoding.coordinates(cells)
        out = np.empty((len(cells), len(self._columns)))
        for i, stage in enumerate(self.encoding.stages):
            if f"model{i}" in self._columns:
                out[:, self._columns[f"model{i}"]] = np.searchsorted(stage.models, models[:, i])
            if f"samples{i}" in self._columns:
                out[:, self._columns[f"samples{i}"]] = units[:, i] / self._tops[i]
        return out

    def _random_cell(self) -> int:
        return int(self.encoding.cells[int(self.rng.integers(len(self.encoding.cells)))])

    def configuration_of(self, cell: int) -> Configuration:
        models, positions = self.encoding.parts(cell)
        values: dict[str, Any] = {}
        for i in range(self.encoding.n_stages):
            if f"model{i}" in self._columns:
                values[f"model{i}"] = models[i]
            if f"samples{i}" in self._columns:
                unit = float(self.encoding.units[i][positions[i]])
                values[f"samples{i}"] = min(unit / self._tops[i], 1.0)
        return Configuration(self.space, values=values)

    def _cell(self, configuration: Configuration) -> int:
        models, positions = [], []
        for i, stage in enumerate(self.encoding.stages):
            models.append(int(configuration.get(f"model{i}", int(stage.models[0]))))
            unit = self._tops[i] * float(configuration.get(f"samples{i}", 0.0))
            positions.append(self.encoding.nearest(i, unit))
        return self.encoding.cell(models, positions)

    def _made(self, seed: int, trees: int) -> Any:
        prefix = "agenttts-smac-"
        with quiet(), _silent(), tempfile.TemporaryDirectory(prefix=prefix) as folder:
            scenario = Scenario(
                self.space,
                deterministic=True,
                n_trials=10**9,
                seed=seed,
                output_directory=Path(folder),
            )
            function = _Improvement()
            return Facade(
                scenario,
                model=_forest(scenario, trees),
                acquisition_function=function,
                acquisition_maximizer=_OverAffordable(self, function),
                initial_design=_NoDesign(scenario, n_configs=0),
                random_design=Facade.get_random_design(scenario, probability=0.0),
                intensifier=Facade.get_intensifier(scenario, max_config_calls=1),
                runhistory_encoder=RunHistoryEncoder(scenario),
                config_selector=Facade.get_config_selector(scenario, retrain_after=1),
                logging_level=False,
                overwrite=True,
            )


def _forest(scenario: Any, trees: int) -> RandomForest:
    """The facade's forest, on scores as they are, and one that is grown without delay.

    Memory for a tree's leaves is set aside beforehand: for SMAC's limit of 2**20 that takes a tenth
    of a second a tree, and its threads take longer to start than a tree takes to grow.
    """
    return RandomForest(
        configspace=scenario.configspace,
        n_trees=trees,
        log_y=False,
        bootstrapping=True,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_leaf_nodes=1024,
        n_jobs=1,
        seed=scenario.seed,
    )


class _Improvement(EI):
    """SMAC's expected improvement, of vectors instead of `Configuration` objects."""

    def of(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._compute(vectors)).ravel()


class _OverAffordable(AbstractAcquisitionMaximizer):
    """Maximises over the agent's candidates, all of which are affordable and unasked."""

    def __init__(self, agent: SMAC, function: _Improvement) -> None:
        super().__init__(agent.space, function, challengers=1)
        self._agent, self._function = agent, function

    def _maximize(
        self, previous_configs: list[Configuration], n_points: int
    ) -> list[tuple[float, Configuration]]:
        cells = self._agent.candidates()
        values = self._function.of(self._agent.vectors(cells))
        jitter = self._agent.rng.random(len(cells))
        best = np.lexsort((jitter, -values))[:4]
        return [(float(values[i]), self._agent.configuration_of(int(cells[i]))) for i in best]


class _NoDesign(AbstractInitialDesign):
    """None: the agent's own design comes first."""

    def _select_configurations(self) -> list[Configuration]:
        return []


@contextmanager
def _silent() -> Iterator[None]:
    """Without SMAC's log lines; its logger's level is put back."""
    logger = logging.getLogger("smac")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
