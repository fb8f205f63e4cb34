"""From `scores.parquet` to dense arrays, checked on the way; in parts, with no loop over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import UnknownName
from simulator.parquet_pages import check_pages
from simulator.space import Space
from simulator.table import SplitTable
from simulator.table_format import (
    SCORES,
    SPLITS,
    Report,
    check_columns,
    model_column,
    samples_column,
    score_columns,
)

if TYPE_CHECKING:
    import polars as pl

ROWS_AT_ONCE = 2**20
"""Rows decoded at once: some 100 MiB, whatever the file's size."""

INT32_MAX = 2**31 - 1
TOLERANCE = 1e-9
"""How far a metric may lie outside its range, for what arithmetic rounds."""


@dataclass
class Scores:
    """What `scores.parquet` holds: splits, and for each the row (from 0) of each cell or -1."""

    splits: dict[str, SplitTable]
    rows: dict[str, NDArray[np.int32]]


def read_scores(folder: Path, space: Space, report: Report) -> Scores:
    """Read and check `scores.parquet`; what is wrong goes to `report`."""
    task, path = space.task, folder / SCORES
    schema = read_schema(path, report)
    found = Scores({}, {})
    if schema is None or not check_columns(report, SCORES, list(schema), score_columns(task)):
        return found
    kinds = dict.fromkeys(task.metrics, "number") | {"seconds": "number", "examples": "integer"}
    if not check_types(path, schema, {**key_types(space), **kinds}, report):
        return found
    for first, frame in parts(path, report, score_columns(task)):
        _read_part(frame, first, space, found, report)
    if not found.splits and not report.problems:
        report.add(SCORES, "holds no row: every configuration is a hole")
    return found


def _read_part(
    frame: pl.DataFrame, first: int, space: Space, found: Scores, report: Report
) -> None:
    task = space.task
    splits, cells = read_keys(frame, space, SCORES, first, report)
    columns = {
        metric: read_numbers(
            frame[metric], SCORES, first, report, task.range_of(metric), null=metric != task.metric
        )
        for metric in task.metrics
    }
    seconds = read_numbers(frame["seconds"], SCORES, first, report, (0.0, np.inf))
    examples = read_numbers(frame["examples"], SCORES, first, report, (0, INT32_MAX))
    for code, name in enumerate(SPLITS):
        here = np.flatnonzero((splits == code) & (cells >= 0))
        if len(here) == 0:
            continue
        if name not in found.splits:
            _start(found, name, space)
        table, rows = found.splits[name], found.rows[name]
        where = cells[here]
        _check_duplicates(rows, where, here + first, name, space, report)
        for metric in task.metrics:
            table.metrics[metric][where] = columns[metric][here]
        table.seconds[where] = seconds[here]
        count = np.nan_to_num(examples[here], posinf=0, neginf=0)
        table.examples[where] = np.clip(count, 0, INT32_MAX).astype(np.int32)


def _start(found: Scores, name: str, space: Space) -> None:
    metrics = {metric: np.full(space.n_cells, np.nan) for metric in space.task.metrics}
    found.splits[name] = SplitTable(
        name, metrics, np.full(space.n_cells, np.nan), np.zeros(space.n_cells, dtype=np.int32)
    )
    found.rows[name] = np.full(space.n_cells, -1, dtype=np.int32)


def _check_duplicates(
    rows: NDArray[np.int32],
    cells: NDArray[np.int32],
    numbers: NDArray[np.int64],
    split: str,
    space: Space,
    report: Report,
) -> None:
    """Note the row of each cell; a cell that has one already, or two here, is a duplicate."""
    before = rows[cells]
    fresh = before < 0
    rows[cells[fresh][::-1]] = numbers[fresh][::-1]
    # Of equal cells the first row was written last, so it is the one that stands.
    wrong = rows[cells] != numbers
    if wrong.any():
        at = np.zeros(int(numbers[-1]) + 1, dtype=bool)
        at[numbers[wrong]] = True
        cell_at = dict(zip(numbers[wrong].tolist(), cells[wrong].tolist(), strict=True))
        report.add_rows(
            SCORES,
            None,
            at,
            lambda row: (
                f"repeats {report.place(int(rows[cell_at[row]]))}: "
                f"{space.configuration(cell_at[row])} ({split})"
            ),
        )


def read_schema(path: Path, report: Report) -> dict[str, pl.DataType] | None:
    """Column names and types of a Parquet file; `None` where it cannot be read."""
    import polars as pl

    try:
        check_pages(path)
        return dict(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        report.add(path.name, f"not readable as Parquet: {one_line(error)}")
        return None


def parts(path: Path, report: Report, columns: list[str]) -> Iterator[tuple[int, pl.DataFrame]]:
    """Some columns of a Parquet file, `ROWS_AT_ONCE` rows at a time, with their first row."""
    import polars as pl

    first = 0
    try:
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        while first < rows:
            part = pl.scan_parquet(path).select(columns).slice(first, ROWS_AT_ONCE).collect()
            if len(part) != min(ROWS_AT_ONCE, rows - first):
                report.add(path.name, f"ends early: {rows:,} rows are promised", row=first + 1)
                return
            yield first, part
            first += len(part)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        report.add(path.name, f"not readable from row {first + 1} on: {one_line(error)}")


def key_types(space: Space) -> dict[str, str]:
    """What kind of value each key column holds."""
    types = {}
    for stage in space.task.stages:
        types[model_column(stage.name)] = "text"
        types[samples_column(stage.name)] = "integer"
    return types | {"split": "text"}


def check_types(
    path: Path, schema: dict[str, pl.DataType], kinds: dict[str, str], report: Report
) -> bool:
    """Whether columns hold text, integers or numbers as they should."""
    import polars as pl

    right = True
    for column, kind in kinds.items():
        dtype = schema[column]
        is_text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
        good = {
            "text": is_text,
            "integer": dtype.is_integer(),
            "number": dtype.is_numeric() or isinstance(dtype, pl.Boolean),
            "id": is_text or dtype.is_integer(),
        }[kind]
        if good:
            continue
        right = False
        wanted = {
            "text": "text belongs",
            "integer": "a whole number belongs",
            "number": "a number belongs",
            "id": "text or a whole number belongs",
        }[kind]
        if is_text:
            row, value = _first_text(path, column)
            report.add(path.name, f"{value!r} is text where {wanted}", row=row, column=column)
        else:
            report.add(path.name, f"holds {dtype} where {wanted}", column=column)
    return right


def _first_text(path: Path, column: str) -> tuple[int, str]:
    """Row and value of the first entry that is no number, or else of the first."""
    import polars as pl

    texts = pl.read_parquet(path, columns=[column])[column].cast(pl.String)
    wrong = (texts.cast(pl.Float64, strict=False).is_null() & texts.is_not_null()).arg_true()
    row = int(wrong[0]) if len(wrong) else 0
    return row + 1, str(texts[row]) if len(texts) else ""


def read_keys(
    frame: pl.DataFrame, space: Space, file: str, first: int, report: Report
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Split (0 train, 1 test) and cell of every row, -1 where it has none."""
    cells = np.zeros(len(frame), dtype=np.int32)
    known = np.ones(len(frame), dtype=bool)
    for i, stage in enumerate(space.task.stages):
        names = list(space.model_index[i])
        what = f"model of stage {stage.name!r}"
        models = _names(frame[model_column(stage.name)], names, what, file, first, report)
        samples = _grid_positions(
            frame[samples_column(stage.name)], space.grids[i], file, first, report
        )
        known &= (models >= 0) & (samples >= 0)
        cells += (models * int(space.n_grid[i]) + samples) * np.int32(space.strides[i])
    cells[~known] = -1
    return _names(frame["split"], list(SPLITS), "split", file, first, report), cells


def _names(
    series: pl.Series, names: list[str], what: str, file: str, first: int, report: Report
) -> NDArray[np.int32]:
    import polars as pl

    coded = series.cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int32)
    codes: NDArray[np.int32] = coded.fill_null(-1).to_numpy()
    report.add_rows(file, series.name, codes < 0, _unknown(series, names, what), first)
    return codes


def _unknown(series: pl.Series, names: list[str], what: str) -> Callable[[int], str]:
    def describe(row: int) -> str:
        value: Any = series[row]
        return "is empty" if value is None else str(UnknownName(what, str(value), names))

    return describe


def _grid_positions(
    series: pl.Series, grid: NDArray[np.int64], file: str, first: int, report: Report
) -> NDArray[np.int32]:
    import polars as pl

    position = np.full(int(grid[-1]) + 2, -1, dtype=np.int32)
    position[grid] = np.arange(len(grid))
    values = series.cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
    # The last entry of `position` stands for every count that is off the grid's range.
    inside = np.where((values < 0) | (values > grid[-1]), len(position) - 1, values)
    found = position[inside]
    shown = ", ".join(str(n) for n in grid[:20].tolist()) + (", ..." if len(grid) > 20 else "")
    report.add_rows(
        file, series.name, found < 0, lambda row: f"{series[row]} is not on the grid {shown}", first
    )
    return found


def read_numbers(
    series: pl.Series,
    file: str,
    first: int,
    report: Report,
    span: tuple[float, float],
    *,
    null: bool = False,
) -> NDArray[np.float64]:
    """Numbers in a column as float64, checked to be finite and in range; nan where empty.

    `null` lets entries be empty (a metric beside the searched one that was not measured there).
    """
    import polars as pl

    empty = series.is_null().to_numpy()
    values: NDArray[np.float64] = series.cast(pl.Float64).to_numpy()
    low, high = span
    slack = TOLERANCE * max(1.0, abs(low))
    with np.errstate(invalid="ignore"):
        good = np.isfinite(values) & (values >= low - slack) & (values <= high + slack)
    wrong = ~good & (~empty if null else True)
    top = "" if not np.isfinite(high) else f" to {high:g}"

    def describe(row: int) -> str:
        if empty[row]:
            return "is empty; a hole is a row left out"
        return f"{values[row]:g} is not a finite number from {low:g}{top}"

    report.add_rows(file, series.name, wrong, describe, first)
    return values


def one_line(error: BaseException) -> str:
    """The first line of an exception's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
