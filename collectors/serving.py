"""A roofline model of serving an open-weight language model: seconds of a stage or configuration.

Where nothing was timed, a table's `seconds` come from here, and its card says so. One stage runs
`examples` prompts, each prefilled once, and draws `samples` answers of `generated_tokens` tokens
from each. With P parameters of w bytes on g cards of peak F FLOP/s, bandwidth B bytes/s:

    prefill   max(examples * 2 P prompt / (u_F F g e), reads * w P / (u_B B g e))
    decoding  waves * generated * max((w P + b kv context) / (u_B B g e), 2 P b / (u_F F g e))

- Prefill is bound by arithmetic: 2 P FLOPs a token (Kaplan et al. 2020, arXiv 2001.08361, 2.1).
  The weights are read once for every `max_batch` prompts, which bounds it from below.
- Decoding is bound by memory traffic: each step reads the weights once for all b sequences in the
  batch, and the KV cache of each of them (Pope et al. 2022, arXiv 2211.05102, sec. 2). The mean
  context of a sequence is prompt + (generated - 1) / 2 tokens.
- Batching is continuous (Yu et al. 2022, Orca): n = examples * samples sequences run b at a time,
  b = min(n, max_batch, what the KV cache has room for), in waves = n / b; the batch stays full.
- Cards: the smallest power of two whose memory holds the weights and leaves `cache_share` of it to
  the KV cache. Tensor parallelism gives g cards the speed of g * e, e = `parallel_efficiency` to
  the power log2(g).

Not in the model: network latency, tokenising, retrieval, the fuser's own call, loading of weights,
attention's arithmetic (small under about 10,000 tokens), unequal lengths of answers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import UsageError
from simulator.task import Task

Clock = Literal["wall", "gpu"]

_FOUR_BIT = re.compile(r"(?i)(?<![a-z0-9])(awq|gptq|int4|w4a16|4bit|nf4)(?![a-z0-9])")


@dataclass(frozen=True)
class Accelerator:
    """One card: `flops` per second at the serving precision (dense), `bandwidth` in bytes per
    second, `memory` in bytes, and where the figures were published."""

    name: str
    flops: float
    bandwidth: float
    memory: float
    source: str


A100_80GB = Accelerator(
    "NVIDIA A100-SXM4-80GB",
    flops=312e12,
    bandwidth=2.039e12,
    memory=80e9,
    source="NVIDIA A100 Tensor Core GPU datasheet: BF16 dense, HBM2e, SXM4 80GB",
)
H100_80GB = Accelerator(
    "NVIDIA H100-SXM5-80GB",
    flops=989e12,
    bandwidth=3.35e12,
    memory=80e9,
    source="NVIDIA H100 Tensor Core GPU datasheet: BF16 dense (half the sparse figure), HBM3, SXM5",
)


@dataclass(frozen=True)
class Serving:
    """How a model is served. The utilisations are assumptions of ours, not measurements.

    - `bytes_per_parameter`: 2 for bfloat16, 0.5625 for 4-bit weights with scales (`for_model`).
    - `max_batch`: sequences decoded at once (vLLM's `max_num_seqs` is of this size).
    - `examples_at_once`: how many examples share a batch; `None` for all that fit, 1 for a program
      that finishes one example before it starts the next.
    - `compute_utilisation`, `bandwidth_utilisation`: shares of the card's peaks that are reached.
    - `memory_share`: share of a card's memory that the engine takes (vLLM's default is 0.9);
      `cache_share` of that is left to the KV cache when cards are counted.
    - `cards`: a fixed number of cards; `None` for the smallest power of two that serves.
    """

    accelerator: Accelerator = A100_80GB
    bytes_per_parameter: float = 2.0
    max_batch: int = 256
    examples_at_once: int | None = None
    compute_utilisation: float = 0.5
    bandwidth_utilisation: float = 0.7
    memory_share: float = 0.9
    cache_share: float = 0.25
    parallel_efficiency: float = 0.9
    cards: int | None = None

    def __post_init__(self) -> None:
        shares = ("compute_utilisation", "bandwidth_utilisation", "memory_share")
        for field in (*shares, "parallel_efficiency"):
            if not 0 < getattr(self, field) <= 1:
                raise UsageError(
                    f"{field} must be over 0 and at most 1, not {getattr(self, field)}"
                )
        if not 0 <= self.cache_share < 1:
            raise UsageError(f"cache_share must be from 0 to under 1, not {self.cache_share}")
        if not self.bytes_per_parameter > 0:
            raise UsageError(f"bytes_per_parameter must be over 0, not {self.bytes_per_parameter}")
        for field in ("max_batch", "examples_at_once", "cards"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise UsageError(f"{field} must be at least 1, not {value}")

    def for_model(self, name: str) -> Serving:
        """The same, with 4-bit weights where the model's name says that it is quantised so.

        >>> Serving().for_model("Qwen2.5-72B-Instruct-AWQ").bytes_per_parameter
        0.5625
        """
        return replace(self, bytes_per_parameter=0.5625) if _FOUR_BIT.search(name) else self

    def describe(self) -> str:
        """One sentence for a card: accelerator, precision, batch and assumptions."""
        return (
            f"Roofline model on {self.accelerator.name} "
            f"({self.accelerator.flops / 1e12:g} TFLOP/s, {self.accelerator.bandwidth / 1e12:g} "
            f"TB/s, {self.accelerator.memory / 1e9:g} GB), {self.bytes_per_parameter:g} bytes a "
            f"parameter (0.5625 where the model's name says 4-bit), at most {self.max_batch} "
            f"sequences at once, {self.examples_at_once or 'all'} examples at once, "
            f"{self.compute_utilisation:.0%} of peak arithmetic and "
            f"{self.bandwidth_utilisation:.0%} of peak bandwidth reached, tensor parallelism over "
            f"{self.cards or 'as few'} cards{'' if self.cards else ' as hold the weights'} at "
            f"{self.parallel_efficiency:.0%} for each doubling; wall-clock seconds"
        )


def layers(parameters: float) -> float:
    """Layers guessed from P: P = 12 L d^2 with a width d = 110 L, so L = (P / 145200)^(1/3).

    12 L d^2 counts attention and feed-forward weights (Kaplan et al. 2020). The ratio d / L of
    Llama 3 and Qwen2.5 from 3e9 to 72e9 parameters lies between 57 and 128 (their technical
    reports); 110 gives 78 for Llama-3.1-70B (80), 38 for 8B (32), 28 for Llama-3.2-3B (28).

    >>> round(layers(70e9))
    78
    """
    return float((parameters / (12.0 * 110.0**2)) ** (1.0 / 3.0))


def cache_bytes_per_token(parameters: float) -> float:
    """KV cache of one token in bytes: 2 (K and V) * layers * 8 KV heads * 128 wide * 2 bytes.

    Grouped-query attention with 8 KV heads of 128, as in Llama 3 from 3e9 to 70e9 parameters and in
    Qwen2.5 from 14e9 (Qwen2.5-7B has 4, so its cache is half of this guess).
    """
    return 2.0 * layers(parameters) * 8 * 128 * 2


def card_count(serving: Serving, parameters: float) -> int:
    """Cards that serve the model: `serving.cards`, or the smallest power of two that holds it."""
    if serving.cards is not None:
        return serving.cards
    usable = serving.accelerator.memory * serving.memory_share * (1.0 - serving.cache_share)
    needed = parameters * serving.bytes_per_parameter / usable
    return 1 if needed <= 1.0 else 2 ** math.ceil(math.log2(needed))


def batch_size(
    serving: Serving, parameters: float, prompt_tokens: int, generated_tokens: int
) -> int:
    """Sequences decoded at once: `max_batch`, or as many as the KV cache has room for (1 or more).

    Every sequence is counted with a whole context, although samples of a prompt may share its part.
    """
    cards = card_count(serving, parameters)
    total = serving.accelerator.memory * serving.memory_share * cards
    room = total - parameters * serving.bytes_per_parameter
    each = cache_bytes_per_token(parameters) * (prompt_tokens + generated_tokens)
    return max(1, min(serving.max_batch, int(room // each)))


def stage_seconds(
    serving: Serving,
    parameters: float,
    prompt_tokens: int,
    generated_tokens: int,
    samples: ArrayLike,
    examples: int,
    *,
    clock: Clock = "wall",
) -> NDArray[np.float64]:
    """Seconds of one stage over `examples` examples, for each count in `samples` (any shape).

    `wall` is the time one waits; `gpu` is that time multiplied by the number of cards. At one
    number of cards both rise with parameters, samples, examples and tokens. Where more parameters
    need more cards, the wall clock may fall.

    >>> bool(stage_seconds(Serving(), 3e9, 128, 64, [1, 10], 50)[0] < 1)
    True
    """
    drawn = np.asarray(samples, dtype=np.float64)
    if not np.all(drawn >= 0):
        raise UsageError("samples must be at least 0")
    for what, value in (
        ("parameters", parameters),
        ("prompt_tokens", prompt_tokens),
        ("generated_tokens", generated_tokens),
    ):
        if not value > 0:
            raise UsageError(f"{what} must be over 0, not {value}")
    if examples < 0:
        raise UsageError(f"examples must be at least 0, not {examples}")
    if examples == 0:
        return np.zeros_like(drawn)
    cards = card_count(serving, parameters)
    speed = cards * serving.parallel_efficiency ** math.log2(cards)
    flops = serving.accelerator.flops * serving.compute_utilisation * speed
    bandwidth = serving.accelerator.bandwidth * serving.bandwidth_utilisation * speed
    weights = parameters * serving.bytes_per_parameter

    together = min(examples, serving.examples_at_once or examples)
    groups = examples / together
    reads = max(1.0, together / serving.max_batch)
    prefill = max(2.0 * parameters * prompt_tokens * together / flops, reads * weights / bandwidth)

    sequences = together * drawn
    limit = batch_size(serving, parameters, prompt_tokens, generated_tokens)
    batch = np.minimum(sequences, limit)
    waves = np.maximum(1.0, sequences / limit)
    context = prompt_tokens + (generated_tokens - 1) / 2.0
    traffic = weights + batch * cache_bytes_per_token(parameters) * context
    step = np.maximum(traffic / bandwidth, 2.0 * parameters * batch / flops)
    decoding = np.where(drawn > 0, waves * generated_tokens * step, 0.0)
    total = groups * (prefill + decoding)
    return np.asarray(total * cards if clock == "gpu" else total, dtype=np.float64)


def option_seconds(
    task: Task, examples: int, serving: Serving | None = None, *, clock: Clock = "wall"
) -> tuple[NDArray[np.float64], ...]:
    """Seconds of every option: per stage an array of shape (models, sample counts)."""
    serving = serving or Serving()
    return tuple(
        np.stack(
            [
                stage_seconds(
                    serving.for_model(model.name),
                    model.parameters,
                    stage.prompt_tokens,
                    stage.generated_tokens,
                    stage.samples,
                    examples,
                    clock=clock,
                )
                for model in stage.models
            ]
        )
        for stage in task.stages
    )


def configuration_seconds(
    task: Task, examples: int, serving: Serving | None = None, *, clock: Clock = "wall"
) -> NDArray[np.float64]:
    """Seconds of every cell of the task's grid, shape (cells,) in the order of `Space`.

    Stages run one after the other, so a configuration takes the sum over its stages. Models whose
    names say so have 4-bit weights (`Serving.for_model`).
    """
    total = np.zeros(1)
    for options in option_seconds(task, examples, serving, clock=clock):
        total = (total[:, None] + options.ravel()[None, :]).ravel()
    return total
