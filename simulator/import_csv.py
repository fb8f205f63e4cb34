"""`import_csv`: a table from a CSV with the columns of `scores.parquet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import TableError, UsageError
from simulator.table import LookupTable
from simulator.table_format import CARD, SCORES, TASK, Report, check_columns, score_columns
from simulator.task import Task

if TYPE_CHECKING:
    import polars as pl


def import_csv(csv: str | Path, task_toml: str | Path, out: str | Path) -> LookupTable:
    """Make the table folder `out` of a CSV and a `task.toml`, and load it.

    The CSV has a header and the columns of `scores.parquet`: `<stage>_model` and `<stage>_samples`
    of every stage, `split`, every metric, `seconds`, `examples`, in any order. A configuration
    without a row is a hole. `out` must be empty or absent, and appears only when all is right.
    Raises `TableError` naming the line and column of the first thing wrong (lines count from 1,
    the header's), `UsageError` where `out` is not empty.
    """
    from simulator import table_io

    csv, task_file = Path(csv), Path(task_toml)
    task = Task.from_toml(task_file)
    frame = _read(csv, task)
    with table_io.new_folder(Path(out)) as folder:
        frame.write_parquet(folder / SCORES, compression="zstd", statistics=False)
        _check(csv, task, folder)
        (folder / TASK).write_bytes(task_file.read_bytes())
        (folder / CARD).write_text(_card(task, csv, frame), encoding="utf-8", newline="\n")
        source = f"imported from {csv.name}"
        table_io.write_manifest(folder, task, {"source": source, "made": {"by": "import"}})
    return table_io.load(out)


def _read(csv: Path, task: Task) -> pl.DataFrame:
    """All of the CSV, typed; every entry that is no number is named before anything is written."""
    import polars as pl

    from simulator.table_scores import one_line

    if not csv.is_file():
        raise UsageError(f"{csv}: no such file")
    with csv.open("rb") as file:
        head = file.readline(65_536)
    try:
        header = head.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(f"{csv}: line 1 is not UTF-8 text") from None
    for other in (";", "\t", "|"):
        if other in header and "," not in header:
            raise TableError(f"{csv}: line 1 separates columns by {other!r}; it must be by commas")
    try:
        text = pl.read_csv(csv, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise TableError(f"{csv}: not readable as CSV: {one_line(error)}") from None
    report = Report()
    columns = score_columns(task)
    check_columns(report, csv.name, text.columns, columns)
    _raise(csv, report)
    if not len(text):
        raise TableError(f"{csv}: holds no row under its header")
    typed = []
    for column in columns:
        series = text[column].str.strip_chars()
        if column in task.metrics or column == "seconds":
            number, wanted = series.cast(pl.Float64, strict=False), "a number"
        elif column == "examples" or column.endswith("_samples"):
            number, wanted = series.cast(pl.Int64, strict=False), "a whole number"
        else:
            typed.append(series)
            continue
        wrong = (number.is_null() & series.is_not_null() & (series != "")).fill_null(False)
        for row in wrong.arg_true()[:1]:
            raise TableError(
                f"{csv}: line {row + 2}, column {column}: {series[row]!r} is not {wanted}"
            )
        typed.append(number)
    return pl.DataFrame(typed)


def _check(csv: Path, task: Task, folder: Path) -> None:
    """Check the rows as a table's, in the words of the CSV."""
    from simulator.space import Space
    from simulator.table_scores import read_scores

    report = Report(csv=True)
    read_scores(folder, Space(task), report)
    _raise(csv, report)


def _raise(csv: Path, report: Report) -> None:
    for problem in report.problems[:1]:
        line = "" if problem.row is None else f"line {problem.row + 1}, "
        column = "" if problem.column is None else f"column {problem.column}: "
        more = len(report.problems) - 1
        tail = f" (and {more} more)" if more else ""
        raise TableError(f"{csv}: {line}{column}{problem.message}{tail}")


def _card(task: Task, csv: Path, frame: pl.DataFrame) -> str:
    return (
        f"# {task.title or task.name}\n\n"
        f"A {task.kind} table of {len(frame):,} rows, imported from `{csv.name}`. "
        "Nothing more is known of where its figures come from: replace this card.\n"
    )
