"""A run's conversation with its model: prompts in, checked answers out, mistakes counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from agents.llm import templates
from agents.llm.parsing import read_reply
from agents.llm.port import ChatModel, Message, ModelError, Reply, Request
from agents.llm.settings import Thinking, chat_model, meter, sampling
from simulator.errors import SearchAborted, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Checked(Generic[T]):
    """What was read out of a reply, and what is wrong with it, in words for the model."""

    value: T
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The last reading of a reply after its repair rounds; `problems` are those that stayed.

    `value` is `None` where no reply could be read at all; `label` names the prompt.
    """

    value: T | None
    problems: tuple[str, ...]
    label: str


@dataclass
class Thinker:
    """Fills prompts, calls the model within its limits, and has mistakes corrected.

    Raises `SpendingLimit` before a call that could pass a limit. A model that cannot be reached
    raises `ModelError` while nothing is lost, and `SearchAborted` once the run holds trials.
    """

    settings: Thinking
    rng: np.random.Generator
    model: ChatModel = field(init=False)

    def __post_init__(self) -> None:
        self.repairs = self.settings.get("repairs", 2)
        if not isinstance(self.repairs, int) or self.repairs < 0:
            raise UsageError(f"repairs must be a whole number of at least 0, not {self.repairs!r}")
        self.model = chat_model(self.settings)
        self.sampling = sampling(self.settings, self.rng)
        self.meter = meter(self.settings)
        self.has_trials = False

    def ask(
        self,
        template: str,
        schema: type[BaseModel],
        read: Callable[[dict[str, Any]], Checked[T]],
        context: Mapping[str, Any],
    ) -> Answer[T]:
        """One question with up to `repairs` corrections.

        `schema` is sent to servers that take one; `read` checks the reply's object. Each correction
        repeats the whole conversation with the model's reply and what is wrong with it.
        """
        system = templates.render("system", context)
        prompt = templates.render(template, context)
        json_schema = schema.model_json_schema(by_alias=True)
        messages = [Message("system", system.text), Message("user", prompt.text)]
        for attempt in range(self.repairs + 1):
            reply = self._call(template, tuple(messages), json_schema)
            found, problem = read_reply(reply)
            checked = None if found is None else read(found)
            problems = (problem,) if checked is None else checked.problems
            if not problems or attempt == self.repairs:
                break
            self.meter.repairs += 1
            said = reply.text or reply.refusal or "(no reply)"
            repair = templates.render("repair", {**context, "problems": problems})
            messages += [Message("assistant", said), Message("user", repair.text)]
        return Answer(None if checked is None else checked.value, problems, prompt.label)

    def _call(
        self, purpose: str, messages: tuple[Message, ...], schema: Mapping[str, Any]
    ) -> Reply:
        request = Request(messages, self.sampling, schema, self.meter.calls, purpose)
        self.meter.check(request)
        try:
            reply = self.model.reply(request)
        except ModelError as error:
            if self.has_trials:
                raise SearchAborted(f"the search stops and keeps its trials: {error}") from None
            raise
        self.meter.add(request, reply)
        return reply
