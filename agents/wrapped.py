"""What all agents share that wrap another library's optimiser.

The library proposes, and this decides what becomes of a proposal:

- affordable and new: it is asked;
- over the budget: no trial is spent on what is known to be infeasible, since the card has the cost
  formula. The library is told by how much the budget is exceeded, as a constraint where it takes
  constraints and by drawing again where it does not; never as a bad score;
- asked before: the library gets the score that is known already, or draws again.

After `TRIES` proposals in a row that cannot be asked, the affordable unasked configuration nearest
to the last one is asked in its place, so that a library that has converged does not stall a search.
When none is left, the search is finished.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np

from agents.archive import Archive
from agents.card import TaskCard
from agents.design import spread_design
from agents.encoding import Encoding
from simulator import Ask, Configuration, Trial
from simulator.errors import UsageError

Proposal = TypeVar("Proposal")

TRIES = 32


class Wrapped(ABC, Generic[Proposal]):
    """An agent around an optimiser whose proposals are of the type `Proposal`.

    `warm_start` trials of the spread design come first; the optimiser is told of them.
    """

    def __init__(self, card: TaskCard, rng: np.random.Generator, warm_start: int) -> None:
        self.card, self.rng = card, rng
        self.encoding = Encoding(card)
        self.archive = Archive(self.encoding, rng)
        self._design = spread_design(self.encoding, rng, warm_start)[::-1] if warm_start else []
        self._asked: dict[int, Proposal] = {}

    @abstractmethod
    def propose(self) -> tuple[Proposal, int]:
        """The optimiser's next proposal and its cell, affordable or not."""

    @abstractmethod
    def refuse(self, proposal: Proposal, cell: int) -> None:
        """A proposal that is not asked: over the budget, pending, or with a known result."""

    @abstractmethod
    def place(self, cell: int) -> Proposal:
        """A proposal of this agent's own making, as if the optimiser had made it."""

    @abstractmethod
    def learn(self, proposal: Proposal, cell: int, score: float | None) -> None:
        """The result of a proposal; `None` says that the configuration cannot be had."""

    def ask(self) -> Configuration | Ask:
        with quiet():
            cell, proposal = self._next()
        self.archive.ask(cell)
        self._asked[cell] = proposal
        return self.card.space.configuration(cell)

    def tell(self, trial: Trial) -> None:
        """Passes a trial on; one that this agent did not ask for counts as placed by hand."""
        cell = self.archive.tell(trial)
        if cell is None or (trial.examples is not None and trial.score is not None):
            return
        with quiet():
            proposal = self._asked.pop(cell, None)
            if proposal is None:
                proposal = self.place(cell)
            self.learn(proposal, cell, trial.score)

    def _next(self) -> tuple[int, Proposal]:
        self.archive.require_left()
        while self._design:
            cell = self._design.pop()
            if self.archive.fresh(cell):
                return cell, self.place(cell)
        cell = 0
        for _ in range(TRIES):
            proposal, cell = self.propose()
            if self.archive.fresh(cell):
                return cell, proposal
            self.refuse(proposal, cell)
        cell = self.archive.nearest_fresh(cell)
        return cell, self.place(cell)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings and without the complaints of floating-point arithmetic."""
    import warnings

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def seed_from(rng: np.random.Generator) -> int:
    """A seed for a library that takes an integer."""
    return int(rng.integers(2**31 - 1))


def at_least(agent: str, setting: str, value: float, least: float) -> None:
    """Raises `UsageError` where a setting is below its least value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        raise UsageError(f"{agent}: {setting} must be at least {least:g}, not {value!r}")
