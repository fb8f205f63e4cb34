"""Examples from a local file or from the Hugging Face Hub at a pinned revision."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from collectors.errors import SweepError
from collectors.pipeline import Example
from simulator.errors import AgentTTSError, MissingExtra
from simulator.parquet_pages import check_pages
from simulator.paths import is_file

Row = Mapping[str, Any]
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")


class DataSource(BaseModel):
    """The `[data]` part of a sweep file: `path`, or `dataset` with its `revision`.

    `revision` is a full commit hash, so that the same examples come again; branches move.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    dataset: str | None = None
    subset: str | None = None
    split: str = "validation"
    revision: str | None = None
    train_examples: int = Field(default=20, ge=0)
    test_examples: int = Field(default=20, ge=0)
    shuffle: bool = True


@dataclass(frozen=True)
class HubDefault:
    """Where a task's data set lies on the Hub when a sweep names neither path nor dataset."""

    dataset: str
    subset: str | None = None
    split: str = "validation"


def read_rows(source: DataSource, default: HubDefault | None = None) -> list[Row]:
    """Rows of the source; raises `SweepError` with what is wrong and what would be right."""
    if source.path is not None:
        return read_file(source.path)
    dataset = source.dataset or (default.dataset if default else None)
    if dataset is None:
        raise SweepError(
            "data: this task has no data set on the Hub that it knows of; give data.path"
        )
    if source.revision is None or not re.fullmatch(r"[0-9a-f]{40}", source.revision):
        given = "no revision" if source.revision is None else f"revision {source.revision!r}"
        raise SweepError(
            f"data: {dataset} with {given}; data.revision must be the full 40-digit commit hash, "
            "shown under 'Files and versions' on the data set's page"
        )
    own = default is not None and source.dataset is None
    subset = source.subset or (default.subset if default and own else None)
    split = source.split
    if own and default is not None and "split" not in source.model_fields_set:
        split = default.split
    try:
        from datasets import load_dataset
    except ModuleNotFoundError:
        raise MissingExtra("datasets", "collect", "reading a data set from the Hub") from None
    try:
        loaded = load_dataset(dataset, subset, split=split, revision=source.revision)
    except Exception as error:
        line = " ".join(str(error).split())[:300]
        raise SweepError(
            f"data: cannot load {dataset} (subset {subset}, split {split}, revision "
            f"{source.revision[:12]}): {line}"
        ) from None
    return list(loaded)


def read_file(path: Path) -> list[Row]:
    """Rows of a `.jsonl`, `.csv`, `.parquet` or `.json` file (a list, an object, or one a line)."""
    if not is_file(path):
        raise SweepError(f"data: no file {path}")
    if path.suffix not in SUFFIXES:
        raise SweepError(f"data: {path} is not one of {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".parquet":
            import polars as pl

            check_pages(path)
            return list(pl.read_parquet(path).to_dicts())
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            return list(csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True))
        rows = _lines(text) if path.suffix == ".jsonl" else _json_or_lines(text)
    except OSError as error:
        raise SweepError(f"data: {path} cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise SweepError(f"data: {path} cannot be read: it is nested too deeply") from None
    except BaseException as error:
        # Polars' panics are no `Exception`; what the process itself is told passes on.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise SweepError(f"data: {path} cannot be read: {line}") from None
    return _checked(path, rows)


def _json_or_lines(text: str) -> Any:
    """A list as it is, one object as a list of it; some `.json` files hold an object a line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        return _lines(text)
    return [value] if isinstance(value, dict) else value


def _lines(text: str) -> list[Row]:
    rows = []
    # Only these end a line: JSON's texts may hold the other characters that `splitlines` cuts at.
    for number, line in enumerate(re.split("\r\n|\n|\r", text), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return rows


def _checked(path: Path, rows: Any) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SweepError(f"data: {path} must hold a list of objects")
    return rows


def need(row: Row, *names: str) -> Any:
    """The first of the named fields that the row has; raises `SweepError` naming them."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    has = ", ".join(sorted(map(str, row))[:12])
    raise SweepError(f"data: a row lacks the field {' or '.join(names)}; it has {has}")


@contextlib.contextmanager
def shaped(index: int | None = None) -> Iterator[None]:
    """Turn what a row of another shape makes a reader raise into a `SweepError` that names the row
    (`index` from 0; `None` where it is not known)."""
    try:
        yield
    except AgentTTSError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError, OSError) as error:
        which = "a row" if index is None else f"row {index + 1}"
        raise SweepError(
            f"data: {which} does not have the shape that this task reads: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from None


def choose(
    source: DataSource,
    rows: Sequence[Row],
    make: Callable[[int, Row], Mapping[str, Any] | None],
    seed: int,
    identify: Callable[[int, Row], str] | None = None,
) -> tuple[Example, ...]:
    """Split rows into train and test examples.

    Rows are shuffled by `seed` (unless `shuffle = false`), rows for which `make` gives `None` are
    passed over, the first `train_examples` train and the next `test_examples` test. Raises
    `SweepError` where there are too few.
    """
    order: Iterable[int] = range(len(rows))
    if source.shuffle:
        order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    wanted = source.train_examples + source.test_examples
    if wanted == 0:
        raise SweepError("data: train_examples and test_examples are both 0")
    chosen: list[Example] = []
    seen: set[str] = set()
    for index in order:
        if len(chosen) == wanted:
            break
        with shaped(index):
            fields = make(index, rows[index])
            name = identify(index, rows[index]) if identify else str(index)
        if fields is None:
            continue
        if name in seen:
            continue
        seen.add(name)
        split = "train" if len(chosen) < source.train_examples else "test"
        chosen.append(Example(name, split, fields))  # type: ignore[arg-type]
    if len(chosen) < wanted:
        raise SweepError(
            f"data: {len(chosen)} usable examples of {len(rows)} rows, but train_examples + "
            f"test_examples is {wanted}"
        )
    return tuple(chosen)
