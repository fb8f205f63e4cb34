"""Per-example outcomes: resampling them, and looking at fewer of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from simulator import Configuration, LookupTable, Simulator, Task
from simulator.errors import TableError, UsageError

parse = Configuration.parse
N = 64


@pytest.fixture(params=["bits", "codes", "floats"])
def table(request: pytest.FixtureRequest) -> LookupTable:
    """Six cells, the third a hole, with outcomes of each coding."""
    rng = np.random.default_rng(3)
    task = Task.from_mapping(
        {
            "name": "noisy", "kind": "modelled", "metric": "score", "metrics": ["score", "other"],
            "default_budget": 1000,
            "stages": [
                {
                    "name": "a", "prompt_tokens": 128, "generated_tokens": 64, "samples": [1, 2, 5],
                    "models": [{"name": "s", "parameters": 3e9}, {"name": "l", "parameters": 8e9}],
                }
            ],
        }
    )  # fmt: skip
    outcomes = {
        "bits": rng.integers(0, 2, (6, N)).astype(float),
        "codes": rng.choice([0.0, 0.5, 1.0], (6, N)),
        "floats": rng.random((6, N * 8)),
    }[request.param]
    scores = outcomes.mean(axis=1)
    scores[2] = np.nan
    columns = {"score": scores, "other": scores * 0 + 0.25}
    return LookupTable.from_arrays(
        task, {"train": columns, "test": columns}, seconds=float(outcomes.shape[1]),
        outcomes={"train": {"score": outcomes}},
    )  # fmt: skip


def test_bootstrap_scores_scatter_as_they_should(table: LookupTable) -> None:
    simulator = Simulator(table, 1000, noise="bootstrap", seed=1)
    asked = parse("a=l:2")
    scores = np.array([simulator.evaluate(asked).score for _ in range(600)])
    outcomes = table.split("train").outcomes
    values = outcomes.metrics["score"].decode(outcomes.rows(np.array([4])), outcomes.n_examples)[0]
    error = values.std() / np.sqrt(len(values))
    assert abs(scores.mean() - values.mean()) < 4 * error / np.sqrt(600)
    assert 0.88 < scores.std() / error < 1.12
    assert simulator.score(asked) == pytest.approx(values.mean())


def test_bootstrap_is_the_seeds(table: LookupTable) -> None:
    def run(seed: int) -> list[float]:
        simulator = Simulator(table, 1000, noise="bootstrap", seed=seed)
        return [simulator.evaluate(parse(f"a=s:{n}")).score for n in (1, 2, 1, 5)]

    first = run(5)
    assert run(5) == first
    assert run(6) != first
    assert first[0] != first[2]  # a repeat is a draw of its own
    simulator = Simulator(table, 1000, noise="bootstrap", seed=6)
    simulator.evaluate(parse("a=l:1"))
    assert simulator.restarted(5).evaluate(parse("a=s:1")).score == first[0]


def test_bootstrap_leaves_out_metrics_without_outcomes(table: LookupTable) -> None:
    trial = Simulator(table, 1000, noise="bootstrap").evaluate(parse("a=s:1"))
    assert trial.metrics == {"score": trial.score}


def test_fewer_examples(table: LookupTable) -> None:
    outcomes = table.split("train").outcomes
    n = outcomes.n_examples
    simulator = Simulator(table, 1000, seed=2)
    trial = simulator.evaluate(parse("a=s:1"), examples=16)
    assert (trial.examples, trial.seconds) == (16, 16.0)
    values = outcomes.metrics["score"].decode(outcomes.rows(np.array([0])), n)[0]
    # The same examples for every configuration: the first of one order.
    order = simulator._example_order
    assert sorted(order.tolist()) == list(range(n))
    assert trial.score == pytest.approx(values[order[:16]].mean())
    other = outcomes.metrics["score"].decode(outcomes.rows(np.array([5])), n)[0]
    assert simulator.evaluate(parse("a=l:5"), examples=16).score == pytest.approx(
        other[order[:16]].mean()
    )


def test_all_examples_are_the_whole_split(table: LookupTable) -> None:
    n = table.split("train").outcomes.n_examples
    simulator = Simulator(table, 1000)
    trial = simulator.evaluate(parse("a=s:1"), examples=n)
    assert trial.examples is None
    assert trial.score == table.scores()[0]
    assert simulator.evaluate(parse("a=s:1")).repeated


def test_another_number_of_examples_is_another_ask(table: LookupTable) -> None:
    simulator = Simulator(table, 1000, duplicates="forbid")
    for examples in (8, 16, None):
        assert not simulator.evaluate(parse("a=s:1"), examples=examples).repeated


@pytest.mark.parametrize("examples", [0, -1, 1.5, True, "8", 10_000])
def test_a_number_of_examples_that_is_none(table: LookupTable, examples: object) -> None:
    simulator = Simulator(table, 1000)
    with pytest.raises(UsageError, match="examples must be a whole number from 1 to"):
        simulator.evaluate(parse("a=s:1"), examples=examples)
    assert simulator.n_trials == 0


def test_without_outcomes(table: LookupTable) -> None:
    with pytest.raises(UsageError, match="no per-example outcomes of 'score' for 'test'"):
        Simulator(table, 1000, noise="bootstrap", split="test")
    with pytest.raises(TableError, match="cannot be scored on fewer examples"):
        Simulator(table, 1000, split="test").evaluate(parse("a=s:1"), examples=3)


def test_interpolation_takes_no_noise(table: LookupTable) -> None:
    with pytest.raises(UsageError, match="use another of the two"):
        Simulator(table, 1000, noise="bootstrap", match="interpolate")
    with pytest.raises(UsageError, match="no examples to choose from"):
        Simulator(table, 1000, match="interpolate").evaluate(parse("a=s:1"), examples=3)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (
            {"score": np.zeros((5, 3))},
            "must have the shape (cells, examples), (6, ...), not (5, 3)",
        ),
        ({"score": np.zeros(6)}, "not (6,)"),
        ({"score": np.full((6, 3), np.nan)}, "must be finite"),
        ({"score": np.zeros((6, 3)), "other": np.zeros((6, 4))}, "has 4 examples, others 3"),
        ({}, "name no metric"),
    ],
)
def test_outcomes_of_another_shape(
    table: LookupTable, outcomes: dict[str, np.ndarray], message: str
) -> None:
    column = np.full(6, 0.5)
    with pytest.raises(TableError, match=re.escape(message)):
        LookupTable.from_arrays(
            table.task,
            {"train": {"score": column, "other": column}},
            outcomes={"train": outcomes},
        )
