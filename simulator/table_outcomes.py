"""From `outcomes.parquet` to coded outcomes per example, checked on the way, in parts.

The file has one row per configuration, split and example. It is read twice: first the keys, kept
as 6 bytes a row (more where there are more than 256 examples), then the values, which go straight
to their place in a (rows, examples) array of one byte an entry (four where a metric takes more than
256 values). Rows are indexed a part at a time: NumPy widens an index to 8 bytes an entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simulator.outcomes import Coded, Outcomes
from simulator.space import Space
from simulator.table_format import OUTCOMES, SCORES, SPLITS, Report, check_columns, key_columns
from simulator.table_scores import (
    INT32_MAX,
    ROWS_AT_ONCE,
    Scores,
    check_types,
    key_types,
    parts,
    read_keys,
    read_numbers,
    read_schema,
)

if TYPE_CHECKING:
    import polars as pl

MEAN_TOLERANCE = 1e-4
"""How far outcomes may average from the score: what a score printed to four digits may lack."""

WIDEST_IDS = 50_000_000
"""Whole-number ids that span more than this are treated as text, to bound the memory."""


def read_outcomes(
    folder: Path, space: Space, scores: Scores, report: Report
) -> dict[str, Outcomes]:
    """Read and check `outcomes.parquet` against the scores; problems go to `report`.

    Examples are numbered in the order of their ids. Every configuration with outcomes in a split
    has one for each of the split's examples; configurations may be left out.
    """
    own = Report()
    outcomes = _read(folder, space, own)
    if not own.problems and not report.problems:
        for name, of_split in outcomes.items():
            _check_means(name, of_split, space, scores, own)
    report.problems += own.problems
    return outcomes


def _read(folder: Path, space: Space, report: Report) -> dict[str, Outcomes]:
    task, path = space.task, folder / OUTCOMES
    schema = read_schema(path, report)
    if schema is None:
        return {}
    optional = [m for m in task.metrics if m in schema or m == task.metric]
    columns = [*key_columns(task), "example", *optional]
    if not check_columns(report, OUTCOMES, list(schema), columns):
        return {}
    kinds = {**key_types(space), "example": "id", **dict.fromkeys(optional, "number")}
    if not check_types(path, schema, kinds, report):
        return {}
    keys = _read_all_keys(path, space, report)
    if report.problems:
        return {}
    if len(keys.cells) == 0:
        report.add(OUTCOMES, "holds no row; leave the file out where there are no outcomes")
        return {}
    layouts = {}
    for code, name in enumerate(SPLITS):
        layout = _layout(keys, code, name, space, report)
        if layout is not None:
            layouts[code] = layout
    if report.problems:
        return {}
    splits = keys.splits
    del keys
    _read_values(path, space, splits, layouts, optional, report)
    if report.problems:
        return {}
    outcomes = {}
    for code, layout in layouts.items():
        coded = {metric: matrix.finish() for metric, matrix in layout.values.items()}
        outcomes[SPLITS[code]] = Outcomes(layout.n_examples, layout.row_of_cell, coded)
    return outcomes


@dataclass
class _Keys:
    """For every row of the file: split, cell, and the rank of its example's id."""

    splits: NDArray[np.integer]
    cells: NDArray[np.integer]
    examples: NDArray[np.integer]
    n_ids: int


@dataclass
class _Layout:
    """Where the rows of one split go: `place` is example * n_rows + row, one entry a row."""

    n_rows: int
    n_examples: int
    row_of_cell: NDArray[np.int32]
    place: NDArray[np.integer]
    values: dict[str, _Matrix]
    done: int = 0


def _read_all_keys(path: Path, space: Space, report: Report) -> _Keys:
    columns = [*key_columns(space.task), "example"]
    splits, cells, examples = _Column(np.int8), _Column(np.int32), _Column(np.uint8)
    ids = _Ids()
    for first, frame in parts(path, report, columns):
        split, cell = read_keys(frame, space, OUTCOMES, first, report)
        empty = frame["example"].is_null().to_numpy()
        report.add_rows(OUTCOMES, "example", empty, lambda row: "is empty", first)
        if empty.any() or report.problems:
            continue
        splits.add(split)
        cells.add(cell)
        examples.add(ids.codes(frame["example"]))
    rank, n_ids = ids.ranks()
    for part in _blocks(len(examples.data)):
        examples.data[part] = rank[examples.data[part]]
    return _Keys(splits.data, cells.data, examples.data, n_ids)


class _Column:
    """Whole numbers in one array that grows in its place: a copy would hold them twice."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.data: NDArray[np.integer] = np.empty(0, dtype)

    def add(self, part: NDArray[np.int32]) -> None:
        n = len(self.data)
        if len(part) and part.max() > np.iinfo(self.data.dtype).max:
            self.data = self.data.astype(np.int32)
        self.data.resize(n + len(part), refcheck=False)
        self.data[n:] = part


class _Ids:
    """Numbers example ids in the order in which they appear, then ranks them by value."""

    def __init__(self) -> None:
        self._known: dict[str | int, int] = {}

    def codes(self, series: pl.Series) -> NDArray[np.int32]:
        import polars as pl

        whole = series.dtype.is_integer()
        if whole:
            low, high = int(series.min()), int(series.max())  # type: ignore[arg-type]
            if high - low <= WIDEST_IDS:
                values = series.cast(pl.Int64).to_numpy() - low
                present = np.zeros(high - low + 1, dtype=bool)
                present[values] = True
                found = np.flatnonzero(present)
                lut = np.zeros(len(present), dtype=np.int32)
                lut[found] = self._number([int(v) + low for v in found.tolist()])
                return np.asarray(lut[values], dtype=np.int32)
        texts = series.cast(pl.String)
        unique = texts.unique().to_list()
        numbers = self._number([int(text) if whole else text for text in unique])
        local = texts.cast(pl.Enum(unique)).to_physical().to_numpy()
        return np.asarray(np.asarray(numbers, dtype=np.int32)[local], dtype=np.int32)

    def _number(self, ids: list[str] | list[int]) -> list[int]:
        known = self._known
        return [known.setdefault(value, len(known)) for value in ids]

    def ranks(self) -> tuple[NDArray[np.int32], int]:
        """Rank of each number among all ids, ascending."""
        rank = np.empty(len(self._known), dtype=np.int32)
        for place, value in enumerate(sorted(self._known)):
            rank[self._known[value]] = place
        return rank, len(rank)


def _rows_of(splits: NDArray[np.integer], code: int) -> slice | NDArray[np.int64]:
    """Which rows are of a split: a slice where they lie together, as our own files have them."""
    here = splits == code
    count = int(np.count_nonzero(here))
    first = int(here.argmax())
    together = slice(first, first + count)
    return together if here[together].all() else np.flatnonzero(here)


def _layout(keys: _Keys, code: int, name: str, space: Space, report: Report) -> _Layout | None:
    here = _rows_of(keys.splits, code)
    cells, examples = keys.cells[here], keys.examples[here]
    if len(cells) == 0:
        return None
    with_outcomes = np.zeros(space.n_cells, dtype=bool)
    of_ids = np.zeros(keys.n_ids, dtype=bool)
    for part in _blocks(len(cells)):
        with_outcomes[cells[part]] = True
        of_ids[examples[part]] = True
    n_rows, n_examples = int(with_outcomes.sum()), int(of_ids.sum())
    row_of_cell = np.where(with_outcomes, np.cumsum(with_outcomes) - 1, -1).astype(np.int32)
    if n_rows * n_examples == len(cells):
        start = (np.cumsum(of_ids) - 1) * n_rows
        seen = np.zeros(len(cells), dtype=bool)
        for part in _blocks(len(cells)):
            seen[start[examples[part]] + row_of_cell[cells[part]]] = True
        if seen.all():
            # The cells are not needed any more: their places take their room.
            place = cells if len(cells) <= INT32_MAX else cells.astype(np.int64)
            for part in _blocks(len(cells)):
                place[part] = start[examples[part]] + row_of_cell[cells[part]]
            return _Layout(n_rows, n_examples, row_of_cell, place, {})
    numbers = np.arange(len(keys.cells))[here]
    _report_ragged(numbers, cells, examples, row_of_cell, n_examples, name, space, report)
    return None


def _blocks(n: int) -> Iterator[slice]:
    for begin in range(0, n, ROWS_AT_ONCE):
        yield slice(begin, begin + ROWS_AT_ONCE)


def _report_ragged(
    numbers: NDArray[np.int64],
    cells: NDArray[np.integer],
    examples: NDArray[np.integer],
    row_of_cell: NDArray[np.int32],
    n_examples: int,
    name: str,
    space: Space,
    report: Report,
) -> None:
    """Name the repeated rows, or else the configurations that lack examples."""
    pair = cells.astype(np.int64) * (int(examples.max()) + 1) + examples
    order = np.argsort(pair, kind="stable")
    again = np.zeros(int(numbers[-1]) + 1, dtype=bool)
    again[numbers[order[1:][pair[order[1:]] == pair[order[:-1]]]]] = True
    if again.any():
        report.add_rows(
            OUTCOMES, "example", again, lambda row: "repeats this configuration's example"
        )
        return
    counts = np.bincount(row_of_cell[cells])
    present = np.flatnonzero(row_of_cell >= 0)
    for row in np.flatnonzero(counts != n_examples)[:10].tolist():
        which = space.configuration(int(present[row]))
        report.add(
            OUTCOMES, f"{which} ({name}) has outcomes of {counts[row]} of {n_examples} examples"
        )


def _read_values(
    path: Path,
    space: Space,
    splits: NDArray[np.integer],
    layouts: dict[int, _Layout],
    metrics: list[str],
    report: Report,
) -> None:
    for layout in layouts.values():
        layout.values = {m: _Matrix(layout.n_rows, layout.n_examples) for m in metrics}
    for first, frame in parts(path, report, metrics):
        columns = {
            metric: _values(frame[metric], first, report, space.task.range_of(metric))
            for metric in metrics
        }
        if report.problems:
            continue
        for code, layout in layouts.items():
            here = _rows_of(splits[first : first + len(frame)], code)
            for metric, values in columns.items():
                part = values[here]
                layout.values[metric].put(layout.place[layout.done :][: len(part)], part)
            layout.done += len(part)


def _values(
    series: pl.Series, first: int, report: Report, span: tuple[float, float]
) -> NDArray[np.float64] | NDArray[np.bool_]:
    """A column as bool where it is one, else as float64, checked."""
    import polars as pl

    if isinstance(series.dtype, pl.Boolean) and span == (0.0, 1.0) and not series.null_count():
        return np.asarray(series.to_numpy(), dtype=np.bool_)
    return read_numbers(series, OUTCOMES, first, report, span)


class _Matrix:
    """Values as they come in, an array of shape (examples, rows), coded by up to 256 values."""

    def __init__(self, n_rows: int, n_examples: int) -> None:
        self._shape = (n_examples, n_rows)
        self._codes = np.zeros(n_rows * n_examples, dtype=np.uint8)
        self._floats: NDArray[np.float32] | None = None
        self._book = np.empty(0)

    def put(
        self, place: NDArray[np.integer], values: NDArray[np.float64] | NDArray[np.bool_]
    ) -> None:
        if values.dtype == np.bool_:
            # A column of this type is so in every part, so the book is the same in all of them.
            self._book = np.array([0.0, 1.0])
            self._codes[place] = values
            return
        if self._floats is None:
            import polars as pl

            unique = pl.Series(values).unique().to_numpy()
            new = np.setdiff1d(unique, self._book)
            if len(self._book) + len(new) <= 256:
                self._book = np.concatenate([self._book, new])
                order = np.argsort(self._book).astype(np.uint8)
                self._codes[place] = order[np.searchsorted(self._book[order], values)]
                return
            book = self._book if len(self._book) else np.zeros(1)
            self._floats = book.astype(np.float32)[self._codes]
        self._floats[place] = values

    def finish(self) -> Coded:
        """The same coding as `Coded.encode` gives, of shape (rows, examples)."""
        if self._floats is not None:
            floats = np.ascontiguousarray(self._floats.reshape(self._shape).T)
            return Coded("floats", floats, np.empty(0))
        codes = np.ascontiguousarray(self._codes.reshape(self._shape).T)
        if np.isin(self._book, (0.0, 1.0)).all():
            ones = (self._book == 1.0)[codes]
            return Coded("bits", np.packbits(ones, axis=1), np.empty(0))
        order = np.argsort(self._book)
        rank = np.empty(len(order), dtype=np.uint8)
        rank[order] = np.arange(len(order))
        return Coded("codes", rank[codes], self._book[order])


def _check_means(
    name: str, outcomes: Outcomes, space: Space, scores: Scores, report: Report
) -> None:
    """Outcomes must be of cells that have a score, and average to it."""
    if name not in scores.splits:
        report.add(OUTCOMES, f"has outcomes of the split {name!r}, which {SCORES} lacks")
        return
    table, rows = scores.splits[name], scores.rows[name]
    cells = np.flatnonzero(outcomes.row_of_cell >= 0)
    for cell in cells[rows[cells] < 0][:10].tolist():
        which = space.configuration(cell)
        report.add(OUTCOMES, f"{which} ({name}) has outcomes, but no row in {SCORES}")
    wrong = cells[(rows[cells] >= 0) & (table.examples[cells] != outcomes.n_examples)]
    for cell in wrong[:10].tolist():
        report.add(
            SCORES,
            f"is {table.examples[cell]}, but {OUTCOMES} has {outcomes.n_examples} of {name}",
            row=int(rows[cell]) + 1,
            column="examples",
        )
    for metric, coded in outcomes.metrics.items():
        step = max(1, 2**22 // outcomes.n_examples)
        means = np.concatenate(
            [
                coded.decode(slice(begin, begin + step), outcomes.n_examples).mean(axis=1)
                for begin in range(0, len(cells), step)
            ]
        )
        given = table.metrics[metric][cells]
        for i in np.flatnonzero(np.abs(means - given) > MEAN_TOLERANCE)[:10].tolist():
            report.add(
                SCORES,
                f"is {given[i]:.6g}, but its outcomes average {means[i]:.6g}",
                row=int(rows[cells[i]]) + 1,
                column=metric,
            )
