"""What an agent has asked and been told, and where to go when its optimiser repeats itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.encoding import Encoding
from simulator import Trial
from simulator.errors import SearchFinished

_EVERYTHING = "every affordable configuration has been asked"


class Archive:
    """Cells asked so far, and scores told.

    - `asked`: cells that were asked by this agent or told to it from elsewhere;
    - `pending`: asked and not yet told;
    - `scores`: score by cell on the full split, filed under the cell that was asked and under the
      one that answered: to ask the latter as well would tell nothing new;
    - `infeasible`: cells told as infeasible.
    """

    def __init__(self, encoding: Encoding, rng: np.random.Generator) -> None:
        self._encoding, self._rng = encoding, rng
        self.asked: set[int] = set()
        self.pending: set[int] = set()
        self.scores: dict[int, float] = {}
        self.infeasible: set[int] = set()
        self._affordable_asked = 0

    @property
    def exhausted(self) -> bool:
        """Whether every affordable cell has been asked."""
        return self._affordable_asked >= len(self._encoding.cells)

    def require_left(self) -> None:
        """Raises `SearchFinished` where nothing affordable is left to ask."""
        if self.exhausted:
            raise SearchFinished(_EVERYTHING)

    def ask(self, cell: int) -> None:
        """Note that a cell is asked."""
        self._mark(cell)
        self.pending.add(cell)

    def tell(self, trial: Trial) -> int | None:
        """File a trial; returns the cell that was asked, `None` where it is none of the grid's."""
        cell = self._encoding.cell_of(trial.asked)
        if cell is None:
            return None
        self._mark(cell)
        self.pending.discard(cell)
        if trial.score is None:
            self.infeasible.add(cell)
        elif trial.examples is None:
            self.scores[cell] = trial.score
            answered = cell if trial.answered is None else self._encoding.cell_of(trial.answered)
            if answered is not None and answered not in self.pending:
                self._mark(answered)
                self.scores.setdefault(answered, trial.score)
        return cell

    def fresh(self, cell: int) -> bool:
        """Whether a cell is affordable and has not been asked."""
        return cell not in self.asked and self._encoding.violation(cell) <= 0

    def nearest_fresh(self, cell: int) -> int:
        """The unasked affordable cell nearest to one; raises `SearchFinished` where none is left.

        Nearest is by `Encoding.distances`; ties go to the lower index. On grids of more than
        `MAX_POOL` affordable cells it looks among the cells that differ in one stage and a random
        sample of the rest.
        """
        self.require_left()
        if self.fresh(cell):
            return cell
        pool = self._encoding.pool(self._rng)
        if len(pool) < len(self._encoding.cells):
            pool = np.union1d(pool, self.neighbours(cell))
        left = pool[~np.isin(pool, np.fromiter(self.asked, dtype=np.int64))]
        if len(left) == 0:
            left = np.setdiff1d(self._encoding.cells, np.fromiter(self.asked, dtype=np.int64))
        return int(left[np.argmin(self._encoding.distances(left, cell))])

    def neighbours(self, cell: int) -> NDArray[np.int64]:
        """Affordable cells that differ from one in a single stage at most."""
        space = self._encoding.card.space
        options = space.options(np.array([cell]))[0]
        found = [
            cell + (np.arange(n) - option) * stride
            for n, option, stride in zip(space.n_options, options, space.strides, strict=True)
        ]
        cells = np.concatenate(found)
        position = np.searchsorted(self._encoding.cells, cells)
        position[position == len(self._encoding.cells)] = 0
        return np.asarray(cells[self._encoding.cells[position] == cells])

    def _mark(self, cell: int) -> None:
        if cell not in self.asked:
            self.asked.add(cell)
            self._affordable_asked += self._encoding.violation(cell) <= 0
