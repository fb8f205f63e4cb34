"""Where examples come from: files of four kinds, or the Hub at a pinned revision."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collectors.data import DataSource, HubDefault, choose, need, read_file, read_rows
from collectors.errors import SweepError

ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_files_of_four_kinds_give_the_same_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    elif suffix == "csv":
        pl.DataFrame(ROWS).write_csv(path)
    else:
        text = json.dumps(ROWS) if suffix == "json" else "\n".join(map(json.dumps, ROWS))
        path.write_text(text)
    assert [dict(row) for row in read_file(path)] == ROWS


def test_a_json_file_may_hold_one_object_or_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"names": ["a"], "tasks": ["b"]}, indent=2))
    assert read_file(path) == [{"names": ["a"], "tasks": ["b"]}]
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    assert read_file(path) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "no file"),
        ("n" * 5000 + ".json", None, "no file"),
        ("rows.txt", "x", "is not one of .json"),
        ("rows.json", "[1, 2]", "must hold a list of objects"),
        ("rows.json", "[{", "cannot be read"),
        ("rows.jsonl", '{"a": 1}\n{"a"\n', "line 2"),
        ("rows.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    name: str, content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SweepError, match=message) as caught:
        read_file(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("revision", [None, "main", "abc123", REVISION.upper()])
def test_the_hub_needs_a_full_commit_hash(revision: str | None) -> None:
    with pytest.raises(SweepError, match="must be the full 40-digit commit hash"):
        read_rows(DataSource(revision=revision), HubDefault("org/data"))


def test_a_task_without_a_hub_default_needs_a_path() -> None:
    with pytest.raises(SweepError, match=r"give data\.path"):
        read_rows(DataSource())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stands for the `datasets` library; lists what was asked of it."""
    asked: list[tuple[Any, ...]] = []

    def load_dataset(name: str, subset: str | None, *, split: str, revision: str) -> list[Any]:
        asked.append((name, subset, split, revision))
        if name == "org/gone":
            raise FileNotFoundError("Dataset 'org/gone' doesn't exist\non the Hub")
        return list(ROWS)

    fake = types.ModuleType("datasets")
    fake.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return asked


def test_the_hub_is_asked_for_exactly_what_is_pinned(hub: list[tuple[Any, ...]]) -> None:
    default = HubDefault("org/data", subset="distractor", split="validation")
    assert read_rows(DataSource(revision=REVISION), default) == ROWS
    read_rows(DataSource(revision=REVISION, split="train"), default)
    read_rows(DataSource(dataset="me/mine", revision=REVISION, split="test"), default)
    assert hub == [
        ("org/data", "distractor", "validation", REVISION),
        ("org/data", "distractor", "train", REVISION),
        ("me/mine", None, "test", REVISION),
    ]


def test_what_the_hub_says_comes_through_in_one_line(hub: list[tuple[Any, ...]]) -> None:
    with pytest.raises(SweepError, match=r"cannot load org/gone .*doesn't exist on the Hub") as e:
        read_rows(DataSource(dataset="org/gone", revision=REVISION))
    assert "\n" not in str(e.value)


def test_splits_are_disjoint_and_shuffled_by_seed() -> None:
    rows = [{"n": i} for i in range(30)]
    source = DataSource(train_examples=6, test_examples=9)
    first = choose(source, rows, lambda i, row: row, 1)
    assert [e.split for e in first] == ["train"] * 6 + ["test"] * 9
    assert len({e.id for e in first}) == 15
    assert first == choose(source, rows, lambda i, row: row, 1)
    assert first != choose(source, rows, lambda i, row: row, 2)


def test_unusable_and_repeated_rows_are_passed_over() -> None:
    rows = [{"n": i // 2} for i in range(10)]
    source = DataSource(train_examples=2, test_examples=1, shuffle=False)
    chosen = choose(
        source, rows, lambda i, row: row if row["n"] else None, 0, lambda i, row: str(row["n"])
    )
    assert [e.id for e in chosen] == ["1", "2", "3"]


def test_too_few_examples_are_counted() -> None:
    source = DataSource(train_examples=2, test_examples=2)
    with pytest.raises(SweepError, match=r"3 usable examples of 3 rows, but .* is 4"):
        choose(source, [{}] * 3, lambda i, row: row, 0)
    with pytest.raises(SweepError, match="both 0"):
        choose(DataSource(train_examples=0, test_examples=0), [{}], lambda i, row: row, 0)


def test_need_names_what_is_there() -> None:
    assert need({"b": 2}, "a", "b") == 2
    with pytest.raises(SweepError, match="lacks the field a or c; it has b, d"):
        need({"b": 2, "d": None}, "a", "c")
