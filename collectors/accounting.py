"""What a sweep costs, planned and naive: requests, tokens, GPU-hours; estimated, then measured.

The naive sweep runs every configuration from scratch on every example: at stage i it prefills the
prompt once and draws S samples, whatever another configuration has drawn before it. With W(u) the
number of configurations of the stages before i that arrive at the upstream result u, and R the
number of configurations of the stages after i, it draws

    tokens(i) = R * sum over examples, u, options o of W(u) * tokens(u, o)

which needs no walk over single configurations. The planned sweep draws each pool once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collectors import serving
from collectors.pipeline import ModelFuser
from collectors.planner import Pools, StageTable
from collectors.sweep import Sweep, SweepStage
from simulator.errors import UnknownName

HARDWARE: Mapping[str, serving.Accelerator] = {
    "A100": serving.A100_80GB,
    "H100": serving.H100_80GB,
}


@dataclass(frozen=True)
class Totals:
    """Requests sent, prompt tokens (each prompt once), generated tokens, and seconds."""

    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.generated_tokens

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.generated_tokens + other.generated_tokens,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Plan:
    """Before anything runs. `planned` assumes that `distinct_share` of a stage's options differ in
    their fused results; `at_most` that no two agree. Seconds are GPU-seconds of the roofline model.
    """

    configurations: int
    examples: int
    hardware: str
    distinct_share: float
    naive: Totals
    planned: Totals
    at_most: Totals

    @property
    def saving(self) -> float:
        """Naive tokens over planned ones."""
        return self.naive.tokens / self.planned.tokens

    @property
    def least_saving(self) -> float:
        """The saving where no two fused results agree."""
        return self.naive.tokens / self.at_most.tokens

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        out: dict[str, Any] = asdict(self)
        for part in ("naive", "planned", "at_most"):
            totals = out[part]
            totals["tokens"] = totals["prompt_tokens"] + totals["generated_tokens"]
            totals["gpu_hours"] = totals.pop("seconds") / 3600
        return out | {"saving": self.saving, "least_saving": self.least_saving}


@dataclass(frozen=True)
class StageSize:
    """What a plan needs to know of a stage: parameters and names of its models, grid, tokens a
    call, and the largest prompt and answer of a fusion (0 where no model fuses)."""

    models: tuple[tuple[str, float], ...]
    grid: tuple[int, ...]
    prompt_tokens: int
    generated_tokens: int
    fusion_tokens: int = 0

    @classmethod
    def of(cls, stage: SweepStage) -> StageSize:
        fuser = stage.fuser
        return cls(
            tuple((model.name, model.parameters) for model in stage.models),
            stage.grid,
            stage.entry.prompt_tokens or stage.spec.prompt_tokens,
            stage.entry.generated_tokens or stage.spec.generated_tokens,
            fuser.max_tokens if isinstance(fuser, ModelFuser) else 0,
        )

    @property
    def options(self) -> int:
        return len(self.models) * len(self.grid)


def plan_stages(
    stages: Sequence[StageSize], examples: int, *, share: float = 0.25, hardware: str = "H100"
) -> Plan:
    """Estimate a sweep from nominal token counts.

    `share` of the options of a stage are taken to give distinct results within an example (one at
    least); a fusion's prompt is taken to hold all its samples.
    """
    if hardware not in HARDWARE:
        raise UnknownName("hardware", hardware, HARDWARE)
    card = serving.Serving(accelerator=HARDWARE[hardware])
    configurations = math.prod(stage.options for stage in stages)
    naive = Totals()
    for stage in stages:
        repeats = examples * (configurations // stage.options)
        for samples in stage.grid:
            naive += _calls(card, stage, samples, (samples,), repeats)
    sums = []
    for kept in (share, 1.0):
        total, incoming = Totals(), 1
        for stage in stages:
            total += _calls(card, stage, stage.grid[-1], stage.grid, examples * incoming)
            incoming *= max(1, math.ceil(stage.options * kept))
        sums.append(total)
    return Plan(configurations, examples, hardware, share, naive, sums[0], sums[1])


def _calls(
    card: serving.Serving,
    stage: StageSize,
    samples: int,
    fused: tuple[int, ...],
    times: int,
) -> Totals:
    """`times` pools of `samples` for each of the stage's models, with a fusion for each of `fused`
    over 1 where a model fuses."""
    total = Totals()
    for name, parameters in stage.models:
        seconds = _gpu_seconds(
            card, name, parameters, stage.prompt_tokens, stage.generated_tokens, samples, times
        )
        generated = samples * stage.generated_tokens
        total += Totals(times, times * stage.prompt_tokens, times * generated, seconds)
        for count in fused if stage.fusion_tokens else ():
            if count > 1:
                prompt = stage.prompt_tokens + count * stage.generated_tokens
                answer = min(stage.fusion_tokens, stage.generated_tokens)
                seconds = _gpu_seconds(card, name, parameters, prompt, answer, 1, times)
                total += Totals(times, times * prompt, times * answer, seconds)
    return total


def _gpu_seconds(
    card: serving.Serving,
    name: str,
    parameters: float,
    prompt_tokens: int,
    generated_tokens: int,
    samples: int,
    times: int,
) -> float:
    seconds = serving.stage_seconds(
        card.for_model(name),
        parameters,
        prompt_tokens,
        generated_tokens,
        samples,
        times,
        clock="gpu",
    )
    return float(seconds)


def plan(sweep: Sweep) -> Plan:
    """Estimate a sweep as its file has it."""
    settings = sweep.file.plan
    return plan_stages(
        [StageSize.of(stage) for stage in sweep.stages],
        len(sweep.task.examples),
        share=settings.distinct_share,
        hardware=settings.hardware,
    )


def naive_totals(tables: Sequence[StageTable], rates: Sequence[Sequence[Rate]]) -> Totals:
    """What the naive sweep would have taken, from what was measured.

    `rates[i]` has one `Rate` for each option of stage i; its seconds are those that the calls would
    have taken at the measured throughput. Options whose samples are missing count nothing.
    """
    options = [table.results[0].shape[1] for table in tables]
    total = Totals()
    n_examples = len(tables[0].results)
    for example in range(n_examples):
        arriving = np.ones(1)
        for i, table in enumerate(tables):
            after = math.prod(options[i + 1 :])
            results = table.results[example]
            weight = np.where(results >= 0, arriving[:, None] * after, 0.0)
            prompts = table.prompt_tokens[example]
            generated = table.generated_tokens[example]
            per_prompt = np.array([rate.prompt for rate in rates[i]])
            per_generated = np.array([rate.generated for rate in rates[i]])
            seconds = weight * (prompts * per_prompt + generated * per_generated)
            total += Totals(
                int(weight.sum()),
                int((weight * prompts).sum()),
                int((weight * generated).sum()),
                float(seconds.sum()),
            )
            passed = np.zeros(len(table.outputs[example]))
            spread = np.broadcast_to(arriving[:, None], results.shape)
            np.add.at(passed, results[results >= 0], spread[results >= 0])
            arriving = passed
    return total


def drawn_totals(pools: Sequence[Mapping[str, Pools]]) -> Totals:
    """What was drawn, from the pools of all stages and models."""
    total = Totals()
    for by_model in pools:
        for held in by_model.values():
            for pool in held.values():
                total += Totals(1, pool.prompt_tokens, int(pool.tokens.sum()))
    return total


@dataclass(frozen=True)
class Rate:
    """Seconds a prompt token and a generated token take, in batches as large as the sweep's."""

    prompt: float
    generated: float


def fit_rate(costs: Sequence[tuple[int, int, float]]) -> Rate:
    """Rates of one model from (prompt tokens, generated tokens, seconds) of its chunks, by
    non-negative least squares, scaled so that the chunks' seconds sum to what was measured."""
    from scipy.optimize import nnls

    if not costs:
        return Rate(0.0, 0.0)
    data = np.array(costs, dtype=np.float64)
    tokens, seconds = data[:, :2], data[:, 2]
    scale = np.maximum(tokens.max(axis=0), 1.0)
    weights, _ = nnls(tokens / scale, seconds)
    rates = weights / scale
    fitted = float((tokens @ rates).sum())
    if fitted <= 0:
        return Rate(0.0, 0.0)
    rates = rates * (float(seconds.sum()) / fitted)
    return Rate(float(rates[0]), float(rates[1]))
