"""What all agents that think with a language model share: settings, history, a queue of asks."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Unpack, get_type_hints

import numpy as np
from pydantic import BaseModel, create_model

from agents.base import Agent
from agents.card import TaskCard
from agents.llm.proposals import Proposal, Strict, candidate_schema, read_candidate
from agents.llm.scrub import one_line
from agents.llm.settings import Thinking
from agents.llm.thinking import Answer, Checked, Thinker
from agents.llm.view import example_form, remembered, task_view, trial_views
from simulator import Ask, Configuration, Trial
from simulator.errors import UsageError


class LLMAgent(Agent, ABC):
    """An agent whose asks come from a language model.

    A subclass states its prompts in `prompts` and fills the queue in `think`. Settings of its own
    are keywords of its `__init__`; those in `Thinking` are added to its signature.

    A proposal that stays invalid after its repair rounds becomes a failed trial; one over the
    budget, or repeated, is asked for as it is. None is replaced by another.
    """

    prompts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = [
            p
            for p in inspect.signature(cls.__init__).parameters.values()
            if p.kind is not inspect.Parameter.VAR_KEYWORD and p.name != "self"
        ]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint)
            for name, hint in get_type_hints(Thinking).items()
        ]
        # The registry reads an agent's settings from its signature.
        cls.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]

    def __init__(
        self, card: TaskCard, rng: np.random.Generator, **settings: Unpack[Thinking]
    ) -> None:
        self.card, self.rng = card, rng
        self.thinker = Thinker(settings, rng)
        self.off_grid = bool(settings.get("off_grid", False))
        self._max_history = settings.get("max_history")
        if self._max_history is not None:
            at_least_one("max_history", self._max_history)
        self.trials: list[Trial] = []
        self.pending: list[Configuration] = []
        self._queue: deque[Ask] = deque()
        self._asked = 0
        self._common = {"task": task_view(card), "example": example_form(card)}
        self._candidate = candidate_schema(card, self.off_grid)

    # The agent's side -----------------------------------------------------------------------------

    @abstractmethod
    def think(self) -> Iterable[Ask]:
        """The next asks, at least one."""

    def ask(self) -> Ask:
        """The next of the asks thought of; thinks where there is none."""
        if not self._queue:
            self._queue.extend(self.think())
        ask = self._queue.popleft()
        self._asked += 1
        if not ask.invalid:
            self.pending.append(ask.configuration)
        return ask

    def tell(self, trial: Trial) -> None:
        """Keep a trial; it ends the waiting for its configuration."""
        self.trials.append(trial)
        self.thinker.has_trials = True
        if trial.asked in self.pending:
            self.pending.remove(trial.asked)

    @property
    def usage(self) -> Mapping[str, float]:
        """Tokens, dollars and seconds of thinking so far, with calls, repairs and mistakes."""
        return self.thinker.meter.usage()

    @property
    def remaining(self) -> int:
        """Trials that have not been asked for yet."""
        return max(1, self.card.trials - self._asked)

    @property
    def taken(self) -> set[Configuration]:
        """Configurations asked for so far, told or not, in the queue or out of it."""
        queued = (ask.configuration for ask in self._queue)
        return {*(trial.asked for trial in self.trials), *self.pending, *queued}

    @property
    def memory(self) -> list[tuple[int, Trial]]:
        """The trials that prompts may show, with their numbers from 1 in the order told."""
        return remembered(self.trials, self._max_history)

    # Building blocks ------------------------------------------------------------------------------

    def context(self, **more: Any) -> dict[str, Any]:
        """What every prompt is filled from: the task card, the run's own trials, and `more`."""
        return {
            **self._common,
            "trials": trial_views(self.memory, self.card.cost_unit),
            "pending": [str(configuration) for configuration in self.pending],
            "remaining": self.remaining,
            **more,
        }

    def candidates_schema(self, **more: Any) -> type[BaseModel]:
        """The schema of a reply with a list of candidates; `more` fields come before it."""
        fields: dict[str, Any] = {name: (kind, ...) for name, kind in more.items()}
        candidate: Any = list[self._candidate]  # type: ignore[name-defined]
        return create_model("Reply", __base__=Strict, **fields, candidates=(candidate, ...))

    def ask_batch(
        self, template: str, batch: int, *, schema: type[BaseModel] | None = None, **context: Any
    ) -> tuple[list[Proposal], Answer[dict[str, Any]]]:
        """Ask for `batch` candidates: the proposals in the model's order, and the last answer.

        Sound candidates of every repair round are kept; what is unsound in the last round stays in
        the list. At most `batch` come back, and never none: a reply without a candidate is one
        invalid proposal.
        """
        taken, sound = self.taken, dict[Configuration, Proposal]()
        last: list[Proposal] = []

        def read(reply: dict[str, Any]) -> Checked[dict[str, Any]]:
            nonlocal last
            last = self._read_batch(reply, taken, sound, batch)
            return Checked(reply, tuple(p.detail for p in last))

        shape = schema or self.candidates_schema()
        answer = self.thinker.ask(template, shape, read, self.context(batch=batch, **context))
        if answer.value is None:
            last = [Proposal(None, "", "invalid", "; ".join(answer.problems))]
        proposals = [*sound.values(), *last][:batch]
        return proposals, answer

    def _read_batch(
        self,
        reply: dict[str, Any],
        taken: Collection[Configuration],
        sound: dict[Configuration, Proposal],
        batch: int,
    ) -> list[Proposal]:
        """Put a reply's sound candidates into `sound`, return the others."""
        raw = reply.get("candidates")
        if raw is None and "configuration" in reply:
            raw = [reply]
        if not isinstance(raw, list) or (not raw and not self._may_be_empty(reply)):
            form = "a list of at least one candidate"
            return [Proposal(None, "", "invalid", f'"candidates" must be {form}')]
        wrong, seen = [], set[Configuration]()
        for item in raw[:batch]:
            proposal = read_candidate(item, self.card, taken, self.off_grid)
            asked = proposal.configuration
            if not proposal.problem and asked is not None:
                if asked in seen:
                    detail = f"{asked} stands in the list twice"
                    wrong.append(Proposal(asked, proposal.why, "repeated", detail))
                else:
                    sound.setdefault(asked, proposal)
                    seen.add(asked)
            else:
                wrong.append(proposal)
        return wrong

    def _may_be_empty(self, reply: dict[str, Any]) -> bool:
        """Whether a reply without candidates is a valid one."""
        return False

    def to_ask(self, proposal: Proposal, label: str) -> Ask:
        """A proposal as an ask; counts it, and the mistakes that stayed."""
        meter = self.thinker.meter
        meter.proposals += 1
        meter.invalid += proposal.problem in ("invalid", "over budget")
        meter.repeated += proposal.problem == "repeated"
        why = because(proposal.why, label)
        if proposal.configuration is None:
            return Ask.failed(f"invalid proposal: {one_line(proposal.detail)}", why)
        return Ask(proposal.configuration, why=why)


def because(reason: str, label: str) -> str:
    """A trace's sentence: the reason, then the prompt that it comes from."""
    return f"{one_line(reason) or 'no reason given'} [{label}]"


def at_least_one(name: str, value: object) -> int:
    """A setting that must be a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value
