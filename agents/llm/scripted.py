"""A scripted model: the double of a language model in tests, and the reasoner of dry runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from agents.llm.port import ModelError, Reply, Request, estimate_tokens

Line = str | Reply | BaseModel | Mapping[str, Any] | Exception
Script = Iterable[Line] | Callable[[Request], Line]


class ScriptedModel:
    """Replies from a list, a generator or a function of the request.

    A line is the reply's text, a `Reply`, a mapping or pydantic model (sent as JSON), or an
    exception, which is raised. `requests` keeps what was asked.

    >>> from agents.llm.port import Message, Sampling
    >>> model = ScriptedModel(["hello", {"n": 1}])
    >>> request = Request((Message("user", "hi"),), Sampling())
    >>> model.reply(request).text, model.reply(request).text
    ('hello', '{"n": 1}')
    """

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self._name = name
        self._function = script if callable(script) else None
        self._lines: Iterator[Line] = iter(()) if callable(script) else iter(script)
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    def reply(self, request: Request) -> Reply:
        """The script's next line; `ModelError` where it has ended."""
        self.requests.append(request)
        if self._function is not None:
            line = self._function(request)
        else:
            try:
                line = next(self._lines)
            except StopIteration:
                raise ModelError(
                    f"the script has ended: call {request.index} ({request.purpose}) has no line"
                ) from None
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Reply):
            return line
        if isinstance(line, BaseModel):
            text = line.model_dump_json()
        else:
            text = line if isinstance(line, str) else json.dumps(line)
        return Reply(text, estimate_tokens(request.text), estimate_tokens(text), estimated=True)
