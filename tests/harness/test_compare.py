"""Two benches compared: the same, changed by more than noise, and not comparable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from harness.bench import run_bench
from harness.cli import cli
from harness.compare import compare
from simulator.errors import UsageError
from tests.harness.helpers import toy_table


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compare") / "out"
    run_bench(out=out, agents=["random", "grid"], tables=[toy_table()], seeds=8, trials=6, jobs=1)
    return out


def altered(source: Path, target: Path, agent: str, by: float) -> Path:
    """A copy of a bench in which one agent's regrets are larger by `by`, with a little noise."""
    shutil.copytree(source, target)
    path = target / "trials.parquet"
    frame = pl.read_parquet(path)
    jitter = np.random.default_rng(0).uniform(0, 0.01, frame.height)
    changed = pl.when(pl.col("agent") == agent).then(pl.col("regret") + by + pl.Series(jitter))
    frame.with_columns(changed.otherwise(pl.col("regret")).alias("regret")).write_parquet(path)
    return target


def test_a_bench_is_the_same_as_itself(bench: Path) -> None:
    found = compare(bench, bench)
    assert {change.verdict for change in (*found.changes, *found.overall)} == {"same"}
    assert found.settings == ()
    assert found.real == []
    # Grid draws nothing: its eight runs are one.
    assert {change.agent: change.pairs for change in found.overall} == {"random": 8, "grid": 1}


def test_what_got_worse_is_found_and_what_did_not_is_left(bench: Path, tmp_path: Path) -> None:
    found = compare(bench, altered(bench, tmp_path / "after", "random", 0.1))
    verdicts = {(c.agent, c.measure): c.verdict for c in found.changes}
    assert verdicts["random", "area"] == "worse"
    assert verdicts["random", "regret"] == "worse"
    assert verdicts["grid", "area"] == "same"
    area = next(c for c in found.changes if (c.agent, c.measure) == ("random", "area"))
    assert area.low <= area.mean <= area.high
    assert area.low > 0
    assert area.after - area.before == pytest.approx(area.mean)
    overall = {c.agent: c.verdict for c in found.overall}
    assert overall == {"random": "worse", "grid": "same"}
    back = compare(tmp_path / "after", bench)
    assert {c.agent: c.verdict for c in back.overall} == {"random": "better", "grid": "same"}


def test_runs_that_are_one_run_count_once(bench: Path, tmp_path: Path) -> None:
    after = altered(bench, tmp_path / "after", "grid", 0.001)
    area = next(
        c for c in compare(bench, after).changes if (c.agent, c.measure) == ("grid", "area")
    )
    # One pair, so no p value; but no luck either, so that any difference is real.
    assert (area.pairs, area.verdict) == (1, "worse")
    assert np.isnan(area.p)
    assert area.low == area.mean == area.high > 0
    about = json.loads((after / "bench.json").read_text())
    (after / "bench.json").write_text(json.dumps(about | {"same_in_every_seed": []}))
    assert {c.pairs for c in compare(bench, after).overall} == {8}


def test_noise_is_called_noise(bench: Path, tmp_path: Path) -> None:
    after = tmp_path / "after"
    run_bench(
        out=after, agents=["random"], tables=[toy_table()], seeds=8, trials=6, jobs=1,
        noise="mean", duplicates="free",
    )  # fmt: skip
    # Other seeds: the same agent, drawn again.
    path = after / "runs.parquet"
    for name in ("runs", "trials"):
        path = after / f"{name}.parquet"
        frame = pl.read_parquet(path)
        frame.with_columns((pl.col("seed") + 3) % 8).write_parquet(path)
    found = compare(bench, after)
    random = next(c for c in found.overall if c.agent == "random")
    assert random.verdict == "noise"
    assert "duplicates: charge before, free after" in found.settings
    assert "agent grid: only before" in found.settings
    assert any(line.startswith("8 of 16 runs before") for line in found.settings)


def test_benches_that_share_nothing(bench: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run_bench(
        out=other, agents=["random"], tables=[toy_table()], seeds=2, trials=3, jobs=1, budgets=700
    )
    with pytest.raises(UsageError, match="nothing to pair"):
        compare(bench, other)
    with pytest.raises(UsageError, match="no such folder"):
        compare(bench, tmp_path / "nowhere")


def test_the_command(bench: Path, tmp_path: Path) -> None:
    after = altered(bench, tmp_path / "after", "random", 0.1)
    run = CliRunner().invoke(cli, ["compare", str(bench), str(after)], standalone_mode=False)
    assert run.exception is None
    assert "Where it changed" in run.output
    assert "worse" in run.output
    run = CliRunner().invoke(
        cli, ["compare", str(bench), str(after), "--json"], standalone_mode=False
    )
    data = json.loads(run.output)
    assert {"settings", "overall", "changes"} == set(data)
    assert {"agent", "table", "measure", "mean", "low", "high", "p", "verdict"} <= set(
        data["changes"][0]
    )
