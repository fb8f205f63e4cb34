"""Tables to write and folders to damage, for the tests of tables on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from simulator import LookupTable, Task, table_io
from simulator.space import Space
from simulator.table_format import OUTCOMES, SCORES, sha256

MODEL_NAMES = st.text(
    st.characters(max_codepoint=0x24F, exclude_characters=",=", exclude_categories=("C",)),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip() == text)
IDENTIFIERS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,8}\Z")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20).map(str.strip)
FINITE = st.floats(1e3, 1e12, allow_nan=False)


def small_task(**changes: Any) -> Task:
    """Two stages, two models each, two metrics."""
    models = [{"name": "Small-3B", "parameters": 3e9}, {"name": "Large-70B", "parameters": 70e9}]
    stage = {"models": models, "prompt_tokens": 128, "generated_tokens": 64}
    data: dict[str, Any] = {
        "name": "small",
        "title": "A small task",
        "kind": "measured",
        "metric": "exact_match",
        "metrics": ["exact_match", "f1"],
        "default_budget": 500,
        "stages": [
            {"name": "retrieve", "samples": [1, 5], **stage},
            {"name": "answer", "samples": [1, 2, 10], **stage},
        ],
    }
    return Task.from_mapping(data | changes)


def small_table(*, outcomes: bool = True, seed: int = 0) -> LookupTable:
    """A table of `small_task` with a hole in each split; outcomes in both."""
    task, rng = small_task(), np.random.default_rng(seed)
    n = Space(task).n_cells
    of_split = {
        split: {
            "exact_match": rng.integers(0, 2, (n, examples)).astype(float),
            "f1": rng.integers(0, 5, (n, examples)) / 4,
        }
        for split, examples in (("train", 6), ("test", 11))
    }
    metrics = {
        split: {metric: values.mean(axis=1) for metric, values in given.items()}
        for split, given in of_split.items()
    }
    for metric in task.metrics:
        metrics["train"][metric][3] = metrics["test"][metric][7] = np.nan
    return LookupTable.from_arrays(
        task,
        metrics,
        seconds={split: rng.random(n) * 100 for split in metrics},
        examples={"train": 6, "test": 11},
        outcomes=of_split if outcomes else None,
    )


def save_small(folder: Path, *, outcomes: bool = True, seed: int = 0) -> Path:
    return table_io.save(small_table(outcomes=outcomes, seed=seed), folder, card="# Small\n")


def reseal(folder: Path) -> None:
    """Bring the manifest's hashes up to date, so that what is wrong inside is reached."""
    path = folder / "MANIFEST.json"
    data = json.loads(path.read_text())
    for name in list(data["files"]):
        if (folder / name).is_file():
            size = (folder / name).stat().st_size
            data["files"][name] = {"sha256": sha256(folder / name), "bytes": size}
    path.write_text(json.dumps(data))


def edit(folder: Path, change: Any, file: str = SCORES) -> None:
    """Change a Parquet file by a function of its frame; categories become plain text."""
    frame = pl.read_parquet(folder / file).with_columns(pl.col(pl.Enum).cast(pl.String))
    change(frame).write_parquet(folder / file)
    reseal(folder)


def edit_outcomes(folder: Path, change: Any) -> None:
    edit(folder, change, OUTCOMES)


def put(frame: pl.DataFrame, column: str, row: int, value: Any) -> pl.DataFrame:
    """One entry changed; `row` counts from 0."""
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, strict=False))


@st.composite
def any_tasks(draw: st.DrawFn) -> Task:
    """A task with awkward names, prices, temperatures and ranges."""
    stages = draw(st.lists(IDENTIFIERS, min_size=1, max_size=3, unique=True))
    reserved = {"split", "seconds", "examples", "example"}
    reserved |= {f"{s}_{what}" for s in stages for what in ("model", "samples")}
    metrics = draw(
        st.lists(
            IDENTIFIERS.filter(lambda name: name not in reserved),
            min_size=1,
            max_size=3,
            unique=True,
        )
    )
    price = st.none() | st.floats(0, 1e6)
    models = st.lists(
        st.fixed_dictionaries(
            {
                "name": MODEL_NAMES,
                "parameters": FINITE,
                "temperature": st.none() | st.floats(0, 2),
                "dollars_per_million_prompt": price,
            }
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda model: model["name"],
    )
    widest = {1: 6, 2: 4, 3: 2}[len(stages)]
    return Task.from_mapping(
        {
            "name": draw(IDENTIFIERS),
            "title": draw(TEXTS),
            "description": draw(TEXTS),
            "kind": draw(st.sampled_from(["measured", "published", "modelled"])),
            "metric": draw(st.sampled_from(metrics)),
            "metrics": metrics,
            "default_budget": draw(FINITE),
            "paper_distance": draw(st.sampled_from([5, 20])),
            "ranges": [
                {"metric": metric, "low": -2.5, "high": 10.0}
                for metric in metrics
                if draw(st.booleans())
            ],
            "stages": [
                {
                    "name": name,
                    "description": draw(TEXTS),
                    "models": draw(models),
                    "prompt_tokens": draw(st.integers(1, 10**6)),
                    "generated_tokens": draw(st.integers(1, 10**6)),
                    "samples": sorted(
                        draw(st.sets(st.integers(1, 10**5), min_size=1, max_size=widest))
                    ),
                }
                for name in stages
            ],
        }
    )


@st.composite
def any_tables(draw: st.DrawFn) -> LookupTable:
    """A table with holes, one split or two, and outcomes of every coding or none."""
    task = draw(any_tasks())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = Space(task).n_cells
    metrics: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, dict[str, Any]] = {}
    examples: dict[str, int] = {}
    for split in draw(st.sampled_from([("train",), ("test",), ("train", "test")])):
        hole = rng.random(n) < draw(st.sampled_from([0.0, 0.3]))
        hole[draw(st.integers(0, n - 1))] = False
        count = examples[split] = draw(st.integers(1, 300))
        given = {}
        for metric in task.metrics:
            low, high = task.range_of(metric)
            coding = draw(st.sampled_from(["bits", "codes", "floats"]))
            if coding == "bits":
                values = rng.integers(0, 2, (n, count)).astype(float)
            elif coding == "codes":
                values = low + (high - low) * rng.integers(0, 8, (n, count)) / 8
            else:
                values = low + (high - low) * rng.random((n, count), dtype=np.float32)
            given[metric] = values
        metrics[split] = {
            metric: np.where(hole, np.nan, values.astype(np.float64).mean(axis=1))
            for metric, values in given.items()
        }
        if draw(st.booleans()):
            outcomes[split] = given
    return LookupTable.from_arrays(
        task,
        metrics,
        seconds={split: rng.random(n) * 1e4 for split in metrics},
        examples=examples,
        outcomes=outcomes or None,
    )


def assert_same(one: LookupTable, other: LookupTable) -> None:
    """Same task, scores, holes, seconds, examples and outcomes, to the bit."""
    assert one.task == other.task
    assert set(one.splits) == set(other.splits)
    for name, split in one.splits.items():
        twin = other.splits[name]
        for metric in one.task.metrics:
            np.testing.assert_array_equal(split.metrics[metric], twin.metrics[metric])
        np.testing.assert_array_equal(split.seconds, twin.seconds)
        np.testing.assert_array_equal(split.examples, twin.examples)
        assert (split.outcomes is None) == (twin.outcomes is None)
        if split.outcomes is None or twin.outcomes is None:
            continue
        assert split.outcomes.n_examples == twin.outcomes.n_examples
        np.testing.assert_array_equal(split.outcomes.row_of_cell, twin.outcomes.row_of_cell)
        assert set(split.outcomes.metrics) == set(twin.outcomes.metrics)
        for metric, coded in split.outcomes.metrics.items():
            np.testing.assert_array_equal(
                coded.decode(slice(None), split.outcomes.n_examples),
                twin.outcomes.metrics[metric].decode(slice(None), twin.outcomes.n_examples),
            )
