"""Payback where the bench's cost model tells no configurations apart."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from harness import run_bench
from harness.report import deployment, read_results
from harness.report.content import make_content
from simulator import Configuration, LookupTable, Simulator
from tests.harness.helpers import toy_task


@pytest.fixture(scope="module")
def table() -> LookupTable:
    """Models so small that every configuration costs 0 units; more samples score less."""
    task = toy_task("tiny")
    tiny = tuple(
        stage.model_copy(
            update={"models": tuple(m.model_copy(update={"parameters": 1e6}) for m in stage.models)}
        )
        for stage in task.stages
    )
    task = task.model_copy(update={"stages": tiny, "metrics": ("score",), "default_budget": 1.0})
    return LookupTable.from_function(task, lambda c: 1 - sum(x.samples for x in c.choices) / 100)


def test_costs_are_tokens_where_units_tell_nothing_apart(
    table: LookupTable, tmp_path: Path
) -> None:
    units, tokens = Simulator(table, 1.0), Simulator(table, 1e9, cost="tokens")
    assert units.cell_costs.max() == 0
    run_bench(out=tmp_path, tables=[table], agents=["random"], seeds=2, trials=6)
    results = read_results(tmp_path)
    entry = deployment.payback(
        table, ("tiny", 1.0, "units"), results.trials, results.runs, {"random": 0}
    )
    assert entry is not None
    assert entry["cost"] == "tokens"
    default = entry["defaults"]["largest models, most samples"]
    configuration = Configuration.parse(default["configuration"])
    assert default["cost"] == pytest.approx(tokens.cost(configuration))
    first = results.trials.filter(pl.col("seed") == 0)
    spent = sum(tokens.cost(Configuration.parse(asked)) for asked in first["asked"])
    assert entry["agents"][0]["spent"][0] == pytest.approx(spent * entry["examples"], rel=1e-5)
    # Fewer samples are cheaper and better here: a search pays.
    assert deployment.median_payback(entry, "largest models, most samples", 0) < float("inf")


def test_a_board_says_how_many_configurations_the_budget_leaves(
    table: LookupTable, tmp_path: Path
) -> None:
    run_bench(out=tmp_path, tables=[table], agents=["random"], seeds=2, trials=6)
    results = read_results(tmp_path)
    assert ", 64 of 64 within the budget" in results.boards[1].about
    problem = make_content(results).data["problems"][0]
    assert (problem["feasible"], problem["configurations"]) == (64, 64)
