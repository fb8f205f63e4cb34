"""What an agent is: something that asks for trials and is told of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from agents.card import TaskCard
from simulator import Ask, Configuration, Trial


@runtime_checkable
class Agent(Protocol):
    """A search algorithm. It is made as `Class(card, rng, **settings)`.

    All randomness comes from `rng`, so that the same seed gives the same asks. With several workers
    `ask` is called again before earlier asks are told; trials are told in the order in which they
    end. An infeasible trial is told with `feasible=False` and no score: it says that the
    configuration cannot be had, not that it is bad.

    A class that never draws from `rng` may say `deterministic = True`: where scores carry no noise
    a bench then runs it once and counts the run for every seed.
    """

    def __init__(self, card: TaskCard, rng: np.random.Generator) -> None: ...

    def ask(self) -> Configuration | Ask:
        """The next configuration to try; raises `SearchFinished` when there is none."""
        ...

    def tell(self, trial: Trial) -> None:
        """What came of an ask."""
        ...
