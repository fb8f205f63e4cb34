"""MLCopilot: experience on other tasks, made into knowledge, decides the next configuration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import numpy as np

from agents.card import TaskCard
from agents.llm import experience
from agents.llm.agent import LLMAgent, at_least_one
from agents.llm.experience import in_words
from agents.llm.proposals import Strict
from agents.llm.scrub import one_line
from agents.llm.settings import Thinking
from agents.llm.thinking import Checked
from agents.llm.view import trial_views
from simulator import Ask


class Knowledge(Strict):
    """Rules that should hold on other tasks too."""

    knowledge: list[str]


class MLCopilot(LLMAgent):
    """Knowledge from the experience once, then a configuration at a time by knowledge and nearness.

    Source: MLCopilot (arXiv 2304.14979). As there, numbers become words by quantiles, a model draws
    knowledge from the experience of other tasks, and the nearest tasks are shown beside it.
    Adapted: hyperparameters become models and sample counts, which the model names as they are, so
    that every configuration of the grid can be reached; nearness is that of the tasks' words; and
    the run's own trials are added in words, as a search goes on for many of them.

    `experience` is a file in the form of `agents.llm.experience`, the shipped one without it;
    `near` is how many tasks are shown with each question; `batch` how many configurations are asked
    for at a time.
    """

    prompts = ("mlcopilot/knowledge", "mlcopilot/propose")

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        experience: str | None = None,
        near: int = 3,
        batch: int = 1,
        **thinking: Unpack[Thinking],
    ) -> None:
        super().__init__(card, rng, **thinking)
        items = _usable(card, experience)
        shown = items[: at_least_one("near", near)]
        self._all = [in_words(item) for item in items]
        self._near = self._all[: len(shown)]
        self._batch = at_least_one("batch", batch)
        self.knowledge: tuple[str, ...] | None = None

    def think(self) -> Iterable[Ask]:
        if self.knowledge is None:
            self.knowledge = self._learn()
        proposals, answer = self.ask_batch(
            "mlcopilot/propose",
            min(self._batch, self.remaining),
            knowledge=self.knowledge,
            experience=self._near,
            words=self._own_words(),
        )
        return [self.to_ask(p, answer.label) for p in proposals]

    def _learn(self) -> tuple[str, ...]:
        def read(reply: dict[str, Any]) -> Checked[tuple[str, ...]]:
            lines = reply.get("knowledge")
            if not isinstance(lines, list) or not all(isinstance(x, str) for x in lines):
                return Checked((), ('"knowledge" must be a list of sentences',))
            return Checked(tuple(one_line(line, 500) for line in lines if line.strip())[:12])

        context = self.context(experience=self._all)
        answer = self.thinker.ask("mlcopilot/knowledge", Knowledge, read, context)
        return answer.value or ()

    def _own_words(self) -> list[dict[str, Any]]:
        """The run's own trials, their scores as words relative to each other."""
        numbered = [(n, t.score) for n, t in enumerate(self.trials, 1) if t.score is not None]
        words = experience.levels([score for _, score in numbered])
        word = {n: level for (n, _), level in zip(numbered, words, strict=True)}
        views = trial_views(self.memory, self.card.cost_unit)
        return [
            {**view, "outcome": f"score {word[n]}"} if n in word else view
            for view, (n, _) in zip(views, self.memory, strict=True)
        ]


def _usable(card: TaskCard, path: str | None) -> list[experience.Experience]:
    items = experience.usable(card, experience.load(path))
    return experience.nearest(card, items, len(items))
