"""The planner's loop: candidates, choice of the next ask, and its explanation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from agents.card import TaskCard
from agents.insight.belief import Belief, Outlook
from agents.insight.explain import explain, explain_first
from agents.insight.prior import Hypothesis, StageFeatures, hypotheses
from simulator import Ask, Configuration, Trial
from simulator.errors import SearchFinished, UsageError

MAX_CANDIDATES = 20_000
"""Beyond so many affordable cells the planner weighs a part of them (see `_candidates`)."""


class InsightPlanner(Agent):
    """Search by the three insights, with no language model.

    `insights` are those it starts from: with `(1, 3)` it does not assume that curves over samples
    rise, saturate and fall; without 3 it changes one stage at a time. `max_candidates` bounds the
    cells that it weighs at a time. It draws nothing from `rng`.
    """

    deterministic = True

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        insights: tuple[int, ...] | list[int] = (1, 2, 3),
        max_candidates: int = MAX_CANDIDATES,
    ) -> None:
        unknown = set(insights) - {1, 2, 3}
        if unknown:
            raise UsageError(f"insights are 1, 2 and 3, not {sorted(unknown)}")
        self._card, self._max = card, max_candidates
        self._insights = frozenset(insights)
        self._cells = self._candidates()
        self._belief = Belief(
            tuple(_ablated(h, insights) for h in hypotheses()),
            StageFeatures.of(card),
            card.space.options(self._cells),
        )
        self._asked: set[int] = set()
        self._scores: list[float] = []
        self._told: set[int] = set()
        self._pending: list[int] = []
        self._scale = 1.0
        self._best: int | None = None

    # Candidates -----------------------------------------------------------------------------------

    def _candidates(self) -> NDArray[np.int64]:
        """All affordable cells, or, of too many, an arbitrary part of them, always the same."""
        cells = self._card.feasible_cells
        if len(cells) <= self._max:
            return cells
        return np.sort(np.random.default_rng(0).choice(cells, self._max, replace=False))

    def _add_neighbours(self) -> None:
        """In a thinned space, weigh the incumbent's neighbours: one stage changed, or two a bit."""
        if len(self._card.feasible_cells) <= self._max or self._best is None:
            return
        space = self._card.space
        here = space.options(np.array([self._best]))[0]
        lists = [np.array([self._best])]
        for i, stride in enumerate(space.strides.tolist()):
            away = np.arange(space.n_options[i]) - here[i]
            lists.append(self._best + away * stride)
            for j, other in enumerate(space.strides.tolist()[:i]):
                near = np.arange(-3, 4)
                first = near[(here[i] + near >= 0) & (here[i] + near < space.n_options[i])]
                second = near[(here[j] + near >= 0) & (here[j] + near < space.n_options[j])]
                moves = first[:, None] * stride + second[None, :] * other
                lists.append(self._best + moves.ravel())
        near_cells = np.unique(np.concatenate(lists))
        options = space.options(near_cells)
        costs = sum(part[options[:, i]] for i, part in enumerate(self._card.option_costs))
        near_cells = near_cells[costs <= self._card.limit]
        if np.isin(near_cells, self._cells).all():
            return
        self._cells = np.union1d(self._cells, near_cells)
        self._belief.extend(space.options(self._cells))

    # Asking ---------------------------------------------------------------------------------------

    def ask(self) -> Ask:
        free = ~np.isin(self._cells, np.fromiter(self._asked, dtype=np.int64))
        if not free.any():
            raise SearchFinished("every affordable configuration has been asked")
        told = len(self._scores)
        for cell in self._pending:
            self._belief.add(self._card.space.options(np.array([cell]))[0])
        scores = np.array(self._scores) / self._scale
        outlooks = self._belief.outlooks(scores, min(1.0, told / self._card.trials))
        weights = self._belief.weights(scores)
        self._belief.drop(told)
        if told == 0:
            value = _mixed([o.mean + 0.5 * o.deviation for o in outlooks], weights)
        else:
            best = float(scores.max())
            value = _mixed([o.expected_improvement(best) for o in outlooks], weights)
        value = np.where(free & self._in_reach(free), value, -np.inf)
        chosen = int(np.argmax(value))
        cell = int(self._cells[chosen])
        self._asked.add(cell)
        self._pending.append(cell)
        return Ask(self._card.space.configuration(cell), why=self._why(chosen, outlooks, weights))

    def _in_reach(self, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Without insight 3, only what differs from the best so far in one stage."""
        if 3 in self._insights or self._best is None:
            return free
        here = self._card.space.options(np.array([self._best]))[0]
        near = (self._belief.options != here).sum(axis=1) == 1
        return near if (near & free).any() else free

    def _why(self, chosen: int, outlooks: list[Outlook], weights: NDArray[np.float64]) -> str:
        cell = int(self._cells[chosen])
        if self._best is None:
            return explain_first(self._card, cell)
        mean = float(sum(w * o.mean[chosen] for w, o in zip(weights, outlooks, strict=True)))
        deviation = float(
            sum(w * o.deviation[chosen] for w, o in zip(weights, outlooks, strict=True))
        )
        leader = int(np.argmax(weights))
        doubt = self._belief.posteriors[leader].hypothesis.gives_up
        return explain(
            self._card,
            cell,
            self._best,
            mean * self._scale,
            deviation * self._scale,
            doubt,
            float(weights[leader]),
        )

    # Learning -------------------------------------------------------------------------------------

    def tell(self, trial: Trial) -> None:
        cell = self._cell_of(trial.asked)
        if cell is not None:
            self._asked.add(cell)
            if cell in self._pending:
                self._pending.remove(cell)
        if trial.score is None or trial.answered is None or trial.examples is not None:
            return
        answered = self._cell_of(trial.answered)
        if answered is None or answered in self._told:
            return
        if not self._scores and abs(trial.score) > 1.5:
            self._scale = 10.0 ** float(np.ceil(np.log10(abs(trial.score))))
        better = not self._scores or trial.score > max(self._scores)
        self._asked.add(answered)
        self._told.add(answered)
        self._scores.append(trial.score)
        self._belief.add(self._card.space.options(np.array([answered]))[0])
        if better:
            self._best = answered
            self._add_neighbours()
        if self._due():
            self._belief.adapt(np.array(self._scores) / self._scale)

    def _due(self) -> bool:
        """After each of the first trials, then ever more seldom (nine times a fourfold archive)."""
        n = len(self._scores)
        return n >= 2 and int(n**0.5 * 3) > int((n - 1) ** 0.5 * 3)

    def _cell_of(self, configuration: Configuration) -> int | None:
        """Cell of a configuration, `None` where it is off the grid or empty (a failed ask)."""
        if not configuration.choices:
            return None
        cell = self._card.space.cell(configuration)
        return cell if cell >= 0 else None


def _mixed(values: list[NDArray[np.float64]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(sum(w * v for w, v in zip(weights, values, strict=True)))


def _ablated(h: Hypothesis, insights: tuple[int, ...] | list[int]) -> Hypothesis:
    """The hypothesis without what the insights left out would have told it."""
    if 1 not in insights:
        h = replace(h, mean_size=0.0, mean_both=0.0, mean_load_size=0.0, slope=0.0)
    if 2 not in insights:
        h = replace(
            h, mean_linear=0.0, mean_square=0.0, mean_cube=0.0, mean_both=0.0, mean_load=0.0,
            mean_load_size=0.0, reading=0.0,
        )  # fmt: skip
    if 3 not in insights:
        h = replace(h, pair=0.0)
    return h
