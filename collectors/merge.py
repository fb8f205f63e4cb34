"""From samples to a lookup table: scores of every configuration, outcomes, seconds, provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from collectors.accounting import Rate, Totals, drawn_totals, fit_rate, naive_totals
from collectors.errors import StoreError
from collectors.pipeline import Context, SplitName
from collectors.planner import StageTable
from collectors.runner import Collected, collected
from collectors.sidecars import noise, sample_rows, spread, walk
from collectors.store import Store
from collectors.sweep import Sweep
from simulator.cost import units
from simulator.errors import TableError
from simulator.space import Space
from simulator.table import LookupTable
from simulator.task import Kind, Model, Stage, Task

if TYPE_CHECKING:
    import polars as pl

SPLITS: tuple[SplitName, ...] = ("train", "test")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Merged:
    """A table with what its manifest and card tell. `noise` is `None` where no subsets were asked
    for, `samples` where there are too many; `dropped` are ids of examples that are incomplete."""

    table: LookupTable
    naive: Totals
    drawn: Totals
    holes: Mapping[str, int]
    dropped: tuple[str, ...]
    noise: pl.DataFrame | None
    samples: pl.DataFrame | None
    data: Collected


def option_rates(sweep: Sweep, data: Collected) -> list[list[Rate]]:
    """The measured rates of every option of every stage."""
    by_model = {
        name: fit_rate([(c.prompt_tokens, c.generated_tokens, c.seconds) for c in costs])
        for name, costs in data.costs.items()
    }
    return [
        [by_model[model.name] for model in stage.models for _ in stage.grid]
        for stage in sweep.stages
    ]


def merge(
    sweep: Sweep,
    store: Store,
    *,
    allow_holes: bool = False,
    drop_incomplete: bool = False,
) -> Merged:
    """Score the pools and put the table together.

    Samples that are missing make holes, never zeros: raises `StoreError` where any are missing,
    unless `allow_holes`. `drop_incomplete` leaves out examples with anything missing instead, which
    the card then says.
    """
    data = collected(sweep, store)
    done = sum(d for d, _ in data.known.values())
    needed = sum(n for _, n in data.known.values())
    whole = [all((t.results[e] >= 0).all() for t in data.tables) for e in _examples(sweep)]
    dropped = [e for e in _examples(sweep) if drop_incomplete and not whole[e]]
    if not data.complete and not allow_holes and not drop_incomplete:
        raise StoreError(
            f"{store.path} is incomplete: {needed - done} of {needed} known requests are missing; "
            "`agenttts collect run` draws them, --allow-holes leaves holes in the table, "
            "--drop-incomplete leaves out the examples that they belong to"
        )
    rates = option_rates(sweep, data)
    kept = {
        split: [e for e in _examples(sweep) if _split(sweep, e) == split and e not in dropped]
        for split in SPLITS
    }
    # What a function made up is no measurement, however it went through the same pipeline.
    task = table_task(sweep, data, "modelled" if store.rehearsed() else "measured")
    space = Space(task)
    metrics: dict[str, dict[str, Floats]] = {}
    seconds: dict[str, Floats] = {}
    outcomes: dict[str, dict[str, NDArray[np.float32]]] = {}
    holes: dict[str, int] = {}
    for split in SPLITS:
        if not kept[split]:
            continue
        values, seconds[split] = _score_split(sweep, data, rates, kept[split], space.n_cells)
        outcomes[split] = values
        metrics[split] = {m: v.mean(axis=1, dtype=np.float64) for m, v in values.items()}
        holes[split] = int(np.isnan(metrics[split][task.metric]).sum())
        if holes[split] == space.n_cells:
            raise StoreError(
                f"{store.path}: no configuration is complete on the split {split!r} yet; "
                "`agenttts collect run` goes on"
            )
    if "train" not in metrics:
        raise TableError("a table needs examples of the split 'train', and none is left")
    table = LookupTable.from_arrays(task, metrics, seconds=seconds, outcomes=outcomes)
    subsets = sweep.file.plan.subsets
    return Merged(
        table=table,
        naive=naive_totals(data.tables, rates),
        drawn=_with_seconds(drawn_totals([*data.pools, *data.fusions]), data),
        holes=holes,
        dropped=tuple(sweep.task.examples[e].id for e in dropped),
        noise=noise(sweep, data, kept, table, subsets) if subsets else None,
        samples=sample_rows(sweep, data, kept),
        data=data,
    )


def _examples(sweep: Sweep) -> range:
    return range(len(sweep.task.examples))


def _split(sweep: Sweep, example: int) -> SplitName:
    return sweep.task.examples[example].split


def _with_seconds(totals: Totals, data: Collected) -> Totals:
    seconds = math.fsum(cost.seconds for costs in data.costs.values() for cost in costs)
    return replace(totals, seconds=seconds)


def table_task(sweep: Sweep, data: Collected, kind: Kind) -> Task:
    """The table's task; token counts a call are the measured means, where the sweep gives none."""
    entry = sweep.file.table
    metric = entry.metric or sweep.task.metric
    others = [name for name in sweep.task.metrics if name != metric]
    stages = []
    for stage, pools in zip(sweep.stages, data.pools, strict=True):
        found = [pool for held in pools.values() for pool in held.values()]
        if not found:
            raise StoreError(f"stage {stage.name!r} has no samples yet; `agenttts collect run`")
        prompt = sum(pool.prompt_tokens for pool in found) / len(found)
        drawn = np.concatenate([pool.tokens for pool in found])
        models = tuple(
            Model(
                name=model.name,
                parameters=model.parameters,
                temperature=stage.sampling(model).temperature,
                dollars_per_million_prompt=model.dollars_per_million_prompt,
                dollars_per_million_generated=model.dollars_per_million_generated,
            )
            for model in stage.models
        )
        stages.append(
            Stage(
                name=stage.name,
                description=stage.spec.description,
                models=models,
                prompt_tokens=stage.entry.prompt_tokens or max(1, round(prompt)),
                generated_tokens=stage.entry.generated_tokens or max(1, round(drawn.mean())),
                samples=stage.grid,
            )
        )
    task = Task(
        name=entry.name or sweep.task.name,
        title=entry.title or sweep.task.title,
        kind=kind,
        metric=metric,
        metrics=(metric, *others),
        default_budget=entry.default_budget or 1.0,
        stages=tuple(stages),
    )
    if entry.default_budget is not None:
        return task
    return task.model_copy(update={"default_budget": _middle_cost(task)})


def _middle_cost(task: Task) -> float:
    """Units that half of the configurations cost at most, to two digits and at least 1."""
    total = np.zeros(1)
    for stage in task.stages:
        costs = [
            float(units(model.parameters, stage.prompt_tokens, stage.generated_tokens, samples))
            for model in stage.models
            for samples in stage.samples
        ]
        total = (total[:, None] + np.array(costs)[None, :]).ravel()
    return max(1.0, float(f"{np.median(total):.2g}"))


def _score_stage(sweep: Sweep, index: int, table: StageTable, example: int) -> dict[str, Floats]:
    """Metrics of one stage and example, arrays of shape (upstreams, options), nan where missing."""
    spec = sweep.stages[index].spec
    codes = table.results[example]
    found = {metric: np.full(codes.shape, np.nan) for metric in spec.metrics}
    if not spec.metrics:
        return found
    for u, upstream in enumerate(table.upstreams[example]):
        context = Context(sweep.task.examples[example], upstream)
        for code in np.unique(codes[u][codes[u] >= 0]):
            scores = spec.score(context, table.outputs[example][code])
            for metric in spec.metrics:
                found[metric][u, codes[u] == code] = float(scores[metric])
    return found


def _score_split(
    sweep: Sweep,
    data: Collected,
    rates: Sequence[Sequence[Rate]],
    examples: Sequence[int],
    n_cells: int,
) -> tuple[dict[str, NDArray[np.float32]], Floats]:
    """Outcomes of each metric, shape (cells, examples), and seconds, shape (cells,)."""
    names = sweep.task.metrics
    out = {m: np.full((n_cells, len(examples)), np.nan, dtype=np.float32) for m in names}
    seconds = np.zeros(n_cells)
    for column, example in enumerate(examples):
        codes = walk(data.tables, example)
        for index, table in enumerate(data.tables):
            per_prompt = np.array([rate.prompt for rate in rates[index]])
            per_generated = np.array([rate.generated for rate in rates[index]])
            took = (
                table.prompt_tokens[example] * per_prompt
                + table.generated_tokens[example] * per_generated
            )
            seconds += spread(took, codes[index], n_cells)
            for metric, values in _score_stage(sweep, index, table, example).items():
                out[metric][:, column] = spread(values, codes[index], n_cells)
        incomplete = codes[-1] < 0
        for outcome in out.values():
            outcome[incomplete, column] = np.nan
    return out, seconds


def write(
    merged: Merged, sweep: Sweep, store: Store, folder: str | Path, *, overwrite: bool
) -> Path:
    """Write the table's folder with card, manifest, and the plain columns of samples and noise."""
    from collectors.manifest import card, provenance
    from simulator import table_io

    target = Path(folder)
    about = provenance(merged, sweep, store)
    with table_io.new_folder(target, overwrite=overwrite) as temporary:
        table_io.save(merged.table, temporary, card=card(merged, sweep, about), provenance=about)
        for name, frame in (("samples", merged.samples), ("noise", merged.noise)):
            if frame is not None:
                frame.write_parquet(
                    temporary / f"{name}.parquet", compression="zstd", statistics=False
                )
        table_io.write_manifest(temporary, merged.table.task, about)
    return target
