"""What a measured table says of itself: its manifest's provenance and its card."""

from __future__ import annotations

import importlib.metadata
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from collectors.accounting import Totals
from collectors.merge import Merged
from collectors.store import Store
from collectors.sweep import Sweep


def today() -> str:
    """The date, or that of `SOURCE_DATE_EPOCH`, the convention for builds that repeat."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)
    return when.date().isoformat()


def code_version() -> str:
    """The installed version of this project."""
    try:
        return importlib.metadata.version("agenttts")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def public_source(source: str) -> str:
    """A model's name on the Hub, or the last part of a local folder: where it lay is nobody's
    business.

    >>> public_source("/data/weights/SmolLM2"), public_source("org/model")
    ('SmolLM2', 'org/model')
    """
    local = source.startswith(("/", "~", "."))
    return source.rstrip("/").rsplit("/", 1)[-1] if local else source


def provenance(merged: Merged, sweep: Sweep, store: Store) -> dict[str, Any]:
    """Source, licence and how the table was made; holds no text of any example.

    The manifest does not tell how often the sweep was stopped and resumed: the table does not
    depend on it.
    """
    engines = []
    for session in store.sessions():
        if session.get("engine") not in engines:
            engines.append(session.get("engine"))
    file, weights = sweep.file, store.weights()
    return {
        "source": f"{sweep.task.title}; examples from {sweep.task.source or 'this project'}",
        "licence": file.table.licence or sweep.task.licence,
        "made": {
            "by": "agenttts collect",
            "code_version": code_version(),
            "date": today(),
            "engine": engines[-1] if engines else {},
            "earlier_engines": engines[:-1],
            "sweep": sweep.identity,
            "seed": file.seed,
            "seeding": f"base seeds by request, multiples of {sweep.seed_spacing}, plus the "
            "sample's index",
            "models": [
                {
                    "name": model.name,
                    "source": public_source(model.source),
                    "revision": model.revision or weights.get(model.name),
                    "parameters": model.parameters,
                    "mode": model.mode,
                    "tensor_parallel": model.tensor_parallel,
                }
                for model in file.models
            ],
            "sampling": [
                {
                    "stage": stage.name,
                    "model": model.name,
                    "fuser": stage.entry.fuser or next(iter(stage.spec.fusers)),
                    **asdict(stage.sampling(model)),
                }
                for stage in sweep.stages
                for model in stage.models
            ],
            "data": {
                "task": sweep.task.name,
                "task_version": sweep.task.version,
                "dataset": file.data.dataset,
                "revision": file.data.revision,
                "examples_sha256": sweep.settings["examples"],
                "dropped": list(merged.dropped),
            },
            "options": json.loads(json.dumps(file.options, default=str)),
            "planned": _totals(merged.drawn),
            "naive": _totals(merged.naive),
            "token_saving": round(merged.naive.tokens / max(1, merged.drawn.tokens), 2),
        },
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {**asdict(totals), "seconds": round(totals.seconds, 3), "tokens": totals.tokens}


_POOLS = """For each stage, model, example and distinct upstream result one pool of the largest
sample count was drawn; a smaller count is the pool's prefix, and configurations whose fused result
is the same text share everything after it. Scores of configurations that share samples are
therefore correlated."""
_SECONDS = """- `seconds` is what a configuration's own calls (prompts once, samples, fusions) would
  take at the throughput measured in this sweep, split between prompt and generated tokens by
  non-negative least squares over its chunks. It holds for batches as large as the sweep's.
- Repeating the sweep repeats distributions; single samples repeat only on the same hardware and
  versions, and not always then."""
_SAMPLES = """- `samples.parquet`: every sample as numbers (which votes agree, score alone, tokens),
  for replaying rules that stop early."""
_NOISE = """- `noise.parquet`: mean and standard deviation of each score over random subsets of the
  last stage's pools."""


def card(merged: Merged, sweep: Sweep, about: dict[str, Any]) -> str:
    """The text of `CARD.md`."""
    task, made = merged.table.task, about["made"]
    engine = made["engine"]
    counts = ", ".join(
        f"{split.outcomes.n_examples if split.outcomes else 0} {name}"
        for name, split in merged.table.splits.items()
    )
    how = (
        "A rehearsal: a function answered in place of language models, so nothing here was "
        "measured, seconds included."
        if task.kind == "modelled"
        else f"Measured with {engine.get('engine', 'an engine')} {engine.get('version', '')} on "
        f"{engine.get('hardware', 'hardware not told')}."
    )
    how += (
        " Every score comes from samples that were drawn; none is filled in. "
        f"Examples: {counts}. Searched for: {task.metric}."
    )
    drawn = (
        f"- Drawn: {merged.drawn.tokens:,} tokens in {merged.drawn.requests:,} requests, "
        f"{merged.drawn.seconds:,.1f} s of engine time.\n"
        f"- Running every configuration from scratch would have taken {merged.naive.tokens:,} "
        f"tokens: {made['token_saving']:g} times as many."
    )
    lines = [
        f"# {task.title or task.name}",
        "",
        how,
        "",
        "## Scores",
        "",
        *(f"- `{name}`: {text}" for name, text in sweep.task.facts.items()),
        "",
        "## Stages",
        "",
        "| stage | model | temperature | fuser | pools | samples | cut off | did not parse |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for index, stage in enumerate(sweep.stages):
        for model in stage.models:
            pools = merged.data.pools[index][model.name]
            finishes = [f for pool in pools.values() for f in pool.finishes]
            cut = np.mean([f == "length" for f in finishes]) if finishes else 0.0
            lines.append(
                f"| {stage.name} | {_cell(model.name)} | {stage.sampling(model).temperature:g} | "
                f"{stage.entry.fuser or next(iter(stage.spec.fusers))} | {len(pools)} | "
                f"{len(finishes)} | {cut:.1%} | {_unparsed(merged, stage.name, model.name)} |"
            )
    lines += [
        "",
        "## How it was made",
        "",
        _POOLS,
        "",
        drawn,
        _SECONDS,
    ]
    if any(merged.holes.values()):
        holes = ", ".join(f"{count} on {split}" for split, count in merged.holes.items())
        lines.append(f"- Holes, for samples that the infrastructure failed to give: {holes}.")
    if merged.dropped:
        lines.append(f"- Left out as incomplete: {len(merged.dropped)} examples.")
    if merged.samples is not None:
        lines.append(_SAMPLES)
    if merged.noise is not None:
        lines.append(_NOISE)
    oracle = [s.name for s in sweep.stages if getattr(s.fuser, "oracle", False)]
    if oracle:
        lines.append(
            f"- The fuser of {', '.join(oracle)} looks at the gold answer: its scores are an upper "
            "bound, not what a system without the answer reaches."
        )
    lines += ["", f"Licence: {about['licence']}."]
    return "\n".join(lines)


def _unparsed(merged: Merged, stage: str, model: str) -> str:
    import polars as pl

    if merged.samples is None:
        return "not counted"
    rows = merged.samples.filter((pl.col("stage") == stage) & (pl.col("model") == model))
    return f"{np.mean(rows['vote'].to_numpy() < 0):.1%}" if len(rows) else "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
