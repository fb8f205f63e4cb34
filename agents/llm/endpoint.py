"""Any OpenAI-compatible endpoint, through the `openai` client.

The base URL, the model and the key come from the caller or from the environment:

| setting | first | then |
| --- | --- | --- |
| base URL | `AGENTTTS_BASE_URL` | `OPENAI_BASE_URL`, else OpenAI's own |
| model | `AGENTTTS_MODEL` | |
| key | `AGENTTTS_API_KEY` | `OPENAI_API_KEY`; a server of one's own may need none |
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from agents.llm.port import ModelError, Reply, Request, estimate_tokens
from agents.llm.scrub import one_line, scrub
from simulator.errors import MissingExtra, UnknownName, UsageError

Structured = Literal["auto", "schema", "json", "text"]
_LADDER: tuple[Structured, ...] = ("schema", "json", "text")
_FORM_WORDS = ("response_format", "json", "schema", "structured", "guided", "grammar", "strict")
_PROTECTED = ("temperature", "reasoning_effort")


class Endpoint:
    """A model behind an OpenAI-compatible server.

    - `structured`: `schema` sends the reply's JSON schema, `json` asks for some JSON, `text` for
      neither; `auto` begins with `schema` and steps down where the server refuses it.
    - `retries` bounds the further attempts after rate limits, server errors, timeouts and cut
      connections, with exponential backoff or as long as the server's `Retry-After` says;
      `timeout` is in seconds an attempt.
    - `sleep` waits between attempts.

    What the server refuses by name is left out from then on where it is this program's choice (the
    seed, the name of the token limit) and is an error where it is the user's. Raises `UsageError`
    for missing settings, `MissingExtra` without the `openai` package.
    """

    def __init__(
        self,
        model: str | None = None,
        base_url: str | None = None,
        *,
        structured: Structured = "auto",
        retries: int = 5,
        timeout: float = 120.0,
        api_key: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        if structured not in get_args(Structured):
            raise UnknownName("structured", str(structured), get_args(Structured))
        if not isinstance(retries, int) or retries < 0:
            raise UsageError(f"retries must be a whole number of at least 0, not {retries!r}")
        if not timeout > 0:
            raise UsageError(f"timeout must be a number of seconds over 0, not {timeout!r}")
        name = model or environment.get("AGENTTTS_MODEL", "")
        if not name:
            raise UsageError(
                "no language model is named: give model=NAME (--model NAME) or set AGENTTTS_MODEL"
            )
        url = base_url or environment.get("AGENTTTS_BASE_URL") or environment.get("OPENAI_BASE_URL")
        if url and not url.startswith(("http://", "https://")):
            raise UsageError(f"base_url must begin with http:// or https://, not {scrub(url)!r}")
        key = (
            api_key or environment.get("AGENTTTS_API_KEY") or environment.get("OPENAI_API_KEY", "")
        )
        if not key and not url:
            raise UsageError(
                "no endpoint is set: give base_url=URL (--base-url URL) or set AGENTTTS_BASE_URL, "
                "or set OPENAI_API_KEY for OpenAI's own"
            )
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingExtra(error.name or "openai", "llm", "a live language model") from None
        self._openai = openai
        self._name, self._secrets = name, (key,) if key else ()
        self._retries, self._sleep = retries, sleep
        self._steps_down = structured == "auto"
        self._form: Structured = "schema" if structured == "auto" else structured
        self._limit_name, self._sends_seed = "max_completion_tokens", True
        self._client = openai.OpenAI(
            api_key=key or "none", base_url=url, timeout=timeout, max_retries=0
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be written anywhere."""
        return self._secrets

    def reply(self, request: Request) -> Reply:
        """One call with its retries; raises `ModelError` with one line and without keys."""
        begin = time.perf_counter()
        # Each refused parameter is given up once, so the rounds are few.
        for _ in range(6):
            try:
                answer = self._with_retries(request)
            except self._openai.APIStatusError as error:
                if error.status_code in (400, 422) and self._adapt(error, request):
                    continue
                raise self._failure(error, request) from None
            except Exception as error:
                if isinstance(error, ModelError | MissingExtra):
                    raise
                raise self._failure(error, request) from None
            return self._read(answer, request, time.perf_counter() - begin)
        raise ModelError(f"call {request.index} ({request.purpose}): the server refuses every form")

    # One attempt ----------------------------------------------------------------------------------

    def _arguments(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        arguments: dict[str, Any] = {
            "model": self._name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self._limit_name: sampling.max_output_tokens,
        }
        if sampling.temperature is not None:
            arguments["temperature"] = sampling.temperature
        if sampling.reasoning_effort is not None:
            arguments["reasoning_effort"] = sampling.reasoning_effort
        if sampling.send_seed and self._sends_seed:
            arguments["seed"] = sampling.run_seed
        if request.schema and self._form == "schema":
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": dict(request.schema), "strict": True},
            }
        elif request.schema and self._form == "json":
            arguments["response_format"] = {"type": "json_object"}
        return arguments

    def _with_retries(self, request: Request) -> Any:
        try:
            import tenacity
        except ModuleNotFoundError as error:
            raise MissingExtra(error.name or "tenacity", "llm", "a live language model") from None
        backoff = tenacity.wait_random_exponential(multiplier=1.0, max=60.0)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = _retry_after(error)
            return min(asked, 120.0) if asked is not None else float(backoff(state))

        caller = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._retries + 1),
            wait=wait,
            retry=tenacity.retry_if_exception(self._transient),
            sleep=self._sleep,
            reraise=True,
        )
        return caller(self._attempt, self._arguments(request))

    def _attempt(self, arguments: dict[str, Any]) -> Any:
        answer = self._client.chat.completions.create(**arguments)
        if not getattr(answer, "choices", None):
            detail = getattr(answer, "error", None) or (answer if isinstance(answer, str) else "")
            raise _BadBodyError(f"status 200 without a chat completion: {detail or 'no choices'}")
        return answer

    def _transient(self, error: BaseException) -> bool:
        openai = self._openai
        if isinstance(error, openai.RateLimitError):
            return "insufficient_quota" not in f"{error.code} {error}"
        if isinstance(error, openai.APIStatusError):
            return error.status_code in (408, 409) or error.status_code >= 500
        # A body that is no JSON under status 200 is a proxy's page or a stream cut short.
        broken = (openai.APIConnectionError, openai.APIResponseValidationError)
        return isinstance(error, (*broken, json.JSONDecodeError, _BadBodyError))

    def _adapt(self, error: Any, request: Request) -> bool:
        """Give up what the server refuses, where that is possible; whether to try again."""
        text = f"{error.param or ''} {error.message}".lower()
        if any(name in text and self._sent(name, request) for name in _PROTECTED):
            return False
        if self._limit_name == "max_completion_tokens" and self._limit_name in text:
            self._limit_name = "max_tokens"
            return True
        if "seed" in text and request.sampling.send_seed and self._sends_seed:
            self._sends_seed = False
            return True
        if self._steps_down and self._form != "text" and any(word in text for word in _FORM_WORDS):
            self._form = _LADDER[_LADDER.index(self._form) + 1]
            return True
        return False

    def _sent(self, name: str, request: Request) -> bool:
        return getattr(request.sampling, name, None) is not None

    def _read(self, answer: Any, request: Request, seconds: float) -> Reply:
        message, usage = answer.choices[0].message, getattr(answer, "usage", None)
        text = getattr(message, "content", None) or ""
        refusal = getattr(message, "refusal", None) or ""
        tokens_in = int(getattr(usage, "prompt_tokens", None) or 0)
        tokens_out = int(getattr(usage, "completion_tokens", None) or 0)
        estimated = not tokens_in
        if estimated:
            tokens_in, tokens_out = estimate_tokens(request.text), estimate_tokens(text)
        return Reply(
            text=scrub(text, self._secrets),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            seconds=round(seconds, 6),
            refusal=scrub(refusal, self._secrets),
            finish=str(answer.choices[0].finish_reason or "stop"),
            estimated=estimated,
        )

    def _failure(self, error: BaseException, request: Request) -> ModelError:
        openai, what = self._openai, type(error).__name__
        if isinstance(error, openai.APITimeoutError):
            what = f"no answer in time, {self._retries + 1} attempts"
        elif isinstance(error, openai.APIStatusError):
            what = f"status {error.status_code}"
        elif isinstance(error, openai.APIConnectionError):
            what = f"no connection to {self._client.base_url}, {self._retries + 1} attempts"
        elif isinstance(error, (_BadBodyError, json.JSONDecodeError)):
            what = f"no chat completion in {self._retries + 1} attempts"
        detail, cause = str(error), error.__cause__
        if isinstance(error, openai.APIConnectionError) and cause is not None:
            detail = f"{type(cause).__name__}: {cause}"
        elif isinstance(error, openai.APIStatusError) and not isinstance(error.body, dict):
            detail = error.response.text
        line = one_line(scrub(f"{what}: {detail}", self._secrets))
        hint = _hint(getattr(error, "status_code", None))
        if "context" in detail.lower() and "length" in detail.lower():
            hint = "; set max_output_tokens, or max_history, lower"
        return ModelError(f"model {self._name!r}, call {request.index}: {line}{hint}")


class _BadBodyError(Exception):
    """An answer with status 200 that is no chat completion."""


def _retry_after(error: BaseException | None) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after") if headers is not None else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _hint(status: int | None) -> str:
    hints = {
        401: "; set AGENTTTS_API_KEY or OPENAI_API_KEY to a valid key",
        403: "; the key may not use this model",
        404: "; check the model's name and that the base URL ends as the server wants (often /v1)",
    }
    return hints.get(status or 0, "")
