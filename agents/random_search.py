"""Random search: the floor that every other agent should clear."""

from __future__ import annotations

import numpy as np

from agents.base import Agent
from agents.card import TaskCard
from simulator import Configuration, Trial
from simulator.errors import SearchFinished

_DRAWN_AT_ONCE = 64


class RandomSearch(Agent):
    """Uniform over the feasible grid configurations, without repeats.

    A shuffle of the feasible cells that is carried on by one swap an ask (Fisher-Yates); only the
    cells that have moved are kept.
    """

    def __init__(self, card: TaskCard, rng: np.random.Generator) -> None:
        self._space, self._rng = card.space, rng
        self._cells = card.feasible_cells
        self._moved: dict[int, int] = {}
        self._uniform: list[float] = []
        self._asked = 0

    def ask(self) -> Configuration:
        here, n = self._asked, len(self._cells)
        if here >= n:
            raise SearchFinished("every feasible configuration has been asked")
        if not self._uniform:
            self._uniform = self._rng.random(_DRAWN_AT_ONCE).tolist()
        chosen = here + int(self._uniform.pop() * (n - here))
        position = self._moved.get(chosen, chosen)
        self._moved[chosen] = self._moved.pop(here, here)
        self._asked = here + 1
        return self._space.configuration(int(self._cells[position]))

    def tell(self, trial: Trial) -> None:
        """Random search learns nothing."""
