"""The engine interface: prompts in; per prompt n texts with token counts, finish reasons, seeds.

An engine is one file in this folder and one line in the registry of `collectors.engines`, or any
class with these methods, named as `module:Class` in the sweep file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from collectors.pipeline import Prompt
from collectors.sweep import ModelEntry, Sampling


@dataclass(frozen=True)
class Request:
    """`n` samples of one prompt; sample k is drawn with the seed `seed + k`."""

    prompt: Prompt
    n: int
    seed: int
    sampling: Sampling


@dataclass(frozen=True)
class Draw:
    """One sample. `tokens` counts generated tokens, the end-of-text token included where the engine
    counts it; `finish` is "stop" or "length"; `seed` is the effective one, -1 where the engine
    cannot seed single requests."""

    text: str
    tokens: int
    finish: str
    seed: int


@dataclass(frozen=True)
class Reply:
    """What a request gave: its draws, or `error` where the infrastructure failed.

    `prompt_tokens` counts the prompt once, however many samples were drawn.
    """

    draws: tuple[Draw, ...] = ()
    prompt_tokens: int = 0
    error: str = ""


@dataclass(frozen=True)
class Batch:
    """Replies in the order of the requests, and the seconds that they took together."""

    replies: tuple[Reply, ...]
    seconds: float


@dataclass(frozen=True)
class Chunk:
    """The unit of storing: requests drawn and written together. `number` tells chunks apart."""

    number: int
    requests: tuple[Request, ...]


class Engine(Protocol):
    """One model is loaded at a time. Failures of single requests are `Reply.error`; whatever stops
    the engine as a whole raises `EngineError` with one clear line."""

    def describe(self) -> dict[str, Any]:
        """Engine, version, hardware and settings, for the table's manifest."""
        ...

    def load(self, model: ModelEntry, session: int) -> None:
        """Make a model ready, dropping the one before. `session` counts the runs of this sweep."""
        ...

    def draw(self, model: ModelEntry, chunks: Iterable[Chunk]) -> Iterator[tuple[int, Batch]]:
        """Answer chunks, each as soon as it is done, in any order."""
        ...

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        ...


def fault(reply: Reply, n: int) -> str:
    """Why a reply cannot be stored, empty where it can.

    An empty text is a fault where no token came with it: a model may well stop at once, which is an
    answer (a wrong one), but an answer without a single token is none.
    """
    if reply.error:
        return reply.error
    if len(reply.draws) != n:
        return f"{len(reply.draws)} of {n} samples came back"
    for index, draw in enumerate(reply.draws):
        if draw.finish not in ("stop", "length"):
            return f"sample {index} ended with {draw.finish or 'no finish reason'!r}"
        if draw.tokens < 1:
            what = "an empty text" if not draw.text else "a text without a token count"
            return f"sample {index} is {what}"
    if reply.prompt_tokens < 1:
        return "no prompt token count came back"
    return ""


def failed(requests: Sequence[Request], why: str) -> tuple[Reply, ...]:
    """The same infrastructure error for every request of a chunk."""
    return tuple(Reply(error=why) for _ in requests)
