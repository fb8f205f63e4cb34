"""AgentHPO: a creator that proposes with a rationale, an executor that logs what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import numpy as np

from agents.card import TaskCard
from agents.llm.agent import LLMAgent, at_least_one
from agents.llm.scrub import one_line
from agents.llm.settings import Thinking
from agents.llm.view import best_line, trial_views
from simulator import Ask


class AgentHPO(LLMAgent):
    """Initial trials with rationales, then one trial at a time from the log of all before it.

    Source: AgentHPO (arXiv 2402.01881), adapted as the public discussion of arXiv 2508.00890
    describes: hyperparameters become models and sample counts of stages, the training run becomes a
    trial. The executor's part, running and logging, is the harness's; its analysis of a result is
    the `lesson` that the model states in the same call in which it proposes the next trial. The log
    holds configuration, rationale, result and lesson. With several workers the model is told which
    trials are still running.
    """

    prompts = ("agenthpo/initial", "agenthpo/next")

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        initial: int = 3,
        **thinking: Unpack[Thinking],
    ) -> None:
        super().__init__(card, rng, **thinking)
        self._initial = at_least_one("initial", initial)
        self._lessons: dict[int, str] = {}
        self._begun = False

    def think(self) -> Iterable[Ask]:
        if not self._begun:
            self._begun = True
            batch = min(max(self._initial, self.card.workers), self.remaining)
            proposals, answer = self.ask_batch("agenthpo/initial", batch)
            return [self.to_ask(p, answer.label) for p in proposals]
        proposals, answer = self.ask_batch(
            "agenthpo/next",
            1,
            schema=self.candidates_schema(lesson=str),
            log=self._log(),
            best=best_line(self.trials, self.card.cost_unit),
        )
        lesson = (answer.value or {}).get("lesson")
        if isinstance(lesson, str) and lesson.strip() and self.trials:
            self._lessons[len(self.trials)] = one_line(lesson)
        return [self.to_ask(p, answer.label) for p in proposals]

    def _log(self) -> list[dict[str, Any]]:
        views = trial_views(self.memory, self.card.cost_unit)
        return [
            {**view, "why": trial.why.rpartition(" [")[0], "lesson": self._lessons.get(n, "")}
            for view, (n, trial) in zip(views, self.memory, strict=True)
        ]
