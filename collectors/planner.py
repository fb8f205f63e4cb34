"""The sweep planner: what has to be drawn, in which order, and what every configuration then gets.

One pool of the largest S is drawn for each (stage, model, example, distinct upstream result).
Every smaller S of the grid is the pool's prefix. Where two options of a stage fuse to the same
text, they share everything after it. Codes keep this compact: per example, the distinct results of
a stage are numbered, and a configuration is a walk through small tables

    code at stage i + 1 = results[i][code at stage i, option at stage i]      (-1: incomplete)

with options numbered model * len(grid) + position, as in `simulator.space`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectors.engines.base import Chunk, Request
from collectors.pipeline import Context, Fuser, ModelFuser, key_of
from collectors.store import Key, Pool
from collectors.sweep import ModelEntry, Sampling, Sweep, SweepStage

Pools = Mapping[Key, Pool]


@dataclass(frozen=True)
class Job:
    """One request and what it is for."""

    key: Key
    request: Request


@dataclass(frozen=True)
class StageTable:
    """What one stage gave; lists have one entry an example.

    - `upstreams`: the distinct results that came in, in code order.
    - `outputs`: the distinct results that went out, in code order (sorted).
    - `results`, `prompt_tokens`, `generated_tokens`: arrays of shape (upstreams, options): the code
      of the result (-1 where samples are missing), and what the option's own calls took when run
      alone (the prompt once, the first S samples, and the fusion of them by the model).
    """

    upstreams: list[list[str]]
    outputs: list[list[str]]
    results: list[NDArray[np.int32]]
    prompt_tokens: list[NDArray[np.int64]]
    generated_tokens: list[NDArray[np.int64]]


def sample_jobs(
    sweep: Sweep, stage: SweepStage, model: ModelEntry, upstreams: Sequence[Sequence[str]]
) -> list[Job]:
    """One request of the largest S for each example and distinct upstream result.

    Sorted by prompt, so that prompts of a common prefix follow each other and the engine's prefix
    cache still holds it.
    """
    sampling = stage.sampling(model)
    jobs = []
    for example, incoming in zip(sweep.task.examples, upstreams, strict=True):
        for upstream in incoming:
            key = Key(example.id, key_of(upstream), 0)
            seed = sweep.seed(stage.name, model.name, *key)
            prompt = stage.spec.prompt(Context(example, upstream))
            jobs.append(Job(key, Request(prompt, stage.largest, seed, sampling)))
    return sorted(jobs, key=lambda job: (job.request.prompt.order(), job.key))


def fusion_jobs(
    sweep: Sweep,
    stage: SweepStage,
    model: ModelEntry,
    upstreams: Sequence[Sequence[str]],
    pools: Pools,
) -> list[Job]:
    """One request for each complete pool and each S over 1, where the model fuses its own samples.

    Empty where the stage's fuser asks no model.
    """
    fuser = stage.fuser
    if not isinstance(fuser, ModelFuser):
        return []
    sampling = Sampling(fuser.temperature, 1.0, None, fuser.max_tokens)
    jobs = []
    for example, incoming in zip(sweep.task.examples, upstreams, strict=True):
        for upstream in incoming:
            pool = pools.get(Key(example.id, key_of(upstream), 0))
            if pool is None:
                continue
            for samples in stage.grid:
                if samples > 1:
                    key = Key(example.id, key_of(upstream), samples)
                    prompt = fuser.prompt(Context(example, upstream), pool.texts[:samples])
                    seed = sweep.seed(stage.name, model.name, *key)
                    jobs.append(Job(key, Request(prompt, 1, seed, sampling)))
    return sorted(jobs, key=lambda job: (job.request.prompt.order(), job.key))


def sample_keys(sweep: Sweep, upstreams: Sequence[Sequence[str]]) -> list[Key]:
    """The keys of `sample_jobs`, without rendering prompts."""
    return [
        Key(example.id, key_of(upstream), 0)
        for example, incoming in zip(sweep.task.examples, upstreams, strict=True)
        for upstream in incoming
    ]


def fusion_keys(stage: SweepStage, keys: Sequence[Key]) -> list[Key]:
    """The keys of `fusion_jobs` for these pools."""
    if not isinstance(stage.fuser, ModelFuser):
        return []
    return [key._replace(draw=samples) for key in keys for samples in stage.grid if samples > 1]


def chunks(jobs: Sequence[Job], done: Pools, limit: int) -> Iterator[tuple[Chunk, list[Job]]]:
    """Cut the full list into chunks of at most `limit` samples (one request at least), and leave
    out what is done. The cut does not depend on what is done, so a resumed run writes the chunks
    that an uninterrupted one would have written."""
    if not jobs:
        return
    size = max(1, limit // jobs[0].request.n)
    for number, start in enumerate(range(0, len(jobs), size)):
        missing = [job for job in jobs[start : start + size] if job.key not in done]
        if missing:
            yield Chunk(number, tuple(job.request for job in missing)), missing


def model_order(stage: SweepStage, loaded: tuple[str, str | None] | None) -> list[list[ModelEntry]]:
    """The stage's models, those that share weights together, the loaded weights first."""
    groups: dict[tuple[str, str | None], list[ModelEntry]] = {}
    for model in stage.models:
        groups.setdefault(model.weights, []).append(model)
    return [groups[w] for w in sorted(groups, key=lambda weights: weights != loaded)]


def fuse_prefix(
    fuser: Fuser | ModelFuser,
    context: Context,
    texts: Sequence[str],
    fusion: Pool | None,
) -> str | None:
    """The result of some samples; `None` where the model's fusion of them is missing."""
    if not isinstance(fuser, ModelFuser):
        return fuser.fuse(context, texts)
    if len(texts) == 1:
        return fuser.finish(context, texts, texts[0])
    return None if fusion is None else fuser.finish(context, texts, fusion.texts[0])


def _remembering(fuser: Any) -> Any:
    """The same fuser for one context, parsing and judging each text once for all prefixes."""
    if not is_dataclass(fuser) or isinstance(fuser, type):
        return fuser
    names = {each.name for each in fields(fuser)} & {"parse", "judge"}
    return replace(fuser, **{name: _once(getattr(fuser, name)) for name in names})


def _once(function: Callable[[Context, str], Any]) -> Callable[[Context, str], Any]:
    known: dict[str, Any] = {}

    def remembered(context: Context, text: str) -> Any:
        if text not in known:
            known[text] = function(context, text)
        return known[text]

    return remembered


def fuse_stage(
    sweep: Sweep,
    index: int,
    upstreams: list[list[str]],
    pools: Mapping[str, Pools],
    fusions: Mapping[str, Pools],
) -> StageTable:
    """Fuse every prefix of every pool of stage `index`; `pools` and `fusions` are by model name."""
    stage = sweep.stages[index]
    grid = stage.grid
    table = StageTable(upstreams, [], [], [], [])
    for example, incoming in zip(sweep.task.examples, upstreams, strict=True):
        shape = (len(incoming), len(stage.models) * len(grid))
        texts: list[list[str | None]] = [[None] * shape[1] for _ in incoming]
        prompt_tokens = np.zeros(shape, dtype=np.int64)
        generated = np.zeros(shape, dtype=np.int64)
        for u, upstream in enumerate(incoming):
            context = Context(example, upstream)
            hashed = key_of(upstream)
            fuser = _remembering(stage.fuser)
            for m, model in enumerate(stage.models):
                pool = pools[model.name].get(Key(example.id, hashed, 0))
                if pool is None:
                    continue
                drawn = np.cumsum(pool.tokens)
                for g, samples in enumerate(grid):
                    option = m * len(grid) + g
                    fusion = fusions[model.name].get(Key(example.id, hashed, samples))
                    texts[u][option] = fuse_prefix(fuser, context, pool.texts[:samples], fusion)
                    prompt_tokens[u, option] = pool.prompt_tokens
                    generated[u, option] = drawn[samples - 1]
                    if fusion is not None:
                        prompt_tokens[u, option] += fusion.prompt_tokens
                        generated[u, option] += int(fusion.tokens.sum())
        found = sorted({text for row in texts for text in row if text is not None})
        codes = {text: code for code, text in enumerate(found)}
        results = np.array(
            [[-1 if text is None else codes[text] for text in row] for row in texts],
            dtype=np.int32,
        ).reshape(shape)
        table.outputs.append(found)
        table.results.append(results)
        table.prompt_tokens.append(prompt_tokens)
        table.generated_tokens.append(generated)
    return table


def first_upstreams(sweep: Sweep) -> list[list[str]]:
    """What comes into the first stage: one empty result an example."""
    return [[""] for _ in sweep.task.examples]
