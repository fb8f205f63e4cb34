"""A CSV becomes a table, or one line says which line of it is wrong and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.errors import TableError, UsageError
from simulator.table_format import SCORES, task_toml
from simulator.table_io import import_csv
from simulator.verify import verify
from tests.simulator import disk


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTTTS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "task.toml"
    path.write_text("# my own task\n" + task_toml(disk.small_task()))
    return path


@pytest.fixture
def frame(tmp_path: Path) -> pl.DataFrame:
    folder = disk.save_small(tmp_path / "source", outcomes=False)
    return pl.read_parquet(folder / SCORES).with_columns(pl.col(pl.Enum).cast(pl.String))


def write(tmp_path: Path, frame: pl.DataFrame) -> Path:
    path = tmp_path / "scores.csv"
    frame.write_csv(path)
    return path


def assert_nothing_written(tmp_path: Path) -> None:
    assert {p.name for p in tmp_path.iterdir()} <= {"task.toml", "scores.csv", "source", "cache"}


def test_a_csv_becomes_a_table(tmp_path: Path, task: Path, frame: pl.DataFrame) -> None:
    columns = sorted(frame.columns)
    table = import_csv(write(tmp_path, frame.select(columns)), task, tmp_path / "out")
    disk.assert_same(table, disk.small_table(outcomes=False))
    assert verify(tmp_path / "out") == []
    assert (tmp_path / "out" / "task.toml").read_text().startswith("# my own task")
    assert table.provenance["source"] == "imported from scores.csv"
    assert "measured table of 46 rows" in table.card


def test_spaces_and_a_byte_order_mark_do_not_matter(
    tmp_path: Path, task: Path, frame: pl.DataFrame
) -> None:
    path = write(tmp_path, frame)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",train,", b", train ,"))
    disk.assert_same(import_csv(path, task, tmp_path / "out"), disk.small_table(outcomes=False))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",", ";", "line 1 separates columns by ';'; it must be by commas"),
        (",", "\t", "line 1 separates columns by '\\t'; it must be by commas"),
        ("split", "split\udce9", "line 1 is not UTF-8 text"),
    ],
)
def test_a_csv_of_another_kind(
    tmp_path: Path, task: Path, frame: pl.DataFrame, old: str, new: str, message: str
) -> None:
    path = write(tmp_path, frame)
    text = path.read_text().replace(old, new)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TableError) as caught:
        import_csv(path, task, tmp_path / "out")
    assert str(caught.value) == f"{path}: {message}"
    assert_nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("exact_match", "good", "line 6, column exact_match: 'good' is not a number"),
        ("exact_match", "1.5", "line 6, column exact_match: 1.5 is not a finite number from 0 to"),
        ("exact_match", "nan", "line 6, column exact_match: nan is not a finite number from 0 to"),
        ("exact_match", None, "line 6, column exact_match: is empty"),
        ("exact_match", "0,5", "line 6, column exact_match: '0,5' is not a number"),
        ("seconds", "-2", "line 6, column seconds: -2 is not a finite number from 0"),
        ("answer_samples", "2.5", "line 6, column answer_samples: '2.5' is not a whole number"),
        ("answer_samples", "7", "line 6, column answer_samples: 7 is not on the grid 1, 2, 10"),
        ("answer_samples", "", "line 6, column answer_samples: None is not on the grid"),
        ("answer_model", "Small", "line 6, column answer_model: no model of stage 'answer' named"),
        ("split", "dev", "line 6, column split: no split named 'dev'"),
        ("examples", "many", "line 6, column examples: 'many' is not a whole number"),
    ],
)
def test_a_wrong_entry(
    tmp_path: Path, task: Path, frame: pl.DataFrame, column: str, value: Any, message: str
) -> None:
    wrong = disk.put(frame.with_columns(pl.col(column).cast(pl.String)), column, 4, value)
    path = write(tmp_path, wrong)
    with pytest.raises(TableError) as caught:
        import_csv(path, task, tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: {message}")
    assert_nothing_written(tmp_path)


def test_a_duplicate_names_both_lines(tmp_path: Path, task: Path, frame: pl.DataFrame) -> None:
    path = write(tmp_path, pl.concat([frame, frame[2:3]]))
    with pytest.raises(TableError, match="line 48, repeats line 4: retrieve=Small-3B:1"):
        import_csv(path, task, tmp_path / "out")
    assert_nothing_written(tmp_path)


def test_a_missing_column(tmp_path: Path, task: Path, frame: pl.DataFrame) -> None:
    path = write(tmp_path, frame.drop("seconds"))
    with pytest.raises(TableError, match=r"scores.csv: column seconds: missing; columns are"):
        import_csv(path, task, tmp_path / "out")
    path = write(tmp_path, frame.with_columns(pl.lit(1).alias("cost")))
    with pytest.raises(TableError, match=r"scores.csv: column cost: unknown column"):
        import_csv(path, task, tmp_path / "out")
    assert_nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not readable as CSV"),
        (b"\xff\xfe\x00binary", "scores.csv: "),
        (b"split\ntrain,extra,fields\n", "not readable as CSV"),
    ],
)
def test_a_file_that_is_no_csv(tmp_path: Path, task: Path, text: bytes, message: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(text)
    with pytest.raises(TableError, match=message) as caught:
        import_csv(path, task, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert_nothing_written(tmp_path)


def test_a_header_alone(tmp_path: Path, task: Path, frame: pl.DataFrame) -> None:
    with pytest.raises(TableError, match="holds no row under its header"):
        import_csv(write(tmp_path, frame[:0]), task, tmp_path / "out")


def test_missing_files(tmp_path: Path, task: Path, frame: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match=r"nothing.csv: no such file"):
        import_csv(tmp_path / "nothing.csv", task, tmp_path / "out")
    with pytest.raises(TableError, match=r"none.toml: no such file"):
        import_csv(write(tmp_path, frame), tmp_path / "none.toml", tmp_path / "out")
    assert_nothing_written(tmp_path)


def test_a_folder_with_something_in_it_is_not_overwritten(
    tmp_path: Path, task: Path, frame: pl.DataFrame
) -> None:
    path = write(tmp_path, frame)
    (tmp_path / "source" / "CARD.md").write_text("precious")
    with pytest.raises(UsageError, match="source: the folder is not empty"):
        import_csv(path, task, tmp_path / "source")
    assert (tmp_path / "source" / "CARD.md").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert import_csv(path, task, tmp_path / "empty").name == "small"


def test_a_place_that_cannot_be_written(tmp_path: Path, task: Path, frame: pl.DataFrame) -> None:
    (tmp_path / "source" / "file").write_text("")
    with pytest.raises(TableError, match="cannot be written: "):
        import_csv(write(tmp_path, frame), task, tmp_path / "source" / "file" / "out")
