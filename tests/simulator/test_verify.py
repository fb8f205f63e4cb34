"""Every way in which a table can be wrong, found and placed by file, row and column."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import table_io
from simulator.errors import TableError
from simulator.table_format import MANIFEST, OUTCOMES, SCORES, SHOWN_ROWS, Problem
from simulator.verify import verify
from tests.simulator import disk


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTTTS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return disk.save_small(tmp_path / "t")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Without outcomes, so that a changed score does not contradict them."""
    return disk.save_small(tmp_path / "bare", outcomes=False)


def only(path: Path) -> Problem:
    """The one problem of a table, which `load` must raise as well."""
    problems = verify(path)
    assert len(problems) == 1, [str(p) for p in problems]
    with pytest.raises(TableError) as caught:
        table_io.load(path)
    assert str(caught.value) == f"{path}: {problems[0]}"
    return problems[0]


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads((path / MANIFEST).read_text())
    change(data)
    (path / MANIFEST).write_text(json.dumps(data))


def test_a_sound_table_has_no_problem(path: Path, bare: Path) -> None:
    assert verify(path) == []
    assert verify(bare) == []


# Rows of the scores -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("exact_match", 1.2, "1.2 is not a finite number from 0 to 1"),
        ("f1", -0.1, "-0.1 is not a finite number from 0 to 1"),
        ("exact_match", float("nan"), "nan is not a finite number from 0 to 1"),
        ("f1", float("inf"), "inf is not a finite number from 0 to 1"),
        ("exact_match", None, "is empty; a hole is a row left out"),
        ("seconds", -1.0, "-1 is not a finite number from 0"),
        ("seconds", float("nan"), "nan is not a finite number from 0"),
        ("seconds", float("inf"), "inf is not a finite number from 0"),
        ("seconds", None, "is empty"),
        ("examples", -5, "-5 is not a finite number from 0"),
        ("examples", None, "is empty"),
        ("answer_model", "Smal-3B", "no model of stage 'answer' named 'Smal-3B'; did you mean Sm"),
        ("answer_model", None, "is empty"),
        ("answer_samples", 3, "3 is not on the grid 1, 2, 10"),
        ("answer_samples", 0, "0 is not on the grid 1, 2, 10"),
        ("answer_samples", -1, "-1 is not on the grid 1, 2, 10"),
        ("answer_samples", 2**40, "1099511627776 is not on the grid 1, 2, 10"),
        ("answer_samples", None, "None is not on the grid"),
        ("split", "val", "no split named 'val'; there are test, train"),
        ("split", None, "is empty"),
    ],
)
def test_a_wrong_entry(bare: Path, column: str, value: Any, message: str) -> None:
    disk.edit(bare, lambda f: disk.put(f, column, 4, value))
    problem = only(bare)
    assert (problem.file, problem.row, problem.column) == (SCORES, 5, column)
    assert problem.message.startswith(message)


def test_a_metric_may_have_a_range_of_its_own(tmp_path: Path) -> None:
    task = disk.small_task(ranges=[{"metric": "f1", "low": -1.0, "high": 5.0}])
    table = disk.LookupTable.from_function(task, lambda c: {"exact_match": 0.5, "f1": 4.5})
    path = table_io.save(table, tmp_path / "ranged", card="# x")
    assert verify(path) == []
    disk.edit(path, lambda f: disk.put(f, "f1", 0, 5.5))
    assert "5.5 is not a finite number from -1 to 5" in str(only(path))


@pytest.mark.parametrize("column", ["exact_match", "seconds", "examples", "answer_samples"])
def test_text_where_a_number_belongs(bare: Path, column: str) -> None:
    disk.edit(
        bare, lambda f: disk.put(f.with_columns(pl.col(column).cast(pl.String)), column, 6, "many")
    )
    problem = only(bare)
    assert (problem.file, problem.row, problem.column) == (SCORES, 7, column)
    assert problem.message.startswith("'many' is text where a")


@pytest.mark.parametrize(
    ("column", "dtype", "message"),
    [
        ("f1", pl.List(pl.Float64), "holds List(Float64) where a number belongs"),
        ("split", pl.List(pl.String), "holds List(String) where text belongs"),
        ("answer_model", pl.Int64, "holds Int64 where text belongs"),
        ("answer_samples", pl.Float64, "holds Float64 where a whole number belongs"),
        ("seconds", pl.Date, "holds Date where a number belongs"),
    ],
)
def test_a_column_of_the_wrong_type(bare: Path, column: str, dtype: Any, message: str) -> None:
    disk.edit(bare, lambda f: f.with_columns(pl.lit(None, dtype=dtype).alias(column)))
    problem = only(bare)
    assert (problem.file, problem.column, problem.message) == (SCORES, column, message)


def test_a_missing_and_an_unknown_column(bare: Path) -> None:
    disk.edit(bare, lambda f: f.rename({"seconds": "minutes"}))
    missing, unknown = verify(bare)
    assert (missing.column, unknown.column) == ("seconds", "minutes")
    assert missing.message.startswith("missing; columns are retrieve_model,")
    assert unknown.message.startswith("unknown column")
    with pytest.raises(TableError, match=r"column seconds: missing.* \(and 1 more: agenttts"):
        table_io.load(bare)


def test_a_duplicate_cell_names_both_rows(bare: Path) -> None:
    disk.edit(bare, lambda f: pl.concat([f, f[2:3]]))
    problem = only(bare)
    assert problem.row == 47
    assert problem.message == "repeats row 3: retrieve=Small-3B:1,answer=Small-3B:10 (train)"


@given(st.integers(1, 6), st.lists(st.integers(0, 45), min_size=1, max_size=8))
@settings(max_examples=25)
def test_duplicates_in_any_part_of_the_file(rows_at_once: int, again: list[int]) -> None:
    """Compared with a plain count, however the file is cut into parts."""
    import tempfile

    from simulator import table_scores

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = disk.save_small(Path(folder) / "t", outcomes=False)
        disk.edit(path, lambda f: pl.concat([f, f[again]]))
        patch.setattr(table_scores, "ROWS_AT_ONCE", rows_at_once * 8)
        problems = verify(path)
    rows = {p.row: p.message for p in problems}
    assert set(rows) == set(range(47, 47 + len(again)))
    for position, source in enumerate(again):
        assert rows[47 + position].startswith(f"repeats row {source + 1}:")


def test_many_wrong_rows_are_counted_not_listed(tmp_path: Path) -> None:
    path = disk.save_small(tmp_path / "t", outcomes=False)
    disk.edit(path, lambda f: f.with_columns(pl.lit(2.0).alias("f1")))
    problems = verify(path)
    assert len(problems) == SHOWN_ROWS + 1
    assert problems[-1].message == "36 more rows like the one before"
    assert problems[-1].column == "f1"


def test_a_table_without_rows(bare: Path) -> None:
    disk.edit(bare, lambda f: f[:0])
    assert only(bare).message == "holds no row: every configuration is a hole"


def test_a_table_of_empty_scores(bare: Path) -> None:
    disk.edit(bare, lambda f: f.with_columns(pl.lit(None, dtype=pl.Float64).alias("exact_match")))
    with pytest.raises(TableError, match=r"row 1, column exact_match: is empty; a hole is a row"):
        table_io.load(bare)


# Outcomes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("f1", 1.5, "1.5 is not a finite number from 0 to 1"),
        ("f1", None, "is empty"),
        ("f1", float("nan"), "nan is not"),
        ("example", None, "is empty"),
        ("retrieve_samples", 4, "4 is not on the grid 1, 5"),
        ("split", "dev", "no split named 'dev'"),
        ("answer_model", "nobody", "no model of stage 'answer' named 'nobody'"),
    ],
)
def test_a_wrong_entry_of_the_outcomes(path: Path, column: str, value: Any, message: str) -> None:
    disk.edit_outcomes(path, lambda f: disk.put(f, column, 8, value))
    problem = only(path)
    assert (problem.file, problem.row, problem.column) == (OUTCOMES, 9, column)
    assert problem.message.startswith(message)


def test_outcomes_that_do_not_average_to_the_score(path: Path) -> None:
    disk.edit(path, lambda f: disk.put(f, "f1", 30, f["f1"][30] / 2 + 0.25))
    problem = only(path)
    assert (problem.file, problem.row, problem.column) == (SCORES, 31, "f1")
    assert "but its outcomes average" in problem.message


def test_one_flipped_outcome_is_found(path: Path) -> None:
    disk.edit_outcomes(path, lambda f: disk.put(f, "exact_match", 40, not f["exact_match"][40]))
    problem = only(path)
    assert (problem.file, problem.column) == (SCORES, "exact_match")


def test_a_missing_outcome(path: Path) -> None:
    disk.edit_outcomes(path, lambda f: f[1:])
    problem = only(path)
    assert problem.file == OUTCOMES
    assert problem.message == (
        "retrieve=Small-3B:1,answer=Small-3B:1 (train) has outcomes of 5 of 6 examples"
    )


def test_a_repeated_outcome(path: Path) -> None:
    disk.edit_outcomes(path, lambda f: pl.concat([f, f[3:4]]))
    problem = only(path)
    assert problem.row == 23 * 6 + 23 * 11 + 1
    assert problem.message == "repeats this configuration's example"


def test_a_repeated_outcome_in_place_of_another(path: Path) -> None:
    """As many rows as there should be, but one example is there twice and one is not."""
    disk.edit_outcomes(path, lambda f: pl.concat([f[:5], f[4:5], f[6:]]))
    assert any("repeats this configuration's example" in p.message for p in verify(path))


def test_outcomes_of_a_configuration_without_a_score(path: Path) -> None:
    disk.edit(path, lambda f: f[1:])
    problem = only(path)
    assert problem.message == (
        "retrieve=Small-3B:1,answer=Small-3B:1 (train) has outcomes, but no row in scores.parquet"
    )


def test_outcomes_of_a_split_without_scores(path: Path) -> None:
    disk.edit(path, lambda f: f.filter(pl.col("split") == "train"))
    assert "has outcomes of the split 'test', which scores.parquet lacks" in str(only(path))


def test_a_number_of_examples_that_the_outcomes_deny(path: Path) -> None:
    disk.edit(path, lambda f: disk.put(f, "examples", 0, 7))
    problem = only(path)
    assert (problem.row, problem.column) == (1, "examples")
    assert problem.message == "is 7, but outcomes.parquet has 6 of train"


def test_empty_outcomes(path: Path) -> None:
    disk.edit_outcomes(path, lambda f: f[:0])
    assert "holds no row; leave the file out" in str(only(path))


def test_outcomes_without_the_searched_metric(path: Path) -> None:
    disk.edit_outcomes(path, lambda f: f.drop("exact_match"))
    problem = only(path)
    assert (problem.file, problem.column) == (OUTCOMES, "exact_match")


def test_a_list_of_outcomes(path: Path) -> None:
    disk.edit_outcomes(path, lambda f: f.with_columns(pl.concat_list("f1").alias("f1")))
    assert "holds List(Float64) where a number belongs" in str(only(path))


# Files and manifest -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SCORES, OUTCOMES, "CARD.md", "task.toml"])
def test_a_changed_byte(path: Path, name: str) -> None:
    data = bytearray((path / name).read_bytes())
    data[len(data) // 3] ^= 4
    (path / name).write_bytes(data)
    assert any(
        p.file == name and "has changed since MANIFEST.json was written" in p.message
        for p in verify(path)
    )


@pytest.mark.parametrize("name", [SCORES, OUTCOMES])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_truncated_parquet(path: Path, name: str, left: float) -> None:
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[: int(left * len(data))])
    disk.reseal(path)
    problem = only(path)
    assert problem.file == name
    assert problem.message.startswith("not readable as Parquet: ")


def test_a_missing_file(path: Path) -> None:
    (path / OUTCOMES).unlink()
    assert str(only(path)) == "outcomes.parquet: no such file, but MANIFEST.json lists it"


def test_a_stray_file(path: Path) -> None:
    (path / "notes.txt").write_text("x")
    (path / ".hidden").write_text("x")
    assert [str(p) for p in verify(path)] == ["notes.txt: is not in MANIFEST.json"]


def test_outcomes_that_the_manifest_does_not_know(path: Path, bare: Path) -> None:
    shutil.copy(path / OUTCOMES, bare / OUTCOMES)
    assert any("does not list outcomes.parquet" in str(p) for p in verify(bare))
    with pytest.raises(TableError, match=r"does not list outcomes.parquet"):
        table_io.load(bare)


@pytest.mark.parametrize("name", ["../t/CARD.md", "/etc/passwd", "a/b", "..", "", "a\\b"])
def test_a_path_in_the_manifest(path: Path, name: str) -> None:
    edit_manifest(path, lambda m: m["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    problem = only(path)
    assert problem.file == MANIFEST
    assert "must be a file's name in this folder, without a path" in problem.message


def test_a_symbolic_link(path: Path, tmp_path: Path) -> None:
    (path / SCORES).rename(tmp_path / "elsewhere")
    (path / SCORES).symlink_to(tmp_path / "elsewhere")
    assert str(only(path)) == "scores.parquet: is a symbolic link; tables hold plain files only"


def test_a_name_that_no_file_can_have(path: Path) -> None:
    name = "a" * 5000
    edit_manifest(path, lambda m: m["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    assert any("no such file" in problem.message for problem in verify(path))


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_manifest_of_another_version(path: Path, version: Any) -> None:
    edit_manifest(path, lambda m: m.update(format=version))
    assert only(path).message == (f"format {version!r} is not the format 1 that this version reads")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[]", "must hold a JSON object"),
        ('{"a": ' * 20000, "not readable as JSON"),
    ],
)
def test_a_manifest_that_is_none(path: Path, text: str, message: str) -> None:
    (path / MANIFEST).write_text(text)
    assert only(path).message.startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(kind="modelled"), "kind is 'modelled', but task.toml says 'measured'"),
        (lambda m: m.update(name="other"), "name is 'other', but task.toml says 'small'"),
        (lambda m: m.pop("licence"), "lacks 'licence'"),
        (lambda m: m.update(files=[]), "'files' must map file names"),
        (lambda m: m["files"].update({"CARD.md": "x"}), "entry of 'CARD.md' must hold sha256"),
        (lambda m: m["files"].pop("CARD.md"), "does not list CARD.md"),
    ],
)
def test_a_wrong_manifest(path: Path, change: Any, message: str) -> None:
    edit_manifest(path, change)
    problems = verify(path)
    assert any(p.file == MANIFEST and p.message.startswith(message) for p in problems)
    with pytest.raises(TableError):
        table_io.load(path)


def test_a_task_that_is_wrong(path: Path) -> None:
    text = (path / "task.toml").read_text().replace('metric = "exact_match"', 'metric = "rouge"')
    (path / "task.toml").write_text(text)
    disk.reseal(path)
    (problem,) = verify(path)
    assert problem.file == "task.toml"
    assert "metric 'rouge' is not among metrics" in problem.message


def test_a_metric_may_not_take_the_name_of_a_column() -> None:
    for name in ("seconds", "split", "answer_samples"):
        with pytest.raises(TableError, match=f"metric '{name}' is a column's name already"):
            disk.small_task(metrics=["exact_match", name])


def test_no_such_folder(tmp_path: Path) -> None:
    (problem,) = verify(tmp_path / "nowhere")
    assert str(problem) == "no such folder"


def test_problems_are_all_listed(bare: Path) -> None:
    """Several at once: each is named, in one pass."""
    disk.edit(
        bare,
        lambda f: disk.put(
            disk.put(disk.put(f, "exact_match", 1, 3.0), "answer_model", 2, "x"), "seconds", 5, -1.0
        ),
    )
    (bare / "stray.txt").write_text("")
    found = {(p.file, p.row, p.column) for p in verify(bare)}
    assert found == {
        ("stray.txt", None, None),
        (SCORES, 2, "exact_match"),
        (SCORES, 3, "answer_model"),
        (SCORES, 6, "seconds"),
    }
