"""What stands beside a table's scores: every sample as numbers, and the noise of each score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collectors.pipeline import Context, ModelFuser, SplitName, key_of
from collectors.planner import StageTable, fuse_prefix
from collectors.runner import Collected
from collectors.store import Key
from collectors.sweep import Sweep, SweepStage
from simulator.table import LookupTable

if TYPE_CHECKING:
    import polars as pl

MOST_SAMPLES = 5_000_000
"""Samples beyond which `samples.parquet` is left out of the table's folder."""

Floats = NDArray[np.float64]
Kept = Mapping[SplitName, list[int]]


def walk(tables: Sequence[StageTable], example: int) -> list[NDArray[np.int32]]:
    """For each stage, the upstream code of every configuration of the stages before: shapes (1,),
    (options 1,), (options 1 * options 2,), ...; -1 where samples are missing."""
    codes = [np.zeros(1, dtype=np.int32)]
    for table in tables:
        results = table.results[example]
        padded = np.vstack([results, np.full((1, results.shape[1]), -1, dtype=np.int32)])
        codes.append(padded[codes[-1]].ravel())
    return codes


def spread(values: Floats, codes: NDArray[np.int32], n_cells: int) -> Floats:
    """Values of shape (upstreams, options) to every configuration, in the order of cells."""
    padded = np.vstack([values, np.full((1, values.shape[1]), np.nan)])
    here = padded[codes].ravel()
    return np.repeat(here, n_cells // len(here))


def noise(
    sweep: Sweep,
    data: Collected,
    kept: Kept,
    table: LookupTable,
    subsets: int,
) -> pl.DataFrame | None:
    """Mean and standard deviation of each configuration's score when its last stage's samples are
    random subsets of the pool instead of its prefix; stages before keep their prefix."""
    import polars as pl

    stage = sweep.stages[-1]
    if isinstance(stage.fuser, ModelFuser) or not stage.spec.metrics:
        return None
    n_cells = table.space.n_cells
    frames = []
    for split, examples in kept.items():
        if not examples:
            continue
        sums = {m: np.zeros((subsets, n_cells)) for m in stage.spec.metrics}
        for example in examples:
            codes = walk(data.tables, example)[-2]
            for metric, values in _subset_scores(sweep, data, example, subsets).items():
                for r in range(subsets):
                    sums[metric][r] += spread(values[r], codes, n_cells)
        present = np.flatnonzero(table.present(split))
        asked = table.space.asked_of_cells(present)
        for metric, total in sums.items():
            means = total[:, present] / len(examples)
            columns: dict[str, Any] = {}
            for i, part in enumerate(table.task.stages):
                names = [model.name for model in part.models]
                columns[f"{part.name}_model"] = [names[m] for m in asked[:, i, 0]]
                columns[f"{part.name}_samples"] = asked[:, i, 1]
            frame = pl.DataFrame(columns).with_columns(
                split=pl.lit(split),
                metric=pl.lit(metric),
                subsets=pl.lit(subsets),
                mean=pl.Series(means.mean(axis=0)),
                sd=pl.Series(means.std(axis=0, ddof=1) if subsets > 1 else 0 * means[0]),
            )
            frames.append(frame)
    return pl.concat(frames)


def _subset_scores(sweep: Sweep, data: Collected, example: int, subsets: int) -> dict[str, Floats]:
    """Last stage's metrics, arrays of shape (subsets, upstreams, options)."""
    stage, table = sweep.stages[-1], data.tables[-1]
    shape = (subsets, *table.results[example].shape)
    found = {m: np.full(shape, np.nan) for m in stage.spec.metrics}
    for u, upstream in enumerate(table.upstreams[example]):
        context = Context(sweep.task.examples[example], upstream)
        for m, model in enumerate(stage.models):
            key = Key(context.example.id, key_of(upstream), 0)
            pool = data.pools[-1][model.name].get(key)
            if pool is None:
                continue
            rng = np.random.default_rng(sweep.seed("subsets", stage.name, model.name, *key))
            scored: dict[str, Mapping[str, float]] = {}
            for g, samples in enumerate(stage.grid):
                for r in range(subsets):
                    chosen = np.sort(rng.permutation(len(pool.texts))[:samples])
                    texts = [pool.texts[i] for i in chosen]
                    result = fuse_prefix(stage.fuser, context, texts, None) or ""
                    if result not in scored:
                        scored[result] = stage.spec.score(context, result)
                    for metric in stage.spec.metrics:
                        option = m * len(stage.grid) + g
                        found[metric][r, u, option] = scored[result][metric]
    return found


def sample_rows(sweep: Sweep, data: Collected, kept: Kept) -> pl.DataFrame | None:
    """Every sample as numbers: which votes agree, which are right alone, how long they are.

    `upstream` numbers the distinct upstream results of the example; `vote` numbers the distinct
    votes of the pool's example and stage, -1 where the sample did not parse. No text enters.
    """
    import polars as pl

    total = sum(
        len(p.texts) for stage in data.pools for held in stage.values() for p in held.values()
    )
    if total > MOST_SAMPLES:
        return None
    order = [e for split in kept for e in kept[split]]
    frames = []
    for index, stage in enumerate(sweep.stages):
        for example in order:
            votes: dict[Any, int] = {}
            for u, upstream in enumerate(data.tables[index].upstreams[example]):
                for model in stage.models:
                    frame = _pool_rows(sweep, data, index, example, upstream, model.name, votes)
                    if frame is not None:
                        frames.append(frame.with_columns(upstream=pl.lit(u, dtype=pl.Int32)))
    keys = ["stage", "model", "split", "example", "upstream", "sample"]
    if not frames:
        return None
    whole = pl.concat(frames, how="diagonal")
    return whole.select(*keys, *(c for c in whole.columns if c not in keys))


def _pool_rows(
    sweep: Sweep,
    data: Collected,
    index: int,
    number: int,
    upstream: str,
    model: str,
    votes: dict[Any, int],
) -> pl.DataFrame | None:
    import polars as pl

    stage: SweepStage = sweep.stages[index]
    example = sweep.task.examples[number]
    pool = data.pools[index][model].get(Key(example.id, key_of(upstream), 0))
    if pool is None:
        return None
    context = Context(example, upstream)
    given = [stage.fuser.vote(context, text) for text in pool.texts]
    coded = [-1 if v is None else votes.setdefault(v, len(votes)) for v in given]
    n = len(pool.texts)
    frame = pl.DataFrame(
        {
            "stage": [stage.name] * n,
            "model": [model] * n,
            "split": [example.split] * n,
            "example": [example.id] * n,
            "sample": pl.Series(range(n), dtype=pl.Int32),
            "vote": pl.Series(coded, dtype=pl.Int32),
            "tokens": pl.Series(pool.tokens, dtype=pl.Int32),
            "prompt_tokens": pl.Series([pool.prompt_tokens] * n, dtype=pl.Int32),
            "finish": list(pool.finishes),
        }
    )
    if not stage.spec.score_alone or not stage.spec.metrics:
        return frame
    scored: dict[str, Mapping[str, float]] = {}
    alone = []
    for text in pool.texts:
        fused = fuse_prefix(stage.fuser, context, [text], None) or ""
        if fused not in scored:
            scored[fused] = stage.spec.score(context, fused)
        alone.append(scored[fused])
    return frame.with_columns(
        pl.Series(metric, [scores[metric] for scores in alone]) for metric in stage.spec.metrics
    )
