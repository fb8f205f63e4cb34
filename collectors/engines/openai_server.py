"""Any OpenAI-compatible server, `vllm serve` among them, through the `openai` client."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from collectors.engines.base import Batch, Chunk, Draw, Reply, Request
from collectors.errors import EngineError
from collectors.sweep import ModelEntry
from simulator.errors import MissingExtra
from simulator.scrub import held_secrets, hidden, scrub, without


class OpenAIEngine:
    """Requests of a chunk run `concurrency` at a time; each is tried `attempts` times.

    Where an answer holds fewer samples than asked, the missing ones are asked for again, with the
    seeds that they would have had. Generated tokens of a sample are counted by its token ids
    (`vllm serve` gives them), else by its log-probabilities, else by the usage of a request for one
    sample: set `samples_per_request = 1` for servers that give neither.
    """

    class Settings(BaseModel):
        """`api_key_env` names the environment variable that holds the key; `extra_body` goes into
        every request, `send_vllm_fields` adds the fields that only `vllm serve` knows."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        base_url: str
        api_key_env: str = "OPENAI_API_KEY"
        timeout: float = Field(default=600.0, gt=0)
        attempts: int = Field(default=4, ge=1, le=20)
        wait: float = Field(default=1.0, ge=0)
        concurrency: int = Field(default=32, ge=1)
        samples_per_request: int | None = Field(default=None, ge=1)
        send_seed: bool = True
        send_vllm_fields: bool = True
        hardware: str = "not told by the server"
        extra_body: dict[str, Any] = {}

        @field_validator("base_url")
        @classmethod
        def _http(cls, url: str) -> str:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"must be an http address such as http://HOST/v1, not {url!r}")
            return url

    def __init__(self, settings: OpenAIEngine.Settings) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise MissingExtra("openai", "collect", "the engine 'openai'") from None
        self._settings, self._address = settings, scrub(settings.base_url)
        key = os.environ.get(settings.api_key_env) or ""
        self._secrets = (*held_secrets(), key)
        self._client = openai.OpenAI(
            base_url=settings.base_url,
            api_key=key or "none",
            timeout=settings.timeout,
            max_retries=0,
        )

    def describe(self) -> dict[str, Any]:
        kept = self._settings.model_dump(mode="json", exclude={"api_key_env", "base_url"})
        return {
            "engine": "openai-compatible server",
            "version": self._server_version(),
            "hardware": self._settings.hardware,
            "settings": hidden(kept, self._secrets),
        }

    def _server_version(self) -> str:
        """What `vllm serve` tells of itself; other servers have no such path."""
        from urllib.request import urlopen

        url = self._settings.base_url.rstrip("/").removesuffix("/v1") + "/version"
        try:
            with urlopen(url, timeout=5) as answer:  # noqa: S310 - checked in Settings
                return f"vllm {json.loads(answer.read())['version']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "unknown"

    def load(self, model: ModelEntry, session: int) -> None:
        import openai

        try:
            served = [entry.id for entry in self._client.models.list()]
        except openai.NotFoundError:
            return
        except openai.APIError as error:
            raise EngineError(f"{self._address}: {self._why(error)}") from None
        if served and model.source not in served:
            raise EngineError(
                f"{self._address} does not serve {model.source!r}; it serves "
                + ", ".join(served[:5])
            )

    def draw(self, model: ModelEntry, chunks: Iterable[Chunk]) -> Iterator[tuple[int, Batch]]:
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            for chunk in chunks:
                begin = time.perf_counter()
                replies = tuple(pool.map(lambda r: self._answer(model, r), chunk.requests))
                yield chunk.number, Batch(replies, time.perf_counter() - begin)

    def _answer(self, model: ModelEntry, request: Request) -> Reply:
        """All samples of one request, in pieces where the server gives fewer at a time."""
        draws: list[Draw] = []
        prompt_tokens, idle = 0, 0
        while len(draws) < request.n:
            wanted = request.n - len(draws)
            if self._settings.samples_per_request is not None:
                wanted = min(wanted, self._settings.samples_per_request)
            piece = self._with_retries(model, request, wanted, request.seed + len(draws))
            if piece.error:
                return piece
            prompt_tokens = piece.prompt_tokens
            idle = 0 if piece.draws else idle + 1
            if idle >= self._settings.attempts:
                return Reply(error=f"{len(draws)} of {request.n} samples came back")
            draws.extend(piece.draws[:wanted])
        return Reply(tuple(draws), prompt_tokens)

    def _with_retries(self, model: ModelEntry, request: Request, n: int, seed: int) -> Reply:
        import openai
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        passing = (
            openai.APITimeoutError,
            openai.APIConnectionError,
            openai.InternalServerError,
            openai.RateLimitError,
            _BadAnswerError,
        )
        retrying = Retrying(
            retry=retry_if_exception_type(passing),
            stop=stop_after_attempt(self._settings.attempts),
            wait=wait_exponential(multiplier=self._settings.wait, max=60),
            reraise=True,
        )
        try:
            return retrying(self._once, model, request, n, seed)
        except (
            openai.NotFoundError,
            openai.AuthenticationError,
            openai.PermissionDeniedError,
        ) as e:
            raise EngineError(f"{self._address}: {self._why(e)}") from None
        except (*passing, openai.APIError) as error:
            return Reply(error=self._why(error))

    def _once(self, model: ModelEntry, request: Request, n: int, seed: int) -> Reply:
        sampling = request.sampling
        arguments: dict[str, Any] = {
            "model": model.source,
            "n": n,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "extra_body": dict(self._settings.extra_body),
        }
        if self._settings.send_seed:
            arguments["seed"] = seed
        if request.prompt.stop:
            arguments["stop"] = list(request.prompt.stop)
        if self._settings.send_vllm_fields:
            arguments["extra_body"]["return_token_ids"] = True
        if sampling.top_k is not None:
            arguments["extra_body"]["top_k"] = sampling.top_k
        api: Any
        if model.mode == "chat":
            api, arguments["messages"] = self._client.chat.completions, request.prompt.messages()
            arguments["logprobs"] = True
        else:
            api, arguments["prompt"] = self._client.completions, request.prompt.plain()
            arguments["logprobs"] = 1
        if n == 1:
            arguments.pop("logprobs")
        answer = api.create(**arguments)
        return self._read(answer, n, seed)

    def _read(self, answer: Any, n: int, seed: int) -> Reply:
        choices = sorted(answer.choices or [], key=lambda choice: choice.index)
        usage = answer.usage
        if usage is None or not usage.prompt_tokens:
            raise _BadAnswerError("the server gave no token counts (usage)")
        draws = []
        for k, choice in enumerate(choices):
            text = choice.message.content if hasattr(choice, "message") else choice.text
            tokens = _tokens(choice)
            if tokens is None and len(choices) == n == 1:
                tokens = usage.completion_tokens
            if tokens is None:
                raise EngineError(
                    "the server counts tokens of all samples together; set "
                    "engine.samples_per_request = 1"
                )
            if not text and tokens == 0:
                raise _BadAnswerError("an empty text without a token came back")
            finish = choice.finish_reason or ""
            effective = seed + k if self._settings.send_seed else -1
            draws.append(Draw(without(text or "", self._secrets), tokens, finish, effective))
        return Reply(tuple(draws), int(usage.prompt_tokens))

    def _why(self, error: BaseException) -> str:
        """One line for a failed request: what the server said, without keys, shortened."""
        text = " ".join(scrub(str(error), self._secrets).split())[:200]
        what = _WHAT.get(type(error).__name__, "")
        return f"{what} ({text})" if what else text or type(error).__name__

    def close(self) -> None:
        pass


class _BadAnswerError(Exception):
    """An answer that cannot be used, worth asking for again."""


def _tokens(choice: Any) -> int | None:
    ids = getattr(choice, "token_ids", None)
    if ids is not None:
        return len(ids)
    logprobs = getattr(choice, "logprobs", None)
    for field in ("content", "tokens"):
        listed = getattr(logprobs, field, None)
        if listed is not None:
            return len(listed)
    return None


_WHAT = {
    "APITimeoutError": "the server did not answer in time",
    "APIConnectionError": "the server cannot be reached",
    "InternalServerError": "the server failed",
    "RateLimitError": "the server refused for its rate limit",
    "NotFoundError": "the server does not know the model or path",
    "AuthenticationError": "the server refused the key",
}
