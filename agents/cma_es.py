"""CMA-ES for categories and grid points: CatCMA with margin, of the package `cmaes`.

Hamano et al. 2025, "CatCMA with Margin". A stage's samples are a discrete variable whose values are
log positions, its model a categorical one.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from cmaes import CatCMAwM
from numpy.typing import NDArray

from agents.card import TaskCard
from agents.wrapped import Wrapped, at_least, quiet, seed_from

Solution: TypeAlias = Any
"""`CatCMAwM.Solution`: the package has no types."""

_STALE = 64
"""Proposals in a row that are known already, after which the distribution starts again."""


class CMAES(Wrapped[Solution | None]):
    """`CatCMAwM` of the package `cmaes`.

    Settings:

    - `population`: solutions of a generation (default 6; CMA-ES's own rule would take 4 + 3 ln d);
    - `warm_start`: trials of the spread design, the best of which is where the distribution starts
      (default 10);
    - `sigma`: initial step size, in units of the distribution's own (a fifth of the range; default
      1).

    CMA-ES ranks a generation and has no constraints. A solution over the budget, or one whose trial
    came back infeasible, is drawn again and never ranked, as its authors advise where a feasible
    one is easily drawn. A solution with a known score is ranked with it at no trial. When proposals
    repeat what is known, the distribution starts again at the best configuration so far.
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        population: int = 6,
        warm_start: int = 10,
        sigma: float = 1.0,
    ) -> None:
        at_least("cmaes", "population", population, 2)
        at_least("cmaes", "warm_start", warm_start, 0)
        at_least("cmaes", "sigma", sigma, 1e-3)
        super().__init__(card, rng, warm_start)
        self._population, self._sigma = population, sigma
        self._grids: list[NDArray[np.float64]] = []
        self._discrete: list[int] = []
        self._categorical: list[int] = []
        for i, stage in enumerate(self.encoding.stages):
            units = self.encoding.units[i][: int(stage.largest.max()) + 1]
            if len(units) > 1:
                self._discrete.append(i)
                self._grids.append(units)
            if len(stage.models) > 1:
                self._categorical.append(i)
        self._optimizer: CatCMAwM | None = None
        self._generation: list[tuple[Solution, float]] = []
        self._known_in_a_row = 0

    def propose(self) -> tuple[Solution | None, int]:
        if not self._discrete and not self._categorical:
            return None, int(self.encoding.cells[0])
        optimizer = self._optimizer
        if optimizer is None or self._known_in_a_row >= _STALE:
            optimizer = self._restart()
        solution = optimizer.ask()
        if not self._sound(solution):
            solution = self._restart().ask()
        return solution, self._cell(solution)

    def refuse(self, proposal: Solution | None, cell: int) -> None:
        self._known_in_a_row += 1
        if cell in self.archive.scores:
            self._rank(proposal, self.archive.scores[cell])

    def place(self, cell: int) -> Solution | None:
        return None

    def learn(self, proposal: Solution | None, cell: int, score: float | None) -> None:
        if proposal is not None and score is not None:
            self._known_in_a_row = 0
            self._rank(proposal, score)

    def _rank(self, solution: Solution | None, score: float) -> None:
        if self._optimizer is None or solution is None:
            return
        self._generation.append((solution, -score))
        if len(self._generation) == self._population:
            self._optimizer.tell(self._generation)
            self._generation = []

    def _restart(self) -> CatCMAwM:
        scores = self.archive.scores
        best = max(scores, key=lambda cell: (scores[cell], -cell)) if scores else None
        cell = best if best is not None else int(self.rng.choice(self.encoding.cells))
        models, positions = self.encoding.parts(cell)
        mean = np.array([self.encoding.units[i][positions[i]] for i in self._discrete])
        spread = np.array([np.ptp(grid) / 5.0 for grid in self._grids])
        probabilities = None
        if self._categorical:
            counts = [len(self.encoding.stages[i].models) for i in self._categorical]
            probabilities = np.zeros((len(counts), max(counts)))
            for row, (i, n) in enumerate(zip(self._categorical, counts, strict=True)):
                probabilities[row, :n] = 0.5 / n
                at = np.flatnonzero(self.encoding.stages[i].models == models[i])
                probabilities[row, at] += 0.5
                probabilities[row] /= probabilities[row].sum()
        with quiet():
            optimizer = CatCMAwM(
                z_space=[grid.tolist() for grid in self._grids] or None,
                c_space=[len(self.encoding.stages[i].models) for i in self._categorical] or None,
                population_size=self._population,
                mean=mean if len(mean) else None,
                sigma=self._sigma,
                cov=np.diag(spread**2) if len(mean) else None,
                cat_param=probabilities,
                seed=seed_from(self.rng),
            )
        self._optimizer, self._generation, self._known_in_a_row = optimizer, [], 0
        return optimizer

    def _sound(self, solution: Solution) -> bool:
        """Whether every category was drawn; not so once a probability is not a number."""
        return solution.c is None or bool(np.asarray(solution.c).any(axis=1).all())

    def _cell(self, solution: Solution) -> int:
        models = [int(stage.models[0]) for stage in self.encoding.stages]
        positions = [0] * self.encoding.n_stages
        for row, i in enumerate(self._categorical):
            models[i] = int(self.encoding.stages[i].models[int(np.argmax(solution.c[row]))])
        for row, i in enumerate(self._discrete):
            positions[i] = self.encoding.nearest(i, float(solution.z[row]))
        return self.encoding.cell(models, positions)
