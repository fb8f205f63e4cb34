"""The merged table: what it holds, what it must not hold, and where it has holes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from collectors.engines.scripted import ScriptedEngine
from collectors.errors import StoreError
from collectors.manifest import today
from collectors.merge import merge, write
from collectors.runner import run
from collectors.store import Store
from collectors.sweep import Sweep
from simulator import LookupTable
from simulator.errors import UsageError
from simulator.verify import verify


@pytest.fixture
def written(
    settings: dict[str, Any],
    make_sweep: Callable[[dict[str, Any]], Sweep],
    script: Callable[[str, str, int, int], list[str]],
    tmp_path: Path,
) -> Path:
    settings["plan"]["subsets"] = 20
    settings["models"][0] |= {"source": "/data/private/small", "revision": None}
    sweep = make_sweep(settings)
    store = Store.open(tmp_path / "sweep", sweep)
    run(sweep, store, ScriptedEngine.of(script))
    write(merge(sweep, store), sweep, store, tmp_path / "table", overwrite=False)
    return tmp_path / "table"


def test_the_table_loads_and_verifies(written: Path) -> None:
    table = LookupTable.load(written)
    assert table.kind == "modelled", "a function's answers are no measurement"
    assert "A rehearsal: a function answered" in (written / "CARD.md").read_text()
    assert "Measured with" not in (written / "CARD.md").read_text()
    assert table.task.metric == "token_f1"
    assert set(table.task.metrics) == {
        "token_f1",
        "exact_match",
        "answer_contained",
        "retrieval_f1",
    }
    assert table.space.n_cells == 36
    assert not np.isnan(table.scores("train")).any()
    assert not np.isnan(table.scores("test")).any()
    assert table.splits["train"].outcomes is not None
    assert table.splits["train"].outcomes.n_examples == 3
    assert not list(verify(written))
    assert (table.splits["train"].seconds > 0).all()
    assert table.task.stages[0].models[0].temperature == 0.9


def test_the_manifest_says_how_it_was_made(written: Path) -> None:
    made = json.loads((written / "MANIFEST.json").read_text())["made"]
    assert made["engine"]["engine"] == "scripted"
    assert made["planned"]["tokens"] * made["token_saving"] == pytest.approx(
        made["naive"]["tokens"], rel=0.01
    )
    assert {(s["stage"], s["model"], s["temperature"]) for s in made["sampling"]} == {
        ("retrieve", "small", 0.9),
        ("retrieve", "large", 0.9),
        ("answer", "small", 0.7),
        ("answer", "large", 0.7),
    }
    assert [m["source"] for m in made["models"]] == ["small", "a/large"]
    assert len(made["data"]["examples_sha256"]) == 64


def test_no_text_of_the_data_enters_the_table(written: Path) -> None:
    everything = b"".join(path.read_bytes() for path in written.iterdir())
    for name in ("samples.parquet", "outcomes.parquet", "scores.parquet"):
        frame = pl.read_parquet(written / name)
        texts = " ".join(str(v) for c in frame.columns for v in frame[c].unique().to_list())
        assert "ridge" not in texts
        assert "own 1" not in texts
    assert b"ridge" not in everything
    assert b"Town 3" not in everything
    assert b"/data/private" not in everything


def test_samples_tell_votes_and_scores(written: Path) -> None:
    samples = pl.read_parquet(written / "samples.parquet")
    answers = samples.filter(pl.col("stage") == "answer")
    assert set(samples["stage"].unique()) == {"retrieve", "answer"}
    for _, pool in answers.group_by("model", "example", "upstream"):
        assert sorted(pool["sample"].to_list()) == [0, 1, 2, 3]
        for _, same in pool.group_by("vote"):
            assert same["exact_match"].n_unique() == 1, "equal votes score alike"
    retrieved = samples.filter(pl.col("stage") == "retrieve")
    assert retrieved["token_f1"].null_count() == len(retrieved)
    assert retrieved["retrieval_f1"].is_between(0, 1).all()


def test_noise_is_that_of_random_subsets(written: Path) -> None:
    table = LookupTable.load(written)
    noise = pl.read_parquet(written / "noise.parquet")
    assert len(noise) == 36 * 2 * 3
    whole = noise.filter(
        (pl.col("answer_samples") == 4)
        & (pl.col("split") == "train")
        & (pl.col("metric") == "token_f1")
    )
    assert len(whole) == 12
    # A subset of the whole pool is the pool: no noise, and the table's own score.
    assert whole["sd"].max() == pytest.approx(0, abs=1e-12)
    for row in whole.iter_rows(named=True):
        text = (
            f"retrieve={row['retrieve_model']}:{row['retrieve_samples']},"
            f"answer={row['answer_model']}:4"
        )
        cell = next(c for c in range(36) if str(table.space.configuration(c)) == text)
        assert table.scores("train")[cell] == pytest.approx(row["mean"], abs=1e-6)
    assert noise.filter(pl.col("answer_samples") == 1)["sd"].max() > 0  # type: ignore[operator]


def test_an_incomplete_sweep_is_not_merged_by_accident(
    sweep: Sweep, store: Store, engine: ScriptedEngine
) -> None:
    with pytest.raises(StoreError, match="is incomplete"):
        merge(sweep, store)
    with pytest.raises(StoreError, match="no samples yet"):
        merge(sweep, store, allow_holes=True)
    run(sweep, store, engine)
    for path in store.folder("answer", "large", "samples").iterdir():
        path.unlink()
    merged = merge(sweep, store, allow_holes=True)
    table = merged.table
    missing = np.isnan(table.scores("train"))
    for cell in range(table.space.n_cells):
        uses = table.space.configuration(cell).choices[1].model == "large"
        assert missing[cell] == uses
    assert merged.holes == {"train": 18, "test": 18}


def test_a_table_is_not_overwritten_unless_asked(
    sweep: Sweep, store: Store, engine: ScriptedEngine, tmp_path: Path
) -> None:
    run(sweep, store, engine)
    merged = merge(sweep, store)
    write(merged, sweep, store, tmp_path / "t", overwrite=False)
    with pytest.raises(UsageError, match="not empty"):
        write(merged, sweep, store, tmp_path / "t", overwrite=False)
    write(merged, sweep, store, tmp_path / "t", overwrite=True)
    assert LookupTable.load(tmp_path / "t").name == "2wiki"


def test_seconds_follow_what_the_engine_took(
    sweep: Sweep, store: Store, engine: ScriptedEngine
) -> None:
    run(sweep, store, engine)
    merged = merge(sweep, store)
    assert merged.drawn.seconds == pytest.approx(merged.drawn.tokens * 0.001)
    seconds = merged.table.splits["train"].seconds
    by_text = {
        str(merged.table.space.configuration(c)): seconds[c]
        for c in range(merged.table.space.n_cells)
    }
    assert by_text["retrieve=small:1,answer=small:1"] < by_text["retrieve=small:4,answer=small:4"]


def test_the_date_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert today() == "1970-01-02"
