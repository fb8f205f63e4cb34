"""What a bench's record says of its runs."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from harness.bench import run_bench
from harness.report import read_results
from harness.store import same_in_every_seed
from simulator import LookupTable

TERMS = {"agent": "a", "table": "t", "budget": 1.0, "cost_model": "units"}


def trials(*runs: list[str]) -> pl.DataFrame:
    """One row a trial of runs with the seeds 0, 1, ..."""
    return pl.DataFrame(
        [
            {**TERMS, "seed": seed, "number": number, "asked": asked}
            for seed, run in enumerate(runs)
            for number, asked in enumerate(run, start=1)
        ]
    )


@pytest.mark.parametrize(
    ("runs", "same"),
    [
        ((["x", "y"], ["x", "y"]), ["a"]),
        ((["x", "y"], ["x", "z"]), []),
        ((["x", "y"], ["x"]), []),
        ((["x", "y"],), []),
    ],
    ids=["alike", "one trial differs", "one run is shorter", "one seed"],
)
def test_agents_that_ask_the_same_in_every_seed(
    runs: tuple[list[str], ...], same: list[str]
) -> None:
    assert same_in_every_seed(trials(*runs)) == same


def test_a_table_on_which_seeds_differ_is_enough() -> None:
    alike = trials(["x"], ["x"])
    other = trials(["x"], ["y"]).with_columns(table=pl.lit("u"))
    assert same_in_every_seed(pl.concat([alike, other])) == []


def test_the_leaderboard_says_which_runs_are_one(tmp_path: Path) -> None:
    table = LookupTable.from_function({"answer": [1, 5, 10]}, lambda c: c.choices[0].samples / 10)
    run_bench(out=tmp_path, agents=["grid", "random"], tables=[table], seeds=6, trials=3, jobs=1)
    assert json.loads((tmp_path / "bench.json").read_text())["same_in_every_seed"] == ["grid"]
    (note,) = [n for n in read_results(tmp_path).notes if n.startswith("Asked the same")]
    assert "grid" in note
    assert "random" not in note
