"""An agent of your own: half of its asks are near its best configuration, half are drawn anew."""

import numpy as np

from agents import TaskCard
from simulator import Ask, Trial
from simulator.errors import SearchFinished


class MyAgent:
    """`local` is the share of asks that are neighbours of the best configuration so far."""

    def __init__(self, card: TaskCard, rng: np.random.Generator, *, local: float = 0.5) -> None:
        self.space, self.rng, self.local = card.space, rng, local
        self.left = card.feasible_cells  # affordable and not asked yet
        self.best, self.score = -1, -np.inf

    def ask(self) -> Ask:
        if not len(self.left):
            raise SearchFinished("every affordable configuration was asked")
        cells, why = self.left, "drawn at random"
        if self.best >= 0 and self.rng.random() < self.local:
            away = self.space.options(self.left) != self.space.options(np.array([self.best]))
            cells = self.left[away.sum(axis=1) == away.sum(axis=1).min()]
            why = "near the best so far"
        cell = int(self.rng.choice(cells))
        self.left = self.left[self.left != cell]
        return Ask(self.space.configuration(cell), why=why)

    def tell(self, trial: Trial) -> None:
        if trial.answered is not None and trial.score is not None and trial.score > self.score:
            self.best, self.score = self.space.cell(trial.answered), trial.score
