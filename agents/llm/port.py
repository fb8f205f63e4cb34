"""The one way to talk to a language model: a request goes in, a reply comes out.

Everything that answers requests is a `ChatModel`: an endpoint (`agents.llm.endpoint`), a recording
of one (`agents.llm.recording`), a script for tests (`agents.llm.scripted`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from simulator.errors import RunError

Role = Literal["system", "user", "assistant"]


class ModelError(RunError):
    """A model gave no reply: unreachable, over its quota, or it refused the request's settings.

    The message is one line without keys.
    """


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Sampling:
    """How a model is to think. `None` leaves the choice to the server.

    `max_output_tokens` bounds one reply, hidden reasoning included. `run_seed` names the run, so
    that runs with other seeds are other calls; it is sent to the server where `send_seed` is true.
    """

    temperature: float | None = None
    reasoning_effort: str | None = None
    max_output_tokens: int = 4096
    run_seed: int = 0
    send_seed: bool = True


@dataclass(frozen=True)
class Request:
    """One call: the conversation so far, the settings, the JSON schema of the reply.

    `index` counts the calls of a run from 0; `purpose` names the prompt's template for messages.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    schema: Mapping[str, Any] = field(default_factory=dict)
    index: int = 0
    purpose: str = ""

    @property
    def text(self) -> str:
        """Every message, one after the other."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True)
class Reply:
    """What a model said.

    `refusal` is set where the server marks a refusal, `finish` is the server's reason for ending
    (`length`: cut off). `tokens_in` and `tokens_out` are the server's counts, or, where
    `estimated`, a quarter of the characters. `seconds` is the time that the call took.
    """

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    refusal: str = ""
    finish: str = "stop"
    estimated: bool = False


@runtime_checkable
class ChatModel(Protocol):
    """Something that replies to requests; `name` is the model's."""

    @property
    def name(self) -> str: ...

    def reply(self, request: Request) -> Reply:
        """Answer a request; raises `ModelError`."""
        ...


def estimate_tokens(text: str) -> int:
    """Tokens of a text where no server counts them: a quarter of its characters, rounded up."""
    return -(-len(text) // 4)
