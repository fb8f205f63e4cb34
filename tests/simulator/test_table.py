"""Tables in memory: from functions, from arrays, and large ones."""

from __future__ import annotations

import re

import numba
import numpy as np
import pytest

from simulator import Configuration, LookupTable, Simulator, Task
from simulator.errors import TableError, UnknownName
from simulator.table import toy_task


def test_from_function() -> None:
    table = LookupTable.from_function(
        {"a": [1, 2], "b": [3]},
        lambda c: None if c.choices[0].samples == 2 else c.choices[1].samples / 10,
        test=lambda c: 0.9,
        seconds=lambda c: 60.0,
        examples=7,
    )
    assert table.name == "toy"
    assert table.kind == "modelled"
    assert np.isnan(table.scores()).tolist() == [False, False, True, True] * 2
    assert table.scores()[0] == 0.3
    assert table.scores("test").tolist() == [0.9] * 8
    train = table.split("train")
    np.testing.assert_array_equal(np.isnan(train.seconds), np.isnan(table.scores()))
    assert train.examples.tolist() == [7, 7, 0, 0] * 2
    assert table.present().sum() == 4


def test_a_function_of_several_metrics() -> None:
    task = Task.from_mapping(
        toy_task({"a": [1]}).model_dump() | {"metrics": ["score", "recall"], "metric": "recall"}
    )
    table = LookupTable.from_function(task, lambda c: {"score": 0.1, "recall": 0.2})
    assert table.scores().tolist() == [0.2, 0.2]
    with pytest.raises(TableError, match="gave no 'recall' for a=small:1"):
        LookupTable.from_function(task, lambda c: {"score": 0.1})


@pytest.mark.parametrize(
    ("metrics", "more", "message"),
    [
        ({"dev": {"score": [1, 2]}}, {}, "no split named 'dev'"),
        ({"train": {}}, {}, "split 'train' lacks the metrics score"),
        ({"train": {"score": [1]}}, {}, "train.score must have one value a cell, (2,), not (1,)"),
        ({"train": {"score": [1, np.inf]}}, {}, "train.score holds an infinite value at cell 1"),
        (
            {"train": {"score": [1, 2]}}, {"seconds": {"train": [1, -1]}},
            "train.seconds must be 0 or more where there is a score, not -1.0 at a=large:1",
        ),
        ({"train": {"score": [1, 2]}}, {"seconds": {"train": [1, np.nan]}}, "not nan at a=large:1"),
        ({"train": {"score": [1, 2]}}, {"seconds": {"test": [1, 1]}}, "'train' has no seconds"),
        ({"train": {"score": [1, 2]}}, {"examples": {}}, "split 'train' has no examples"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_table(
    metrics: dict[str, object], more: dict[str, object], message: str
) -> None:
    with pytest.raises((TableError, UnknownName), match=re.escape(message)):
        LookupTable.from_arrays(toy_task({"a": [1]}), metrics, **more)


def test_toy_tasks_are_checked() -> None:
    with pytest.raises(TableError, match="sample counts must ascend"):
        LookupTable.from_function({"a": [5, 1]}, lambda c: 0.5)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="walks every cell, half a minute uncompiled")
def test_eight_million_cells() -> None:
    """Three stages, two models and 100 sample counts each: nothing here may be small integers."""
    task = toy_task({name: range(1, 101) for name in "abc"})
    n = 200**3
    scores = np.arange(n) / n
    scores[-1] = np.nan
    table = LookupTable.from_arrays(task, {"train": {"score": scores}})
    assert table.space.n_cells == n
    simulator = Simulator(table, 1e9)
    last = Configuration.parse("a=large:100,b=large:100,c=large:100")
    trial = simulator.evaluate(last)
    # One sample less in any stage is as near and costs as much: the lowest index.
    assert str(trial.answered) == "a=large:99,b=large:100,c=large:100"
    assert trial.score == scores[n - 1 - 200**2]
    assert simulator.optimum.cell == n - 2
    rng = np.random.default_rng(0)
    cells = rng.integers(0, n - 1, 2000)
    asked = table.space.asked_of_cells(cells)
    np.testing.assert_array_equal(simulator.evaluate_many(asked), scores[cells])
    bound = Simulator(table, 5000)
    one = [bound.score(table.space.from_indices(row)) for row in asked[:50]]
    np.testing.assert_array_equal(
        bound.evaluate_many(asked[:50]), [np.nan if s is None else s for s in one]
    )


def test_a_million_samples_in_one_stage() -> None:
    """A long grid takes memory by its length, not by its square."""
    task = toy_task({"a": [1, *range(500, 1_000_001, 500)]})
    scores = np.linspace(0, 1, 2 * 2001)
    simulator = Simulator(LookupTable.from_arrays(task, {"train": {"score": scores}}), 1e12)
    trial = simulator.evaluate(Configuration.parse("a=large:999749"))
    assert str(trial.answered) == "a=large:999500"
    assert simulator.evaluate_many(np.array([[[1, 999_751]]]))[0] == scores[-1]
