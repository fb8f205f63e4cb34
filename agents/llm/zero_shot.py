"""A model's own judgement: configurations from the task card alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

import numpy as np

from agents.card import TaskCard
from agents.llm.agent import LLMAgent, at_least_one
from agents.llm.settings import Thinking
from simulator import Ask


class ZeroShot(LLMAgent):
    """Asks for `batch` configurations at a time, best first, and never tells how they scored.

    The `LLM_ZS` baseline of arXiv 2508.00890. Adapted: as a search runs for many trials, the model
    is asked again for others than those that it named, which it is shown without their scores.
    """

    prompts = ("zero_shot/propose",)

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        batch: int = 10,
        **thinking: Unpack[Thinking],
    ) -> None:
        super().__init__(card, rng, **thinking)
        self._batch = at_least_one("batch", batch)

    def think(self) -> Iterable[Ask]:
        named = [t.asked for t in self.trials if t.asked.choices] + self.pending
        proposals, answer = self.ask_batch(
            "zero_shot/propose",
            min(self._batch, self.remaining),
            asked=[str(configuration) for configuration in dict.fromkeys(named)],
        )
        return [self.to_ask(proposal, answer.label) for proposal in proposals]
