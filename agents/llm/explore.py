"""Candidates by crossover, mutation and chance: exploration that a model may order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from agents.card import TaskCard
from simulator import Choice, Configuration, Trial

_TRIES = 200
_PARENTS = 6
"""Crossover and mutation begin from the best so many different configurations."""

Made = tuple[Configuration, str]
Operator = Callable[
    [TaskCard, Sequence[Trial], np.random.Generator, Collection[Configuration]], Made | None
]


def parents(trials: Sequence[Trial]) -> list[Trial]:
    """The best trials of different configurations, best first."""
    best: dict[Configuration, Trial] = {}
    for trial in sorted(trials, key=lambda t: -(t.score if t.score is not None else -np.inf)):
        if trial.score is not None:
            best.setdefault(trial.asked, trial)
    return list(best.values())[:_PARENTS]


def crossover(
    card: TaskCard,
    trials: Sequence[Trial],
    rng: np.random.Generator,
    taken: Collection[Configuration],
) -> Made | None:
    """Each stage from one or the other of two good trials; new and within the budget."""
    pool = parents(trials)
    if len(pool) < 2 or len(card.stages) < 2:
        return None
    for _ in range(_TRIES):
        a, b = (pool[int(i)] for i in rng.choice(len(pool), 2, replace=False))
        pick = rng.random(len(card.stages)) < 0.5
        pairs = zip(a.asked.choices, b.asked.choices, pick, strict=True)
        child = Configuration(tuple(x if first else y for x, y, first in pairs))
        if _new(child, card, taken):
            return child, f"crossover of trials {a.index + 1} and {b.index + 1}"
    return None


def mutation(
    card: TaskCard,
    trials: Sequence[Trial],
    rng: np.random.Generator,
    taken: Collection[Configuration],
) -> Made | None:
    """One stage of a good trial with another model or a near sample count."""
    pool = parents(trials)
    if not pool:
        return None
    for _ in range(_TRIES):
        parent = pool[int(rng.integers(len(pool)))]
        i = int(rng.integers(len(card.stages)))
        stage, choices = card.stages[i], list(parent.asked.choices)
        name, model, samples = choices[i]
        if rng.random() < 0.5:
            model = stage.models[int(rng.integers(len(stage.models)))].name
        else:
            at = int(np.argmin([abs(s - samples) for s in stage.samples]))
            at += int(rng.choice([-2, -1, 1, 2]))
            samples = stage.samples[min(max(at, 0), len(stage.samples) - 1)]
        choices[i] = Choice(name, model, samples)
        child = Configuration(tuple(choices))
        if _new(child, card, taken):
            return child, f"mutation of trial {parent.index + 1} in stage {name}"
    return None


def at_random(
    card: TaskCard,
    trials: Sequence[Trial],
    rng: np.random.Generator,
    taken: Collection[Configuration],
) -> Made | None:
    """Any new configuration of the grid within the budget."""
    cells = card.feasible_cells
    for _ in range(_TRIES):
        child = card.space.configuration(int(rng.choice(cells)))
        if child not in taken:
            return child, "at random within the budget"
    for cell in cells[rng.permutation(len(cells))]:
        if (child := card.space.configuration(int(cell))) not in taken:
            return child, "at random within the budget"
    return None


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {"crossover": crossover, "mutation": mutation, "random": at_random}
)


def _new(child: Configuration, card: TaskCard, taken: Collection[Configuration]) -> bool:
    return child not in taken and card.feasible(child)
