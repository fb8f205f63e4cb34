"""The format of a lookup table on disk: its files, its columns, its manifest.

A folder holds `task.toml`, `scores.parquet`, `CARD.md`, `MANIFEST.json` and, where there are
outcomes per example, `outcomes.parquet`. `scores.parquet` has for each stage `<stage>_model` and
`<stage>_samples`, then `split`, a column for each metric, `seconds` of running the configuration on
that split's examples, and `examples`, 0 where their number is not known. A row left out is a hole.
`outcomes.parquet` has the same keys, `example` (a whole number or text) and metrics.
`MANIFEST.json`, format 1:

    {"format": 1, "name": ..., "kind": "measured" | "published" | "modelled",
     "source": ..., "made": {...}, "licence": ...,
     "files": {"scores.parquet": {"sha256": ..., "bytes": ...}, ...}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TableError, printable
from simulator.paths import is_file, is_link
from simulator.task import Task

FORMAT = 1
TASK, SCORES, OUTCOMES, CARD, MANIFEST = (
    "task.toml",
    "scores.parquet",
    "outcomes.parquet",
    "CARD.md",
    "MANIFEST.json",
)
REQUIRED = (TASK, SCORES, CARD)
SPLITS = ("train", "test")
SHOWN_ROWS = 10
"""Rows named for each kind of problem in a column; the rest are counted."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a table: the file (empty for the folder itself), and where known the
    row (from 1) and the column."""

    file: str
    message: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        if not self.file:
            return printable(self.message)
        where = [self.file]
        if self.row is not None:
            where.append(f"row {self.row}")
        if self.column is not None:
            where.append(f"column {self.column}")
        return printable(f"{', '.join(where)}: {self.message}")


@dataclass
class Report:
    """Problems found so far in one table. A CSV counts lines, its header's included."""

    problems: list[Problem] = field(default_factory=list)
    csv: bool = False

    def place(self, row: int) -> str:
        """How messages name a row, which counts from 0 here."""
        return f"line {row + 2}" if self.csv else f"row {row + 1}"

    def add(
        self, file: str, message: str, *, row: int | None = None, column: str | None = None
    ) -> None:
        self.problems.append(Problem(file, message, row, column))

    def add_rows(
        self,
        file: str,
        column: str | None,
        wrong: NDArray[np.bool_],
        describe: Callable[[int], str],
        first_row: int = 0,
    ) -> None:
        """A problem for each row that is `wrong`, as `describe(position)` words it.

        `first_row` is the number of rows before this part of the file.
        """
        rows = np.flatnonzero(wrong)
        for row in rows[:SHOWN_ROWS].tolist():
            self.add(file, describe(row), row=first_row + row + 1, column=column)
        if len(rows) > SHOWN_ROWS:
            more = len(rows) - SHOWN_ROWS
            self.add(file, f"{more:,} more rows like the one before", column=column)

    def raise_first(self, folder: Path) -> None:
        """Raise one clear line where anything is wrong."""
        if not self.problems:
            return
        more = len(self.problems) - 1
        tail = f" (and {more} more: agenttts tables verify {folder})" if more else ""
        raise TableError(f"{folder}: {self.problems[0]}{tail}")


def model_column(stage: str) -> str:
    return f"{stage}_model"


def samples_column(stage: str) -> str:
    return f"{stage}_samples"


def key_columns(task: Task) -> list[str]:
    """`<stage>_model` and `<stage>_samples` of every stage, then `split`."""
    pairs = [(model_column(stage.name), samples_column(stage.name)) for stage in task.stages]
    return [column for pair in pairs for column in pair] + ["split"]


def score_columns(task: Task) -> list[str]:
    """All columns of `scores.parquet`, in order."""
    return [*key_columns(task), *task.metrics, "seconds", "examples"]


def check_columns(report: Report, file: str, found: list[str], expected: list[str]) -> bool:
    """Report missing and unknown columns; whether all that are needed are there."""
    for column in expected:
        if column not in found:
            report.add(file, f"missing; columns are {', '.join(found)}", column=column)
    for column in found:
        if column not in expected:
            report.add(file, "unknown column; task.toml does not name it", column=column)
    return set(found) == set(expected)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path, task: Task, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of the files that lie in `folder` now; `provenance` gives the rest."""
    files = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    return {
        "format": FORMAT,
        "name": task.name,
        "kind": task.kind,
        "source": provenance.get("source", "not stated"),
        "made": provenance.get("made", {}),
        "licence": provenance.get("licence", "not stated"),
        **{k: v for k, v in provenance.items() if k not in _OWN},
        "files": {
            name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
            for name in files
        },
    }


_OWN = frozenset({"format", "name", "kind", "source", "made", "licence", "files"})


def read_manifest(folder: Path, report: Report) -> dict[str, Any]:
    """Read and check all of the manifest but the hashes; what is wrong goes to `report`."""
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        report.add(MANIFEST, "no such file")
        return {}
    except (OSError, ValueError, RecursionError) as error:
        report.add(MANIFEST, f"not readable as JSON: {error}")
        return {}
    if not isinstance(data, dict):
        report.add(MANIFEST, "must hold a JSON object")
        return {}
    if data.get("format") != FORMAT:
        report.add(
            MANIFEST,
            f"format {data.get('format')!r} is not the format {FORMAT} that this version reads",
        )
        return {}
    for key in ("name", "kind", "source", "made", "licence"):
        if key not in data:
            report.add(MANIFEST, f"lacks {key!r}")
    files = data.get("files")
    if not isinstance(files, dict):
        report.add(MANIFEST, "'files' must map file names to their sha256 and bytes")
        return data
    for name, entry in files.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            report.add(MANIFEST, f"entry of {name!r} must hold sha256 and bytes")
        if name != PurePosixPath(name).name or name in ("", ".", "..") or "\\" in name:
            report.add(MANIFEST, f"{name!r} must be a file's name in this folder, without a path")
        elif is_link(folder / name):
            report.add(name, "is a symbolic link; tables hold plain files only")
        elif not is_file(folder / name):
            report.add(name, f"no such file, but {MANIFEST} lists it")
    for name in REQUIRED:
        if name not in files:
            report.add(MANIFEST, f"does not list {name}")
    if OUTCOMES not in files and (folder / OUTCOMES).exists():
        report.add(MANIFEST, f"does not list {OUTCOMES}")
    return data


def check_hashes(
    folder: Path, data: Mapping[str, Any], hashes: Mapping[str, str], report: Report
) -> None:
    """Compare SHA-256 sums (by file name) with those of the manifest."""
    files = data.get("files")
    for name, digest in hashes.items():
        entry = files.get(name) if isinstance(files, dict) else None
        given = entry.get("sha256") if isinstance(entry, dict) else None
        if isinstance(given, str) and given != digest:
            report.add(
                name,
                f"has changed since {MANIFEST} was written: its SHA-256 is {digest[:12]}..., "
                f"not {given[:12]}...",
            )


def check_identity(task: Task, data: Mapping[str, Any], report: Report) -> None:
    """The manifest must name the same task and kind as `task.toml`."""
    for key, value in (("name", task.name), ("kind", task.kind)):
        if key in data and data[key] != value:
            report.add(MANIFEST, f"{key} is {data[key]!r}, but {TASK} says {value!r}")


def task_toml(task: Task) -> str:
    """A task as the text of `task.toml`; `Task.from_toml` reads it back."""
    lines = [f"{key} = {_toml(value)}" for key, value in _fields(task, {"stages", "ranges"})]
    for given in task.ranges:
        lines += ["", "[[ranges]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in _fields(given, set())]
    for stage in task.stages:
        lines += ["", "[[stages]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in _fields(stage, {"models"})]
        for model in stage.models:
            lines += ["[[stages.models]]"]
            lines += [f"{key} = {_toml(value)}" for key, value in _fields(model, set())]
    return "\n".join(lines) + "\n"


def _fields(record: Any, leave_out: set[str]) -> list[tuple[str, Any]]:
    data = record.model_dump(exclude=leave_out, exclude_none=True, exclude_defaults=True)
    return list(data.items())


def _toml(value: Any) -> str:
    """Strings as JSON writes them, which TOML reads, but for U+007F and the surrogates."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, float):
        short = f"{value:.10g}"
        return short if "e" in short and float(short) == value else repr(value)
    return json.dumps(value)
