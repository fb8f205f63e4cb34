"""A function from prompt to texts as an engine: for tests, and for people who write tasks."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from collectors.engines.base import Batch, Chunk, Draw, Reply, Request
from collectors.errors import EngineError
from collectors.sweep import ModelEntry

Script = Callable[[str, str, int, int], Sequence[str | Draw] | Reply]
"""`script(model name, prompt as plain text, n, seed)` gives n texts, or draws, or a whole reply.

The k-th text should depend on `seed + k` and not on n, as with a real engine: then the first S
samples of a pool are those of a request for S.
"""


class ScriptedEngine:
    """Answers from a function. Tokens are counted as words; a text costs `seconds_per_token` each.

    The seconds are made of token counts, not measured, so that the same sweep gives the same table
    to the last byte. `delay` (seconds a request) makes a run slow on purpose.

    >>> from collectors.pipeline import Prompt
    >>> from collectors.sweep import Sampling
    >>> engine = ScriptedEngine.of(lambda model, prompt, n, seed: [prompt.upper()] * n)
    >>> request = Request(Prompt("hello you"), 2, 0, Sampling(1.0, 1.0, None, 8))
    >>> model = ModelEntry(name="m", source="m", parameters=1e9)
    >>> _, batch = next(engine.draw(model, [Chunk(0, (request,))]))
    >>> batch.replies[0].draws[1].text, batch.replies[0].prompt_tokens
    ('HELLO YOU', 2)
    """

    class Settings(BaseModel):
        """`function` is a `Script` named as `module:function`; a factory is not called."""

        model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

        function: str | Callable[..., Any]
        delay: float = Field(default=0.0, ge=0)
        seconds_per_token: float = Field(default=0.001, ge=0)

    def __init__(self, settings: ScriptedEngine.Settings) -> None:
        from collectors.engines import load_object

        self._settings = settings
        function = settings.function
        if isinstance(function, str):
            function = load_object(function, "engine.function")
        if len(inspect.signature(function).parameters) != 4:
            raise EngineError(
                "engine.function must take (model, prompt, n, seed), as the scripted engine says"
            )
        self._script: Script = function
        self.requests = 0
        self.loads: list[str] = []

    @classmethod
    def of(cls, script: Script, **settings: Any) -> ScriptedEngine:
        """An engine of a function at hand."""
        return cls(cls.Settings(function=script, **settings))

    def describe(self) -> dict[str, Any]:
        function = self._settings.function
        name = function if isinstance(function, str) else getattr(function, "__name__", "function")
        return {"engine": "scripted", "version": "1", "function": name, "hardware": "none"}

    def load(self, model: ModelEntry, session: int) -> None:
        self.loads.append(model.source)

    def draw(self, model: ModelEntry, chunks: Iterable[Chunk]) -> Iterator[tuple[int, Batch]]:
        for chunk in chunks:
            replies = tuple(self._answer(model, request) for request in chunk.requests)
            tokens = sum(r.prompt_tokens + sum(d.tokens for d in r.draws) for r in replies)
            yield chunk.number, Batch(replies, tokens * self._settings.seconds_per_token)

    def _answer(self, model: ModelEntry, request: Request) -> Reply:
        self.requests += 1
        if self._settings.delay:
            time.sleep(self._settings.delay)
        prompt = request.prompt.plain()
        texts = self._script(model.name, prompt, request.n, request.seed)
        if isinstance(texts, Reply):
            return texts
        draws = tuple(
            text
            if isinstance(text, Draw)
            else Draw(text, max(1, len(text.split())), "stop", request.seed + k)
            for k, text in enumerate(texts)
        )
        return Reply(draws, max(1, len(prompt.split())))

    def close(self) -> None:
        pass
