"""From arrays to `scores.parquet` and `outcomes.parquet`: sorted, narrow types, zstd.

Outcomes are written example by example, all configurations of an example next to each other: an
easy example is then one long run of ones, and the file takes half the room.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TableError
from simulator.outcomes import Outcomes
from simulator.space import Space
from simulator.table import LookupTable, SplitTable
from simulator.table_format import SPLITS, key_columns, model_column, samples_column

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP = 2**20
ZSTD_LEVEL = 9


def write_scores(table: LookupTable, path: Path) -> None:
    """Write `scores.parquet`: a row for each cell with a score, splits in order, then cells."""
    import polars as pl

    frames = []
    for code, name in enumerate(SPLITS):
        if name not in table.splits:
            continue
        split = table.splits[name]
        cells = np.flatnonzero(table.present(name))
        columns = _keys(table.space, cells, code)
        for metric in table.task.metrics:
            columns.append(pl.Series(metric, split.metrics[metric][cells]).fill_nan(None))
        columns.append(pl.Series("seconds", split.seconds[cells]))
        columns.append(pl.Series("examples", split.examples[cells].astype(np.int32)))
        frames.append(pl.DataFrame(columns))
    if not sum(len(frame) for frame in frames):
        raise TableError(f"table {table.name!r} has no cell with a score to write")
    _write(pl.concat(frames), path)


def write_outcomes(table: LookupTable, path: Path) -> None:
    """Write `outcomes.parquet`: splits in order, then examples (numbered from 0), then cells."""
    import polars as pl

    frames = []
    codings: dict[str, set[str]] = {}
    for name in SPLITS:
        split = table.splits.get(name)
        if split is not None and split.outcomes is not None:
            for metric, coded in split.outcomes.metrics.items():
                codings.setdefault(metric, set()).add(coded.coding)
    types: dict[str, type[pl.DataType]] = {}
    for metric, found in codings.items():
        whole = pl.Boolean if found == {"bits"} else pl.Float64
        types[metric] = pl.Float32 if found == {"floats"} else whole
    most = max(s.outcomes.n_examples for s in table.splits.values() if s.outcomes is not None)
    for code, name in enumerate(SPLITS):
        split = table.splits.get(name)
        if split is not None and split.outcomes is not None:
            frames.append(_outcomes_frame(table, code, split, split.outcomes, types, most))
    _write(pl.concat(frames), path)


def _outcomes_frame(
    table: LookupTable,
    code: int,
    split: SplitTable,
    outcomes: Outcomes,
    types: dict[str, type[pl.DataType]],
    most_examples: int,
) -> pl.DataFrame:
    import polars as pl

    missing = set(types) - set(outcomes.metrics)
    if missing:
        raise TableError(
            f"table {table.name!r}: outcomes of {split.name!r} lack the metric {min(missing)!r}, "
            "which the other split has"
        )
    cells = np.flatnonzero(outcomes.row_of_cell >= 0)
    rows = outcomes.row_of_cell[cells]
    n = outcomes.n_examples
    keys = pl.DataFrame(_keys(table.space, cells, code))
    repeated = pl.concat([keys] * n, rechunk=True)
    examples = np.repeat(np.arange(n, dtype=_narrow(most_examples)), len(cells))
    columns = [pl.Series("example", examples)]
    for metric in (m for m in table.task.metrics if m in types):
        coded = outcomes.metrics[metric]
        values: NDArray[np.generic]
        if types[metric] is pl.Boolean:
            bits = np.unpackbits(np.asarray(coded.data, np.uint8)[rows], axis=1, count=n)
            values = bits.astype(bool)
        elif types[metric] is pl.Float32:
            values = np.asarray(coded.data)[rows]
        else:
            values = coded.decode(rows, n)
        columns.append(pl.Series(metric, values.T.ravel()))
    return repeated.with_columns(columns)


def _keys(space: Space, cells: NDArray[np.int64], split: int) -> list[pl.Series]:
    """Key columns of some cells: models and splits as categories, samples as small integers."""
    import polars as pl

    asked = space.asked_of_cells(cells)
    columns = []
    for i, stage in enumerate(space.task.stages):
        names = [model.name for model in stage.models]
        models = pl.Series(model_column(stage.name), names, dtype=pl.Enum(names))
        columns.append(models.gather(asked[:, i, 0]))
        samples = asked[:, i, 1].astype(_narrow(int(stage.samples[-1]) + 1))
        columns.append(pl.Series(samples_column(stage.name), samples))
    splits = pl.Series(key_columns(space.task)[-1], SPLITS, dtype=pl.Enum(SPLITS))
    return [*columns, splits.gather(np.full(len(cells), split))]


def _narrow(count: int) -> type[np.unsignedinteger]:
    """The narrowest type of the numbers under `count`."""
    return np.uint8 if count <= 2**8 else np.uint16 if count <= 2**16 else np.uint32


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        row_group_size=ROW_GROUP,
        statistics=False,
    )
