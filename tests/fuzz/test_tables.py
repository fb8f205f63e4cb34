"""Tables from outside: `task.toml`, both Parquet files, the manifest, a CSV, the machine's cache.

`load` and `verify` must agree: what one refuses the other names, and neither raises anything else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import LookupTable, Task, table_io
from simulator.errors import AgentTTSError, TableError
from simulator.table_format import CARD, MANIFEST, OUTCOMES, SCORES, TASK, task_toml
from simulator.verify import verify
from tests.fuzz.guard import fuzz, survive
from tests.fuzz.mutate import NASTY, damaged, garbled, twisted
from tests.simulator import disk

TOML = task_toml(disk.small_task())
MAPPING = disk.small_task().model_dump(mode="json")
Read = Callable[[], Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small sound table, by name."""
    folder = disk.save_small(tmp_path_factory.mktemp("sound") / "t")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lay(sound: dict[str, bytes], changed: dict[str, bytes], *, seal: bool = True) -> Path:
    """The table in the folder `t` with some files replaced, and the manifest brought up to date."""
    folder = Path("t")
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in sound or path.is_symlink():
            path.unlink()
    for name, content in {**sound, **changed}.items():
        (folder / name).write_bytes(content)
    if seal:
        disk.reseal(folder)
    return folder


def read(sound: dict[str, bytes], changed: dict[str, bytes], seal: bool) -> LookupTable:
    """Load and verify; both must think the same of the table."""
    folder = lay(sound, changed, seal=seal)
    problems = verify(folder)
    for problem in problems:
        assert str(problem).isprintable()
    try:
        table = table_io.load(folder)
    except AgentTTSError:
        assert problems, "load refuses what verify finds sound"
        raise
    # The card is read by people: its hash and stray files are left to `verify`.
    missed = [p for p in problems if p.file in (TASK, SCORES, OUTCOMES)]
    assert not missed, f"load takes what verify refuses: {missed[0]}"
    assert table.space.n_cells >= int(table.present(next(iter(table.splits))).sum()) > 0
    return table


@fuzz
@given(garbled(TOML))
def test_the_text_of_a_task(text: str) -> None:
    def target(text: str) -> Task:
        Path("task.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
        return Task.from_toml("task.toml")

    task = survive(target, text)
    if isinstance(task, Task):
        Path("task.toml").write_text(task_toml(task), encoding="utf-8", newline="\n")
        assert Task.from_toml("task.toml") == task


@fuzz
@given(twisted(MAPPING, keep_top=False))
def test_the_structure_of_a_task(data: Any) -> None:
    def target(data: Any) -> Task:
        task = Task.from_mapping(data)
        LookupTable.from_function(task, lambda c: 0.5)
        return task

    survive(target, data)


@fuzz
@given(st.data())
def test_the_bytes_of_a_parquet_file(sound: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from((SCORES, OUTCOMES)))
    survive(read, sound, {name: data.draw(damaged(sound[name]))}, True)


@fuzz
@given(st.data())
def test_the_bytes_of_any_file_without_a_new_manifest(
    sound: dict[str, bytes], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from((TASK, SCORES, OUTCOMES, MANIFEST)))
    content = data.draw(damaged(sound[name]))
    found = survive(read, sound, {name: content}, False)
    if name != MANIFEST and content != sound[name]:
        assert isinstance(found, TableError)
        assert name in str(found)


@fuzz
@given(st.data())
def test_the_structure_of_the_manifest(sound: dict[str, bytes], data: st.DataObject) -> None:
    content = data.draw(twisted(json.loads(sound[MANIFEST]), keep_top=False))
    survive(read, sound, {MANIFEST: json.dumps(content).encode()}, False)


def change_frame(draw: Callable[..., Any], frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with a value, a row, a column or a type that is wrong."""
    column = draw(st.sampled_from(frame.columns))
    row = draw(st.integers(0, len(frame) - 1))
    kind = draw(st.integers(0, 8))
    if kind <= 2:
        value = draw(st.sampled_from([v for v in NASTY if not isinstance(v, list | dict)]))
        values: list[Any] = frame[column].to_list()
        values[row] = value
        try:
            changed = pl.Series(column, values, strict=kind == 0)
            if changed.dtype == pl.Object:  # of Python's own, which no file holds
                raise TypeError
            return frame.with_columns(changed)
        except (TypeError, OverflowError, UnicodeEncodeError, pl.exceptions.PolarsError):
            return frame.with_columns(pl.Series(column, [None] * len(frame)))
    if kind == 3:
        return pl.concat([frame, frame[row : row + draw(st.integers(1, 3))]])
    if kind == 4:
        return frame.drop(column)
    if kind == 5:
        name = draw(st.sampled_from((f"{column}x", "", "a\nb", "ü")))
        return frame if name in frame.columns else frame.rename({column: name})
    if kind == 6:
        return frame.with_columns(pl.lit(None, dtype=draw(st.sampled_from(TYPES))).alias(column))
    if kind == 7:
        wrapped = draw(st.sampled_from((pl.concat_list(column), pl.struct(column))))
        return frame.with_columns(wrapped.alias(column))
    return frame[:row]


TYPES = (
    pl.Int8(), pl.UInt64(), pl.Int128(), pl.Float32(), pl.String(), pl.Binary(), pl.Boolean(),
    pl.Date(), pl.Datetime("us"), pl.Duration("us"), pl.Decimal(20, 3), pl.Categorical(),
    pl.List(pl.Int64()), pl.Struct({"a": pl.Int64()}), pl.Null(),
)  # fmt: skip


@fuzz
@given(st.data())
def test_the_rows_and_columns_of_a_parquet_file(
    sound: dict[str, bytes], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from((SCORES, OUTCOMES)))
    frame = pl.read_parquet(sound[name]).with_columns(pl.col(pl.Enum).cast(pl.String))
    for _ in range(data.draw(st.integers(1, 3))):
        if len(frame) and frame.columns:
            frame = change_frame(data.draw, frame)
    target = Path("changed.parquet")
    frame.write_parquet(target)
    survive(read, sound, {name: target.read_bytes()}, True)


@fuzz
@given(st.data())
def test_swapped_missing_and_linked_files(sound: dict[str, bytes], data: st.DataObject) -> None:
    """Whole files in the wrong place: of the other name, of another table, left out, linked."""
    other = data.draw(st.sampled_from(sorted(sound)))
    name = data.draw(st.sampled_from(sorted(sound)))
    kind = data.draw(st.sampled_from(("other name", "left out", "linked", "folder")))
    seal = data.draw(st.booleans()) and MANIFEST not in (name, other)

    def target(name: str, other: str, kind: str, seal: bool) -> Any:
        folder = lay(sound, {name: sound[other]} if kind == "other name" else {}, seal=seal)
        path = folder / name
        if kind != "other name":
            path.unlink()
        if kind == "linked":
            path.symlink_to("/etc/hostname")
        elif kind == "folder":
            path.mkdir()
        problems = verify(folder)
        try:
            return table_io.load(folder)
        finally:
            if kind == "folder":
                path.rmdir()
            assert problems or name == other or (seal and name == CARD)

    found = survive(target, name, other, kind, seal)
    # A card may say anything; a manifest that was brought up to date then names its new text.
    harmless = kind == "other name" and name in (other, CARD)
    assert harmless or isinstance(found, TableError)


@fuzz
@given(st.data())
def test_a_csv(data: st.DataObject) -> None:
    frame = disk_frame()
    text = frame.write_csv()
    if data.draw(st.booleans()):
        content = data.draw(damaged(text.encode()))
    else:
        lines = [line.split(",") for line in text.splitlines()]
        rows = data.draw(twisted(lines))
        cells = [row if isinstance(row, list) else [row] for row in rows]
        content = "\n".join(",".join(map(str, row)) for row in cells).encode("utf-8", "replace")

    def target(content: bytes) -> LookupTable:
        shutil.rmtree("out", ignore_errors=True)
        Path("scores.csv").write_bytes(content)
        Path("task.toml").write_text(TOML)
        try:
            table = table_io.import_csv("scores.csv", "task.toml", "out")
        except AgentTTSError:
            assert not Path("out").exists(), "nothing is left of an import that failed"
            raise
        assert verify("out") == []
        return table

    survive(target, content)


def disk_frame() -> pl.DataFrame:
    """The rows of the small table, as a CSV would hold them."""
    folder = disk.save_small(Path("frame"), outcomes=False) if not Path("frame").exists() else None
    frame = pl.read_parquet((folder or Path("frame")) / SCORES)
    return frame.with_columns(pl.col(pl.Enum).cast(pl.String))


@fuzz
@given(st.data())
def test_the_cache_of_this_machine(sound: dict[str, bytes], data: st.DataObject) -> None:
    """Damaged arrays and headers are built anew: the cache holds nothing that cannot be lost."""
    folder = lay(sound, {})
    table_io.load(folder)
    (entry,) = [p for p in Path("cache").iterdir() if p.name != "index"]
    index = next((Path("cache") / "index").iterdir())
    files = [entry / "header.json", index, *sorted(entry.glob("*.npy"))]
    file = data.draw(st.sampled_from(files))
    # A flipped bit among an array's numbers is the disk's to notice: only the form is damaged.
    whole = file.read_bytes()
    content = data.draw(damaged(whole[:100] if file.suffix == ".npy" else whole))
    rest = whole[100:] if file.suffix == ".npy" else b""

    def target(content: bytes) -> LookupTable:
        shutil.rmtree("cache", ignore_errors=True)
        table_io.load(folder)
        file.write_bytes(content)
        return table_io.load(folder)

    found = survive(target, content + rest)
    assert isinstance(found, LookupTable)
    # A shape or a type that still fits the size is a table of the same form.
    assert found.task == disk.small_task()
    shutil.rmtree("cache", ignore_errors=True)
