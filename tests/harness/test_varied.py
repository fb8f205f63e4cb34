"""Suites that vary training examples, noise and budgets, and what a bench then says of them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness import run_bench
from harness.plan import make_plan
from harness.report import read_results
from harness.report.content import make_content
from harness.suite import Suite, load_suite, make_suite, suite_text
from harness.summary import area_by_table, overall, summarise_varied
from simulator import Configuration, LookupTable, Simulator
from simulator.errors import UnknownName, UsageError
from tests.harness.helpers import toy_table

SMALL = {"agents": ["random", "grid"], "seeds": 3, "trials": 8}


@pytest.fixture(scope="module")
def tables() -> list[LookupTable]:
    """One with outcomes of 40 examples, one without."""
    return [toy_table("held", seed=1, outcomes=True), toy_table("bare", seed=2)]


@pytest.fixture(scope="module")
def out(tables: list[LookupTable], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("varied")
    run_bench(
        out=folder, tables=tables, budgets=["0.5x", "1x"], vary_examples=[10, 40, 100],
        vary_noise=["bootstrap", "mean"], **SMALL,
    )  # fmt: skip
    return folder


def test_only_what_a_table_can_answer_is_planned(tables: list[LookupTable]) -> None:
    suite = make_suite({
        **SMALL, "tables": ["held", "bare"], "vary_examples": [10, 40], "vary_noise": ["bootstrap"],
    })  # fmt: skip
    plan = make_plan(suite, tables)
    assert len(plan.cells) == 2 * 2 * 3
    # 40 examples are all of them: the bench's own terms.
    terms = {(cell.table, cell.noise, cell.examples) for cell in plan.varied}
    assert terms == {("held", "mean", 10), ("held", "bootstrap", None)}
    assert len(plan.varied) == 2 * 2 * 3
    assert plan.notes == ("not searched on fewer examples or with other noise: bare",)
    assert len({cell.file_name for cell in plan.all_cells}) == len(plan.all_cells)


def test_a_search_on_few_examples_sees_those_alone(out: Path, tables: list[LookupTable]) -> None:
    table = tables[0]
    cells = [json.loads(path.read_text()) for path in (out / "cells").iterdir()]
    fewer = [data for data in cells if data["cell"]["examples"] == 10]
    assert len(fewer) == 2 * 3 * 2
    for data in fewer:
        seen = Simulator(table, data["cell"]["budget"], seed=data["cell"]["seed"])
        whole = Simulator(table, data["cell"]["budget"])
        names, trials = data["configurations"], data["trials"]
        for asked, score, table_score, examples, seconds in zip(
            trials["asked"], trials["score"], trials["table_score"], trials["examples"],
            trials["seconds"], strict=True,
        ):  # fmt: skip
            configuration = Configuration.parse(names[asked])
            expected = seen.evaluate(configuration, examples=10)
            assert score == expected.score
            assert seconds == expected.seconds
            assert table_score == whole.score(configuration)
            assert examples is None  # they are its whole split: any trial can be the incumbent


def test_regret_is_by_all_examples_and_a_train_score_by_those_seen(out: Path) -> None:
    varied = pl.read_parquet(out / "varied.parquet")
    assert varied["table"].unique().to_list() == ["held"]
    assert varied.height == 2 * 2 * 3  # agents, budgets, terms
    summary = read_results(out).summary.filter(pl.col("table") == "held")
    own = varied.filter((pl.col("noise") == "mean") & pl.col("examples").is_null())
    for column in ("train_score", "test_score", "test_low", "test_high", "regret", "success_rate"):
        assert own[column].to_list() == summary[column].to_list()
    # As seen on ten examples, a tenth is the least difference.
    cells = [json.loads(path.read_text()) for path in (out / "cells").iterdir()]
    for row in varied.filter(pl.col("examples") == 10).iter_rows(named=True):
        best = [
            max(data["trials"]["score"])
            for data in cells
            if data["cell"]["examples"] == 10
            and (data["cell"]["label"], data["cell"]["budget"]) == (row["agent"], row["budget"])
        ]
        assert row["train_score"] == pytest.approx(np.mean(best))
        assert all(round(10 * score, 9).is_integer() for score in best)
    assert varied["regret"].is_between(0, 1).all()


def test_measures_of_hand_made_runs() -> None:
    runs = pl.DataFrame({
        "agent": ["a"] * 4, "table": ["t"] * 4, "kind": ["measured"] * 4, "budget": [1.0] * 4,
        "cost_model": ["units"] * 4, "noise": ["mean"] * 4, "examples": [10, 10, 10, None],
        "optimum": [0.8] * 4, "worst": [0.4] * 4, "regret": [0.0, 0.2, None, 0.1],
        "train_score": [1.0, 0.9, None, 0.7], "test_score": [0.7, 0.5, None, 0.6],
        "trials_to_optimum": [3, None, None, None], "incumbent": ["x", "y", None, "y"],
    })  # fmt: skip
    fewer, every = summarise_varied(runs, {}).iter_rows(named=True)
    # A run without a feasible trial stands at the worst score: (0 + 0.5 + 1) / 3.
    assert fewer["regret"] == pytest.approx(0.5)
    assert 0 <= fewer["regret_low"] < 0.5 < fewer["regret_high"] <= 1
    assert fewer["train_score"] == pytest.approx(0.95)
    assert fewer["test_score"] == pytest.approx(0.6)
    assert fewer["success_rate"] == pytest.approx(1 / 3)
    assert (every["examples"], every["seeds"]) == (None, 1)
    assert every["regret"] == every["regret_low"] == pytest.approx(0.25)


def test_the_report_shows_every_term(out: Path) -> None:
    content = make_content(read_results(out))
    by_table = dict(zip(
        [(p["table"], p["budget"]) for p in content.data["problems"]], content.data["varied"],
        strict=True,
    ))  # fmt: skip
    assert by_table["bare", 1000.0] is None
    held = by_table["held", 1000.0]
    assert held["terms"] == [
        {"noise": "mean", "examples": None}, {"noise": "mean", "examples": 10},
        {"noise": "bootstrap", "examples": None},
    ]  # fmt: skip
    assert held["all"] == 40
    varied = pl.read_parquet(out / "varied.parquet")
    for agent, columns in held["agents"].items():
        rows = varied.filter(
            (pl.col("agent") == content.agents[agent]) & (pl.col("budget") == 1000.0)
        )
        noisy = rows.filter(pl.col("noise") == "bootstrap").row(0, named=True)
        assert columns["test_score"][2] == pytest.approx(noisy["test_score"], rel=1e-3)
        assert columns["regret"][2] == pytest.approx(noisy["regret"], rel=1e-3)
    text = (out / "summary.md").read_text(encoding="utf-8")
    heading = "## With fewer examples and with noise: held (measured)"
    assert text.count(heading) == 2
    assert "| agent | all 40 examples | 10 examples | bootstrap noise |" in text


def test_varied_results_go_with_the_suite(tables: list[LookupTable], tmp_path: Path) -> None:
    more = {"vary_noise": ["bootstrap"], "tables": tables[:1]}
    first = run_bench(out=tmp_path, **SMALL, **more)
    assert (first.total, first.done, first.varied.height) == (12, 12, 4)
    again = run_bench(out=tmp_path, **SMALL, **more)
    assert again.resumed == 12
    run_bench(out=tmp_path, tables=tables[:1], **SMALL)
    assert not (tmp_path / "varied.parquet").exists()
    assert read_results(tmp_path).varied is None


def test_a_multiple_is_of_each_tables_own_budget(out: Path) -> None:
    results = read_results(out)
    assert sorted(results.runs["budget"].unique()) == [500.0, 1000.0]
    problems = make_content(results).data["problems"]
    assert [(p["budget"], p["asked"]) for p in problems] == 2 * [(500.0, "0.5x"), (1000.0, "1x")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"budgets": ["2y"]}, "'2y' is no budget: give a number, or a multiple"),
        ({"budgets": ["-1x"]}, "'-1x' is no budget"),
        ({"budgets": [10**400]}, "budgets.0: inf is not a finite number"),
        ({"budgets": [True]}, "True is no budget"),
        ({"budgets": ["1x", "1x"]}, "'1x' is given twice"),
        ({"vary_examples": [0]}, "greater than or equal to 1"),
        ({"vary_examples": [5, 5]}, "5 is given twice"),
    ],
)
def test_slips_of_the_pen(data: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_suite(data)


def test_an_unknown_noise_is_named() -> None:
    with pytest.raises(UnknownName, match="no noise named 'bootstap'"):
        make_suite({"vary_noise": ["bootstap"]})


def test_multiples_that_cannot_be(tables: list[LookupTable]) -> None:
    with pytest.raises(UsageError, match="two budgets of 'held' are 1000"):
        make_plan(make_suite({"budgets": ["1x", 1000], **SMALL}), tables)
    with pytest.raises(UsageError, match="which is in units"):
        make_plan(make_suite({"budgets": ["1x"], "cost": "tokens", **SMALL}), tables)


@pytest.mark.parametrize("name", ["default", "best-case", "examples-and-noise", "recorded"])
def test_a_suite_as_text_says_the_same(name: str) -> None:
    suite = load_suite(Path(name))
    assert make_suite(tomllib.loads(suite_text(suite.model_dump(mode="json")))) == suite


def test_a_suite_of_odd_values_as_text() -> None:
    suite = make_suite({
        "seeds": [3, 5], "budgets": ["0.5x", 200], "tables": ['a"b\\', "é\u2028\x7f"],
        "agents": [{"name": "tpe", "label": "<b>", "settings": {"a b": [1, 2.5], "c": True}}],
    })  # fmt: skip
    assert make_suite(tomllib.loads(suite_text(suite.model_dump(mode="json")))) == suite
    assert suite_text(Suite().model_dump(mode="json")) == "seeds = 20\n"


def test_a_table_counts_once_in_a_rank_however_many_budgets_it_has() -> None:
    rows = [
        ("a", "t", 1.0, 0.1), ("a", "t", 2.0, 0.5), ("b", "t", 1.0, 0.2), ("b", "t", 2.0, 0.2),
        ("a", "u", 1.0, 0.1), ("b", "u", 1.0, 0.2), ("c", "u", 1.0, 0.3), ("c", "t", 1.0, 0.0),
    ]  # fmt: skip
    names = (
        "success_rate", "within_rate", "regret", "infeasible_rate", "repeated_rate",
        "seconds_per_ask",
    )  # fmt: skip
    summary = pl.DataFrame(
        rows, schema=["agent", "table", "budget", "regret_area"], orient="row"
    ).with_columns(pl.lit("units").alias("cost_model"), *(pl.lit(0.0).alias(n) for n in names))
    found = area_by_table(summary, ["a", "b", "c"])
    # On t the mean of a is 0.3 and of b 0.2; c lacks a budget.
    np.testing.assert_allclose(found, [[0.3, 0.2, np.nan], [0.1, 0.2, 0.3]])
    ranked = overall(summary)
    assert dict(ranked.select("agent", "rank").iter_rows()) == {"a": 1.5, "b": 1.5, "c": 3.0}
