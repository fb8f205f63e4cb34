"""The shipped lookup tables and reference results, found and loaded by name.

>>> from lookup_tables import load
>>> load("math").kind
'published'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import UnknownName
from simulator.table import LookupTable
from simulator.task import KINDS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["find", "load", "names", "reference", "reference_names"]

_HERE = Path(__file__).parent


def names() -> list[str]:
    """Names of the shipped tables, in order; each is a folder under the kind of table it is."""
    return sorted(_folders())


def find(name: str | Path) -> Path:
    """The folder of a shipped table, or of any table given by its path.

    Raises `UnknownName` with the nearest names where there is neither.
    """
    folders = _folders()
    text = os.fspath(name)
    if not isinstance(name, Path) and text in folders:
        return folders[text]
    # A path that is a folder, or is spelt as a path, is the caller's own table.
    if isinstance(name, Path) or (text and Path(text).is_dir()) or "/" in text or os.sep in text:
        return Path(text)
    raise UnknownName("table", text, folders)


def load(name: str | Path) -> LookupTable:
    """Load a table by its shipped name or its folder; raises as `find` and `table_io.load` do."""
    return LookupTable.load(find(name))


def reference_names() -> list[str]:
    """Names of the shipped reference results."""
    return sorted(path.stem for path in (_HERE / "reference").glob("*.csv"))


def reference(name: str) -> pl.DataFrame:
    """A shipped reference result, as published (`reference/README.md` says what each holds)."""
    import polars as pl

    known = reference_names()
    if name not in known:
        raise UnknownName("reference result", name, known)
    return pl.read_csv(_HERE / "reference" / f"{name}.csv", infer_schema_length=None)


def _folders() -> dict[str, Path]:
    return {
        path.parent.name: path.parent
        for kind in KINDS
        for path in (_HERE / kind).glob("*/task.toml")
    }
