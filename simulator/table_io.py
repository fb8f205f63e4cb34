"""Lookup tables on disk: `load`, `save` and `import_csv`. `simulator.table_format` has the format.

Loading reads Parquet once per machine (`simulator.table_cache`) and maps plain arrays after that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator import table_cache
from simulator.errors import TableError, UsageError
from simulator.import_csv import import_csv
from simulator.space import Space
from simulator.table import LookupTable, SplitTable
from simulator.table_format import (
    CARD,
    MANIFEST,
    OUTCOMES,
    SCORES,
    TASK,
    Report,
    check_hashes,
    check_identity,
    manifest,
    read_manifest,
    sha256,
    task_toml,
)
from simulator.task import Task

__all__ = ["import_csv", "load", "new_folder", "read_splits", "save", "write_manifest"]

READ = (TASK, SCORES, OUTCOMES, MANIFEST, CARD)


def load(path: str | Path) -> LookupTable:
    """Load a table's folder; raises `TableError` with the first thing wrong, in one line.

    Arrays are read-only and memory-mapped where they are large. Contents are checked when they are
    new to this machine: hashes against the manifest, and every row (`simulator.verify` checks the
    rest, and lists all that is wrong). Where a cache folder cannot be written, the arrays are
    private to the process.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise TableError(f"{folder}: no such folder")
    task = Task.from_toml(folder / TASK)
    seen = table_cache.signature(folder, READ)
    report = Report()
    provenance = read_manifest(folder, report)
    card = _read_text(folder / CARD, report)
    check_identity(task, provenance, report)
    report.raise_first(folder)
    space = Space(task)
    key = table_cache.find_key(folder, seen)
    splits = table_cache.read_entry(key) if key else None
    if splits is None:
        splits = _first_load(folder, space, provenance, seen, report)
    return LookupTable(task, space, splits, folder, card, provenance)


def _first_load(
    folder: Path,
    space: Space,
    provenance: Mapping[str, Any],
    seen: table_cache.Signature,
    report: Report,
) -> dict[str, SplitTable]:
    names = [name for name in (TASK, SCORES, OUTCOMES) if (folder / name).exists()]
    try:
        hashes = {name: sha256(folder / name) for name in names}
    except OSError as error:
        raise TableError(f"{error.filename}: cannot be read: {error.strerror}") from None
    check_hashes(folder, provenance, hashes, report)
    report.raise_first(folder)
    key = table_cache.content_key(hashes)
    splits = table_cache.read_entry(key)
    if splits is None:
        with table_cache.lock(key):
            splits = table_cache.read_entry(key)
            if splits is None:
                built = read_splits(folder, space, report)
                report.raise_first(folder)
                if table_cache.signature(folder, READ) != seen:
                    raise TableError(f"{folder}: changed while it was read; load it again")
                splits = table_cache.write_entry(key, built) or built
    table_cache.write_index(folder, seen, key)
    return splits


def read_splits(folder: Path, space: Space, report: Report) -> dict[str, SplitTable]:
    """Read both Parquet files into dense arrays; what is wrong goes to `report`."""
    from dataclasses import replace

    from simulator.table_outcomes import read_outcomes
    from simulator.table_scores import read_scores

    scores = read_scores(folder, space, report)
    if not (folder / OUTCOMES).exists():
        return scores.splits
    outcomes = read_outcomes(folder, space, scores, report)
    return {
        name: replace(split, outcomes=outcomes.get(name)) for name, split in scores.splits.items()
    }


def _read_text(path: Path, report: Report) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if path.exists():
            report.add(path.name, f"not readable: {error}")
        return ""


def save(
    table: LookupTable,
    folder: str | Path,
    *,
    card: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a table's folder; the same table, card and provenance give the same bytes.

    - `card` is the text of `CARD.md` (default: the table's own); a card is required.
    - `provenance` gives `source`, `made` (a mapping: engine and its version, model revisions,
      sampling settings, hardware, code version, date) and `licence`, and any further keys of
      `MANIFEST.json` (default: the table's own).
    - `overwrite` replaces a folder that holds a table; any other folder must be empty or absent.

    The folder is written under a temporary name beside it and renamed: it appears as a whole.
    Raises `TableError` where it cannot be written, `UsageError` where it would overwrite.
    """
    from simulator.table_write import write_outcomes, write_scores

    text = table.card if card is None else card
    if not text.strip():
        raise UsageError(f"table {table.name!r} needs a card: what it is, and where it comes from")
    with new_folder(Path(folder), overwrite=overwrite) as temporary:
        (temporary / TASK).write_text(task_toml(table.task), encoding="utf-8", newline="\n")
        (temporary / CARD).write_text(text.rstrip() + "\n", encoding="utf-8", newline="\n")
        write_scores(table, temporary / SCORES)
        if any(split.outcomes is not None for split in table.splits.values()):
            write_outcomes(table, temporary / OUTCOMES)
        write_manifest(
            temporary, table.task, table.provenance if provenance is None else provenance
        )
    return Path(folder)


def write_manifest(folder: Path, task: Task, provenance: Mapping[str, Any]) -> None:
    """Write `MANIFEST.json` of the files that lie in `folder`."""
    import json

    text = json.dumps(manifest(folder, task, provenance), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8", newline="\n")


@contextlib.contextmanager
def new_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends well."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target}: exists and is not a folder; choose another")
    full = target.exists() and any(target.iterdir())
    if full and not (overwrite and (target / MANIFEST).is_file()):
        raise UsageError(f"{target}: the folder is not empty; choose another, or empty it first")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        raise TableError(f"{target}: cannot be written: {error.strerror or error}") from None
    try:
        inside = temporary / "new"
        inside.mkdir()
        yield inside
        if target.exists():
            target.rename(temporary / "old")
        inside.rename(target)
    except OSError as error:
        if (temporary / "old").exists() and not target.exists():
            os.rename(temporary / "old", target)  # noqa: PTH104
        raise TableError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
