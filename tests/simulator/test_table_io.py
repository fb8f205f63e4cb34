"""Tables on disk: what is saved comes back, edits are noticed, and the cache is shared safely."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import LookupTable, Simulator, Task, table_cache, table_io, table_scores
from simulator.errors import TableError, UsageError
from simulator.table_format import OUTCOMES, SCORES, task_toml
from simulator.verify import verify
from tests.simulator import disk


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("AGENTTTS_CACHE", str(folder))
    return folder


def settle(folder: Path) -> None:
    """Make files look old, so that their index is trusted at once."""
    for path in folder.iterdir():
        os.utime(path, ns=(10**18, 10**18))


def entries(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.iterdir() if p.name != "index")


# What is saved comes back ---------------------------------------------------------------------


@given(disk.any_tasks())
def test_a_task_survives_its_toml(task: Task) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.toml"
        path.write_text(task_toml(task), encoding="utf-8", newline="\n")
        assert Task.from_toml(path) == task


@settings(max_examples=40)
@given(disk.any_tables(), st.booleans())
def test_a_table_survives_the_disk(table: LookupTable, again: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = table_io.save(table, Path(folder) / "t", card="# A card\n")
        assert verify(path) == []
        disk.assert_same(table_io.load(path), table)
        if again:
            copy = table_io.save(table_io.load(path), Path(folder) / "u")
            for file in path.iterdir():
                assert (copy / file.name).read_bytes() == file.read_bytes()


@settings(max_examples=15)
@given(disk.any_tables(), st.randoms(use_true_random=False), st.integers(1, 50))
def test_the_order_and_types_of_rows_do_not_matter(table, random, rows_at_once) -> None:
    """Shuffled rows, text for categories, wide integers, text ids, read in small parts."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = table_io.save(table, Path(folder) / "t", card="# A card\n")
        for file in (SCORES, OUTCOMES):
            if not (path / file).exists():
                continue
            frame = pl.read_parquet(path / file)
            order = list(range(len(frame)))
            random.shuffle(order)
            frame = frame.select(
                pl.all().exclude(pl.Enum), pl.col(pl.Enum).cast(pl.String)
            ).with_columns(pl.col(pl.UInt8, pl.UInt16).cast(pl.Int64))
            if "example" in frame.columns:
                frame = frame.with_columns(
                    pl.format("id-{}", pl.col("example").cast(pl.String).str.zfill(6)).alias(
                        "example"
                    )
                )
            frame[order].write_parquet(path / file)
        disk.reseal(path)
        patch.setattr(table_scores, "ROWS_AT_ONCE", max(rows_at_once, len(order) // 5))
        disk.assert_same(table_io.load(path), table)


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = disk.save_small(tmp_path / "a"), disk.save_small(tmp_path / "b")
    files = sorted(p.name for p in one.iterdir())
    assert files == ["CARD.md", "MANIFEST.json", "outcomes.parquet", "scores.parquet", "task.toml"]
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_card_and_provenance_are_kept(tmp_path: Path) -> None:
    provenance = {"source": "here", "made": {"engine": "vllm 0.9"}, "licence": "MIT", "note": 7}
    path = table_io.save(disk.small_table(), tmp_path / "t", card="# Größe", provenance=provenance)
    table = LookupTable.load(path)
    assert table.card == "# Größe\n"
    assert table.provenance["made"] == {"engine": "vllm 0.9"}
    assert table.provenance["note"] == 7
    assert table.provenance["kind"] == "measured"
    assert table.path == path


def test_wide_and_negative_example_ids(tmp_path: Path) -> None:
    path = disk.save_small(tmp_path / "t")
    disk.edit_outcomes(
        path, lambda f: f.with_columns((pl.col("example").cast(pl.Int64) - 3) * 10**12)
    )
    disk.assert_same(table_io.load(path), disk.small_table())


def test_a_metric_beside_the_searched_one_may_be_missing(tmp_path: Path) -> None:
    path = disk.save_small(tmp_path / "t", outcomes=False)
    disk.edit(path, lambda f: disk.put(f, "f1", 0, None))
    table = table_io.load(path)
    assert np.isnan(table.splits["train"].metrics["f1"][0])
    assert table.present()[0]


def test_outcomes_of_some_configurations_and_of_the_searched_metric_alone(tmp_path: Path) -> None:
    path = disk.save_small(tmp_path / "t")
    disk.edit_outcomes(
        path,
        lambda f: f.filter((pl.col("answer_samples") != 2) & (pl.col("split") == "test")).drop(
            "f1"
        ),
    )
    assert verify(path) == []
    table = table_io.load(path)
    assert table.splits["train"].outcomes is None
    outcomes = table.splits["test"].outcomes
    assert outcomes is not None
    assert set(outcomes.metrics) == {"exact_match"}
    whole = disk.small_table().splits["test"]
    assert whole.outcomes is not None
    for cell in range(table.space.n_cells):
        row = outcomes.row_of_cell[cell]
        lacks = (
            table.space.asked_of_cells(np.array([cell]))[0, 1, 1] == 2
            or not table.present("test")[cell]
        )
        assert (row < 0) == lacks
        if row >= 0:
            np.testing.assert_array_equal(
                outcomes.metrics["exact_match"].decode(np.array([row]), 11),
                whole.outcomes.metrics["exact_match"].decode(whole.outcomes.rows([cell]), 11),
            )


def test_a_loaded_table_can_be_searched_and_resampled(tmp_path: Path) -> None:
    table = table_io.load(disk.save_small(tmp_path / "t"))
    mean, noisy = Simulator(table), Simulator(table, noise="bootstrap", seed=1)
    assert mean.evaluate(mean.optimum.configuration).score == mean.optimum.score
    asked = table.space.configuration(int(np.nanargmin(np.abs(table.scores() - 0.5))))
    drawn = {noisy.evaluate(asked).score for _ in range(20)}
    assert len(drawn) > 1


# Saving -------------------------------------------------------------------------------------------


def test_save_refuses_to_overwrite(tmp_path: Path) -> None:
    path = disk.save_small(tmp_path / "t")
    before = (path / SCORES).read_bytes()
    with pytest.raises(UsageError, match="is not empty"):
        disk.save_small(path, seed=1)
    assert (path / SCORES).read_bytes() == before
    table_io.save(disk.small_table(seed=1), path, card="# New", overwrite=True)
    disk.assert_same(table_io.load(path), disk.small_table(seed=1))
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("t", "cache")] == []


def test_save_replaces_only_tables(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty"):
        table_io.save(disk.small_table(), tmp_path / "mine", card="# x", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        disk.save_small(tmp_path / "file")


def test_save_needs_a_card(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a card"):
        table_io.save(disk.small_table(), tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table_io, "write_manifest", full)
    with pytest.raises(TableError, match="cannot be written: No space left on device"):
        disk.save_small(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_all_holes_are_not_written(tmp_path: Path) -> None:
    task = disk.small_task()
    table = LookupTable.from_function(task, lambda c: None)
    with pytest.raises(TableError, match="has no cell with a score"):
        table_io.save(table, tmp_path / "t", card="# x")
    assert not (tmp_path / "t").exists()


# The cache ----------------------------------------------------------------------------------------


def test_a_second_load_reads_no_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk.save_small(tmp_path / "t")
    first = table_io.load(path)

    def never(*_: object) -> None:
        raise AssertionError("Parquet was read again")

    monkeypatch.setattr(table_io, "read_splits", never)
    disk.assert_same(table_io.load(path), first)
    shutil.copytree(path, tmp_path / "copy")
    disk.assert_same(table_io.load(tmp_path / "copy"), first)


def test_an_untouched_table_is_not_even_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = disk.save_small(tmp_path / "t")
    settle(path)
    monkeypatch.setattr(table_cache, "RACY_NS", -(10**18))
    table_io.load(path)

    def never(*_: object) -> None:
        raise AssertionError("a file was hashed again")

    monkeypatch.setattr(table_io, "sha256", never)
    disk.assert_same(table_io.load(path), disk.small_table())


@pytest.mark.parametrize("settled", [True, False])
def test_an_edited_table_is_noticed(tmp_path: Path, settled: bool) -> None:
    path = disk.save_small(tmp_path / "t", outcomes=False)
    assert table_io.load(path).scores()[0] != 0.125
    if settled:
        settle(path)
        table_io.load(path)
    disk.edit(path, lambda f: disk.put(f, "exact_match", 0, 0.125))
    assert table_io.load(path).scores()[0] == 0.125


def test_an_edit_within_the_clock_tick_of_the_index_is_noticed(tmp_path: Path) -> None:
    """Same size, same times: only the hash tells, so a young index must not be trusted."""
    path = disk.save_small(tmp_path / "t")
    table_io.load(path)
    status = (path / SCORES).stat()
    data = bytearray((path / SCORES).read_bytes())
    data[len(data) // 2] ^= 1
    with (path / SCORES).open("r+b") as file:
        file.write(data)
    os.utime(path / SCORES, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(TableError, match=r"scores.parquet: has changed since MANIFEST.json"):
        table_io.load(path)


def test_arrays_are_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk.save_small(tmp_path / "t")
    for mapped_from in (0, 2**30):
        monkeypatch.setattr(table_cache, "MAPPED_FROM", mapped_from)
        table = table_io.load(path)
        with pytest.raises(ValueError, match="read-only"):
            table.scores()[0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            table.splits["train"].seconds[0] = 1.0


def test_no_cache_entry_of_a_wrong_table(tmp_path: Path, cache: Path) -> None:
    path = disk.save_small(tmp_path / "t", outcomes=False)
    disk.edit(path, lambda f: disk.put(f, "exact_match", 0, 7.0))
    for _ in range(2):
        with pytest.raises(TableError, match="7 is not a finite number from 0 to 1"):
            table_io.load(path)
    assert entries(cache) == []


@pytest.mark.parametrize("damage", ["truncate", "remove", "garbage", "header", "old"])
def test_a_damaged_entry_is_built_again(tmp_path: Path, cache: Path, damage: str) -> None:
    path = disk.save_small(tmp_path / "t")
    table_io.load(path)
    (entry,) = [p for p in cache.iterdir() if p.name != "index"]
    array = entry / "0.npy"
    if damage == "truncate":
        array.write_bytes(array.read_bytes()[:-9])
    elif damage == "remove":
        array.unlink()
    elif damage == "garbage":
        array.write_bytes(b"\x80\x04 not an array")
    elif damage == "header":
        (entry / "header.json").write_text("{")
    else:
        (entry / "header.json").write_text(json.dumps({"layout": 0}))
    disk.assert_same(table_io.load(path), disk.small_table())
    disk.assert_same(table_io.load(path), disk.small_table())


def test_what_killed_processes_left_is_swept_away(tmp_path: Path, cache: Path) -> None:
    for name, age in ((".tmp-old", 10**5), (".tmp-young", 0)):
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (time.time() - age,) * 2)
    table_io.load(disk.save_small(tmp_path / "t"))
    assert not (cache / ".tmp-old").exists()
    assert (cache / ".tmp-young").exists()


def test_pickles_in_the_cache_are_never_loaded(tmp_path: Path, cache: Path) -> None:
    path = disk.save_small(tmp_path / "t")
    table_io.load(path)
    (entry,) = [p for p in cache.iterdir() if p.name != "index"]
    objects = np.array([{"a": 1}], dtype=object)
    np.save(entry / "0.npy", objects, allow_pickle=True)
    disk.assert_same(table_io.load(path), disk.small_table())


@pytest.mark.parametrize("blocked", ["file", "under a file"])
def test_a_cache_that_cannot_be_written_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    (tmp_path / "blocked").write_text("")
    target = tmp_path / "blocked" / ("" if blocked == "file" else "deeper")
    monkeypatch.setenv("AGENTTTS_CACHE", str(target))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = disk.save_small(tmp_path / "t")
    disk.assert_same(table_io.load(path), disk.small_table())
    disk.assert_same(table_io.load(path), disk.small_table())
    (own,) = (tmp_path / "temporary").iterdir()
    assert own.name.startswith("agenttts-")
    assert own.stat().st_mode & 0o077 == 0


def test_a_read_only_cache_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk.save_small(tmp_path / "t")
    table_io.load(path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    real = table_cache._writable
    monkeypatch.setattr(
        table_cache, "_writable", lambda folder: "temporary" in str(folder) and real(folder)
    )
    monkeypatch.setattr(table_io, "read_splits", None)
    disk.assert_same(table_io.load(path), disk.small_table())


def test_a_planted_temporary_cache_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can make `/tmp/agenttts-UID` first: a folder that others can write is not trusted."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    planted = tmp_path / "temporary" / f"agenttts-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("AGENTTTS_CACHE", str(tmp_path / "blocked"))
    disk.assert_same(table_io.load(disk.save_small(tmp_path / "t")), disk.small_table())
    assert list(planted.iterdir()) == []


def test_a_full_disk_costs_only_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    disk.assert_same(table_io.load(disk.save_small(tmp_path / "t")), disk.small_table())
    assert entries(cache) == []


def test_the_cache_folder_is_chosen_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert table_cache.roots() == [tmp_path / "cache"]
    monkeypatch.delenv("AGENTTTS_CACHE")
    assert table_cache.roots() == [tmp_path / "xdg" / "agenttts"]
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert table_cache.roots() == [tmp_path / "home" / ".cache" / "agenttts"]


LOADER = """
import sys
from simulator import table_io
table = table_io.load(sys.argv[1])
print(float(table.scores("test")[:3].sum()), "polars" in sys.modules)
"""


def run_loaders(path: Path, count: int) -> list[str]:
    command = [sys.executable, "-c", LOADER, str(path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    outputs = []
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        outputs.append(out.strip())
    return outputs


def test_many_processes_start_at_once(tmp_path: Path, cache: Path) -> None:
    path = disk.save_small(tmp_path / "t")
    outputs = run_loaders(path, 4)
    expected = disk.small_table().scores("test")[:3].sum()
    assert {float(line.split()[0]) for line in outputs} == {float(expected)}
    assert [line.split()[1] for line in outputs].count("True") == 1, "one builds, the others wait"
    assert len(entries(cache)) == 1, "no temporary folder or lock stays"


def test_a_cached_load_does_not_import_polars_and_is_quick(tmp_path: Path) -> None:
    path = disk.save_small(tmp_path / "t")
    table_io.load(path)
    (output,) = run_loaders(path, 1)
    assert output.split()[1] == "False"
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        table_io.load(path)
        times.append(time.perf_counter() - begin)
    # A few milliseconds; the bound only tells that nothing is read and checked anew.
    assert min(times) < 0.03


def test_a_table_that_changes_while_it_is_read(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the arrays of the new contents would be kept under the hash of the old."""
    path = disk.save_small(tmp_path / "t")
    other = disk.save_small(tmp_path / "u", seed=1)
    real = table_io.read_splits

    def swapped(*arguments: object) -> object:
        shutil.copy(other / SCORES, path / SCORES)
        shutil.copy(other / OUTCOMES, path / OUTCOMES)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(table_io, "read_splits", swapped)
    with pytest.raises(TableError, match="changed while it was read; load it again"):
        table_io.load(path)
    assert entries(cache) == []


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk.save_small(tmp_path / "t")

    def denied(file: Path) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(table_io, "sha256", denied)
    with pytest.raises(TableError, match=r"task.toml: cannot be read: Permission denied"):
        table_io.load(path)


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["task.toml", "scores.parquet", "CARD.md", "MANIFEST.json"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    path = disk.save_small(tmp_path / "t")
    (path / name).unlink()
    with pytest.raises(TableError, match=f"{name}: no such file"):
        table_io.load(path)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="nowhere: no such folder"):
        table_io.load(tmp_path / "nowhere")


@settings(max_examples=25)  # `make fuzz` reads thousands
@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    """Whatever byte of a data file changes: one clear error, never a crash or a wrong score."""
    with tempfile.TemporaryDirectory() as folder:
        path = disk.save_small(Path(folder) / "t")
        name = data.draw(st.sampled_from([SCORES, OUTCOMES, "task.toml"]))
        damaged = bytearray((path / name).read_bytes())
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
        (path / name).write_bytes(damaged)
        with pytest.raises(TableError) as caught:
            table_io.load(path)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
        assert any(problem.file == name for problem in verify(path))


@settings(max_examples=25)  # `make fuzz` reads thousands
@given(st.data())
def test_damaged_parquet_with_a_matching_hash_never_crashes(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = disk.save_small(Path(folder) / "t")
        name = data.draw(st.sampled_from([SCORES, OUTCOMES]))
        damaged = bytearray((path / name).read_bytes())
        if data.draw(st.booleans()):
            damaged = damaged[: data.draw(st.integers(0, len(damaged) - 1))]
        else:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
        (path / name).write_bytes(damaged)
        disk.reseal(path)
        message = None
        try:
            table_io.load(path)
        except TableError as error:
            message = str(error)
        assert (message is None) == (verify(path) == [])
        assert "\n" not in (message or "")
