"""What a task is to the collectors: a chain of stages, each a prompt, a fuser and a score.

A stage renders a prompt from the example and the upstream result, an engine draws samples of it,
the stage's fuser makes one result of them, and that result is all that the next stage sees. A
result is therefore a text (JSON where it has parts): two configurations whose results are the same
text share everything after it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from simulator.errors import UnknownName

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Example:
    """One example of a task. `fields` holds question, gold answer and whatever the task needs.

    `id` enters the table; `fields` never does.
    """

    id: str
    split: SplitName
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """A stage's input: the example, and the fused result of the stage before (empty at first)."""

    example: Example
    upstream: str = ""


@dataclass(frozen=True)
class Prompt:
    """One prompt, for chat models and for base models alike.

    A chat model gets `system` and a user message of `text` and `images`. A base model gets
    `system`, `shots`, `text` and `lead` as running text: `lead` is where the answer begins
    ("Answer:"), and `shots` are worked examples, each a text and its answer, without which a model
    that was never tuned to follow instructions does not know the form. `images` are `data:` URLs.
    Generation ends at any of `stop`.
    """

    text: str
    system: str = ""
    lead: str = ""
    images: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    shots: tuple[tuple[str, str], ...] = ()

    def plain(self) -> str:
        """The prompt as running text."""
        worked = [f"{self._led(text)} {answer}" for text, answer in self.shots]
        return "\n\n".join([*([self.system] if self.system else []), *worked, self._led(self.text)])

    def _led(self, text: str) -> str:
        return f"{text}\n{self.lead}" if self.lead else text

    def messages(self) -> list[dict[str, Any]]:
        """The prompt as chat messages in the OpenAI form."""
        content: Any = self.text
        if self.images:
            parts = [{"type": "image_url", "image_url": {"url": url}} for url in self.images]
            content = [*parts, {"type": "text", "text": self.text}]
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": content}]

    def order(self) -> tuple[str, tuple[str, ...], str]:
        """Sort key that puts prompts of a common prefix next to each other."""
        return self.system, self.images, self.text


class Fuser(Protocol):
    """Makes one result of one or more samples; a pure function of its arguments."""

    def fuse(self, context: Context, texts: Sequence[str]) -> str:
        """The result of `texts`, at least one, in the order in which they were drawn."""
        ...

    def vote(self, context: Context, text: str) -> Hashable | None:
        """What one sample stands for; equal votes agree, `None` where it does not parse."""
        ...


@runtime_checkable
class ModelFuser(Protocol):
    """A fuser that asks the same model once more; a single sample passes without asking."""

    @property
    def temperature(self) -> float:
        """Temperature of the fusing call."""
        ...

    @property
    def max_tokens(self) -> int:
        """Largest answer of the fusing call."""
        ...

    def prompt(self, context: Context, texts: Sequence[str]) -> Prompt:
        """What to ask for two samples or more."""
        ...

    def finish(self, context: Context, texts: Sequence[str], answer: str) -> str:
        """The result, given the model's answer; for one sample `answer` is that sample."""
        ...

    def vote(self, context: Context, text: str) -> Hashable | None:
        """As `Fuser.vote`."""
        ...


Score = Callable[[Context, str], Mapping[str, float]]


@dataclass(frozen=True)
class StageSpec:
    """One stage: `prompt` renders, one of `fusers` (the first is the default) fuses, `score` gives
    the stage's own `metrics` of a result.

    `prompt_tokens` and `generated_tokens` are nominal counts per call, for plans made before
    anything ran. `score_alone` tells whether single samples are cheap enough to score one by one.
    """

    name: str
    prompt: Callable[[Context], Prompt]
    fusers: Mapping[str, Fuser | ModelFuser]
    score: Score
    metrics: tuple[str, ...]
    prompt_tokens: int
    generated_tokens: int
    max_tokens: int
    temperature: float = 0.7
    description: str = ""
    score_alone: bool = True

    def fuser(self, name: str | None) -> Fuser | ModelFuser:
        """A fuser by name, the default for `None`; raises `UnknownName`."""
        if name is None:
            return next(iter(self.fusers.values()))
        if name not in self.fusers:
            raise UnknownName(f"fuser of stage {self.name!r}", name, self.fusers)
        return self.fusers[name]


@dataclass(frozen=True)
class TaskSpec:
    """A task with its stages and loaded examples; `metric` is the one searched for.

    `facts` says in plain words how results are scored; it stands on the table's card. `version`
    changes when prompts, parsers or scores change, which makes another sweep.
    """

    name: str
    title: str
    metric: str
    stages: tuple[StageSpec, ...]
    examples: tuple[Example, ...]
    version: int = 1
    licence: str = "see the data set's card"
    source: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], None] | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of all stages, the searched one first."""
        found = dict.fromkeys(itertools.chain.from_iterable(s.metrics for s in self.stages))
        return self.metric, *(name for name in found if name != self.metric)


def key_of(text: str) -> str:
    """The short hash under which a result is stored: 64 bits of SHA-256, in hex.

    >>> key_of("")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
