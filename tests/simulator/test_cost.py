"""Cost models against figures worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import COST_MODELS, Configuration, LookupTable, Simulator, Task, units
from simulator.cost import additive_effects, cost_model
from simulator.errors import BudgetTooSmall, TableError, UnknownName, UsageError
from simulator.table import toy_task


@pytest.mark.parametrize(
    ("parameters", "prompt", "generated", "samples", "want"),
    [
        (3e9, 128, 64, 1, 1.0),  # the unit itself
        (11e9, 256, 128, 1, 20.0),
        (3e9, 128, 64, 4, 4.0),
        (70e9, 128, 64, 1, 68.0),
        (72e9, 2048, 128, 1, 814.0),
        (3e9, 64, 64, 1, 0.0),
    ],
)
def test_budget_units(
    parameters: float, prompt: int, generated: int, samples: int, want: float
) -> None:
    assert units(parameters, prompt, generated, samples) == pytest.approx(want, rel=1e-12)


def test_units_are_clipped_at_zero() -> None:
    assert units(1e9, 64, 32, 1) == 0.0
    assert units(1e9, 64, 32, 1, clip=False) == pytest.approx(-1.5)
    np.testing.assert_allclose(units(1e9, 64, 32, np.array([1.0, 22.0])), [0.0, 2.0])


@pytest.fixture
def table() -> LookupTable:
    task = Task.from_mapping(
        {
            "name": "priced", "kind": "modelled", "metric": "score", "metrics": ["score"],
            "default_budget": 1000,
            "stages": [
                {
                    "name": "a", "prompt_tokens": 100, "generated_tokens": 10, "samples": [1, 4],
                    "models": [
                        {
                            "name": "m", "parameters": 5e9, "dollars_per_million_prompt": 2.0,
                            "dollars_per_million_generated": 8.0,
                        },
                        {"name": "n", "parameters": 20e9},
                    ],
                },
                {
                    "name": "b", "prompt_tokens": 7, "generated_tokens": 3, "samples": [1, 2],
                    "models": [{"name": "m", "parameters": 1e9}],
                },
            ],
        }
    )  # fmt: skip
    return LookupTable.from_function(
        task, lambda c: 0.5, seconds=lambda c: 10.0 * c.choices[0].samples + c.choices[1].samples
    )


@pytest.mark.parametrize(
    ("cost", "text", "want"),
    [
        ("tokens", "a=m:4,b=m:2", 100 + 40 + 7 + 6),
        ("flops", "a=m:4,b=m:2", 2 * 5e9 * 140 + 2 * 1e9 * 13),
        ("dollars", "a=m:4,b=m:2", (200 + 8 * 40 + 0.01 * 7 + 0.03 * 6) / 1e6),
        ("dollars", "a=n:1,b=m:1", (0.2 * 100 + 0.6 * 10 + 0.01 * 7 + 0.03 * 3) / 1e6),
        ("seconds", "a=m:4,b=m:2", 42.0),
        ("seconds", "a=m:3,b=m:2", 32.0),  # between grid points
        ("units", "a=n:1,b=m:1", 2 * (20 / 3 * 110 / 128 - 1)),
    ],
)
def test_costs(table: LookupTable, cost: str, text: str, want: float) -> None:
    simulator = Simulator(table, 1e30, cost=cost)
    configuration = Configuration.parse(text)
    assert simulator.cost(configuration) == pytest.approx(want, rel=1e-9)
    assert simulator.evaluate(configuration).cost == pytest.approx(want, rel=1e-9)
    cell_costs = simulator.cell_costs
    for cell in range(table.space.n_cells):
        on_grid = table.space.configuration(cell)
        assert cell_costs[cell] == pytest.approx(simulator.cost(on_grid), rel=1e-12)


@given(seed=st.integers(0, 10_000), holes=st.sampled_from([0.0, 0.3]))
def test_seconds_that_add_up_are_taken_apart(seed: int, holes: float) -> None:
    rng = np.random.default_rng(seed)
    task = toy_task({"a": [1, 2, 5], "b": [1, 10], "c": [3]})
    parts = [rng.random((2, n)) * 100 for n in (3, 2, 1)]
    total = (parts[0].ravel()[:, None, None] + parts[1].ravel()[:, None] + parts[2].ravel()).ravel()
    scores = np.where(rng.random(total.size) < holes, np.nan, 0.5)
    scores[0] = 0.5
    table = LookupTable.from_arrays(task, {"train": {"score": scores}}, seconds={"train": total})
    effects = additive_effects(table, table.split("train").seconds)
    fitted = (
        effects[0].ravel()[:, None, None] + effects[1].ravel()[:, None] + effects[2].ravel()
    ).ravel()
    there = ~np.isnan(scores)
    np.testing.assert_allclose(fitted[there], total[there], rtol=1e-6)
    for effect in effects:
        assert (effect[~np.isnan(effect)] >= 0).all()


def test_seconds_of_a_model_that_was_never_run_are_no_budget() -> None:
    table = LookupTable.from_function(
        {"a": [1, 2]}, lambda c: None if c.choices[0].model == "large" else 0.5
    )
    simulator = Simulator(table, 10, cost="seconds")
    trial = simulator.evaluate(Configuration.parse("a=large:1"))
    assert not trial.feasible
    assert trial.cost == np.inf


def test_seconds_without_a_cell() -> None:
    table = LookupTable.from_function({"a": [1, 2]}, lambda c: None)
    with pytest.raises(TableError, match="no cell has seconds"):
        Simulator(table, 10, cost="seconds")


def test_unknown_cost_models() -> None:
    with pytest.raises(UnknownName, match="did you mean tokens"):
        cost_model("token")
    assert set(COST_MODELS) == {"units", "flops", "tokens", "dollars", "seconds"}


def test_a_budget_of_another_cost_model_must_be_given(table: LookupTable) -> None:
    message = "a budget in tokens must be given: configurations of 'priced' cost from 120 to 153"
    with pytest.raises(UsageError, match=re.escape(message)):
        Simulator(table, cost="tokens")


def test_a_budget_under_the_cheapest(table: LookupTable) -> None:
    with pytest.raises(BudgetTooSmall, match=r"budget 5 is under .* which costs 120 tokens"):
        Simulator(table, 5, cost="tokens")
    assert Simulator(table, 120, cost="tokens").optimum.cost == 120


@pytest.mark.parametrize("budget", [float("nan"), float("inf"), -float("inf"), "100", True])
def test_a_budget_that_is_no_number(table: LookupTable, budget: object) -> None:
    with pytest.raises(UsageError, match="budget must be a"):
        Simulator(table, budget)
