"""Hyperband: many configurations on few training examples, the best of them on more.

Li et al. 2018. A rung of a bracket scores its configurations on a share of the training examples,
which costs that share of the seconds; the best third go on to the next rung, on three times as
many. Brackets differ in how small a share they start with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from agents.archive import Archive
from agents.card import TaskCard
from agents.design import spread_design
from agents.encoding import Encoding
from agents.random_search import RandomSearch
from agents.wrapped import at_least
from simulator import Ask, Configuration, Trial
from simulator.errors import SearchFinished, UsageError


@dataclass
class _Rung:
    """Configurations that are scored on so many examples (`None`: all), at most `size` of them."""

    examples: int | None
    size: int
    filled: bool = False
    waiting: list[int] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    scores: dict[int, float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.filled and not self.waiting and not self.running

    def fill(self, cells: list[int]) -> None:
        self.waiting, self.filled = cells, True


class Hyperband:
    """Hyperband over the number of training examples.

    Settings:

    - `eta`: one in how many configurations goes on to the next rung, and by how much the examples
      grow (default 3);
    - `smallest`: least share of the training examples that a rung may use (default 1/9).

    Where the table has no per-example outcomes there is nothing cheaper than a full trial, and this
    is random search. Only trials on all examples can be the incumbent, so the last trials of a
    search (one in ten, at least one) always are: the best of what has only been seen on fewer
    examples. With several workers a bracket whose rung is still running lets the next one begin.
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        eta: int = 3,
        smallest: float = 1 / 9,
    ) -> None:
        at_least("hyperband", "eta", eta, 2)
        if not 0.0 < smallest <= 1.0:
            raise UsageError(f"hyperband: smallest must be above 0 and at most 1, not {smallest!r}")
        self._card, self._rng, self._eta = card, rng, int(eta)
        self._encoding = Encoding(card)
        self._archive = Archive(self._encoding, rng)
        self._uniform = RandomSearch(card, rng)
        self._design = spread_design(self._encoding, rng, card.space.n_stages + 3)[::-1]
        self._n_asked = 0
        self._final = max(1, card.trials // 10)
        self._brackets: list[list[_Rung]] = []
        self._rung_of: dict[tuple[int, int | None], _Rung] = {}
        self._on_all_examples: set[int] = set()
        self._partial: dict[int, tuple[int, float]] = {}
        self._levels = 0
        if card.examples is not None:
            while self._eta ** (self._levels + 1) * smallest <= 1.0 + 1e-9 and (
                card.examples >= self._eta ** (self._levels + 1)
            ):
                self._levels += 1
        self._next_bracket = self._levels

    def ask(self) -> Configuration | Ask:
        ask = self._next()
        self._n_asked += 1
        return ask

    def tell(self, trial: Trial) -> None:
        cell = self._archive.tell(trial)
        if cell is None:
            return
        if trial.examples is None or trial.score is None:
            self._on_all_examples.add(cell)
            self._partial.pop(cell, None)
        elif cell not in self._on_all_examples:
            seen = self._partial.get(cell, (0, 0.0))
            self._partial[cell] = max(seen, (trial.examples, trial.score))
        rung = self._rung_of.pop((cell, trial.examples), None)
        if rung is not None:
            rung.running.discard(cell)
            if trial.score is not None:
                rung.scores[cell] = trial.score

    def _next(self) -> Configuration | Ask:
        if self._levels == 0:
            return self._whole(self._new_cell())
        if self._card.trials - self._n_asked <= self._final:
            best = self._best_partial()
            return self._whole(self._new_cell() if best is None else best)
        for bracket in self._brackets:
            for i, rung in enumerate(bracket):
                if i > 0 and not rung.filled and bracket[i - 1].done:
                    rung.fill(_best_of(bracket[i - 1], rung.size))
                while rung.waiting:
                    cell = rung.waiting.pop(0)
                    if cell not in self._on_all_examples:
                        return self._on_rung(cell, rung)
        cells = self._open_bracket()
        if cells:
            rung = self._brackets[-1][0]
            return self._on_rung(rung.waiting.pop(0), rung)
        best = self._best_partial()
        if best is None:
            raise SearchFinished("every affordable configuration has been asked")
        return self._whole(best)

    def _open_bracket(self) -> list[int]:
        """The next bracket, as large as the trials that are left allow; returns its first rung."""
        s = self._next_bracket
        self._next_bracket = s - 1 if s > 0 else self._levels
        left = self._card.trials - self._n_asked - self._final
        sizes = self._sizes(s)
        while s > 0 and sum(sizes) > left:
            s -= 1
            sizes = self._sizes(s)
        cells: list[int] = []
        while len(cells) < sizes[0]:
            try:
                cells.append(self._new_cell())
            except SearchFinished:
                break
        rungs = [_Rung(self._examples(s - k), size) for k, size in enumerate(sizes)]
        rungs[0].fill(list(cells))
        self._brackets = [b for b in self._brackets if not all(r.done for r in b)] + [rungs]
        return cells

    def _sizes(self, s: int) -> list[int]:
        """Configurations on each rung of the bracket that starts `s` levels below all examples."""
        top = math.ceil((self._levels + 1) / (s + 1))
        return [top * self._eta ** (s - k) for k in range(s + 1)]

    def _examples(self, level: int) -> int | None:
        whole = self._card.examples
        if level == 0 or whole is None:
            return None
        return max(1, round(whole / float(self._eta**level)))

    def _best_partial(self) -> int | None:
        """Of what no full trial has had: the one that came furthest, then of highest score."""
        known = self._partial
        return min(known, key=lambda c: (-known[c][0], -known[c][1], c)) if known else None

    def _new_cell(self) -> int:
        while self._design:
            cell = self._design.pop()
            if self._archive.fresh(cell):
                self._archive.ask(cell)
                return cell
        while True:
            cell = self._card.space.cell(self._uniform.ask())
            if self._archive.fresh(cell):
                self._archive.ask(cell)
                return cell

    def _on_rung(self, cell: int, rung: _Rung) -> Configuration | Ask:
        rung.running.add(cell)
        self._rung_of[cell, rung.examples] = rung
        if rung.examples is None:
            return self._whole(cell)
        why = f"on {rung.examples} of {self._card.examples} examples"
        return Ask(self._card.space.configuration(cell), examples=rung.examples, why=why)

    def _whole(self, cell: int) -> Configuration:
        self._on_all_examples.add(cell)
        self._partial.pop(cell, None)
        self._archive.ask(cell)
        return self._card.space.configuration(cell)


def _best_of(rung: _Rung, size: int) -> list[int]:
    return sorted(rung.scores, key=lambda cell: (-rung.scores[cell], cell))[:size]
