"""Trials: what was asked, what answered, what it cost, when it ended."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Choice, Configuration, LookupTable, Simulator
from simulator.errors import (
    DuplicateAsked,
    InvalidConfiguration,
    NotInTable,
    TableError,
    UnknownName,
    UsageError,
)
from tests.simulator.cases import Case, cases

parse = Configuration.parse
MATCHES = ("nearest", "exact", "paper", "interpolate")


def samples_score(configuration: Configuration) -> float | None:
    """a score from the samples, with a hole at large:5."""
    (choice,) = configuration.choices
    if choice.model == "large" and choice.samples == 5:
        return None
    return choice.samples / 10 + (0.05 if choice.model == "large" else 0.0)


@pytest.fixture
def table() -> LookupTable:
    return LookupTable.from_function(
        {"answer": [1, 5, 10]},
        samples_score,
        test=lambda c: 0.5,
        seconds=lambda c: 2.0 * c.choices[0].samples,
    )


def test_a_trial_keeps_what_was_asked_and_what_answered(table: LookupTable) -> None:
    simulator = Simulator(table, budget=100)
    trial = simulator.evaluate(parse("answer=small:4"), why="to see")
    assert trial.index == 0
    assert (str(trial.asked), str(trial.answered)) == ("answer=small:4", "answer=small:5")
    assert trial.feasible
    assert trial.score == 0.5
    assert trial.metrics == {"score": 0.5}
    assert trial.cost == 2 * ((128 + 4 * 64) / 128 - 1)  # of what was asked
    assert (trial.seconds, trial.clock) == (10.0, 10.0)
    assert (trial.repeated, trial.examples, trial.reason, trial.why) == (False, None, "", "to see")
    again = simulator.evaluate(parse("answer=small:1"))
    assert (again.index, again.clock) == (1, 12.0)
    assert simulator.evaluate(parse("answer=small:1"), start=100.0).clock == 102.0
    assert simulator.clock == 12.0


def test_over_the_budget_is_infeasible_and_takes_no_time(table: LookupTable) -> None:
    trial = Simulator(table, budget=67).evaluate(parse("answer=large:1"))
    assert not trial.feasible
    assert trial.answered is None
    assert trial.score is None
    assert trial.metrics == {}
    assert trial.seconds == 0.0
    assert trial.cost == 68.0
    assert trial.reason == "over the budget: costs 68 of 67 units"


def test_a_neighbour_over_the_budget_does_not_answer(table: LookupTable) -> None:
    """4 is nearer to 5, which costs more than the budget allows."""
    trial = Simulator(table, budget=4.5).evaluate(parse("answer=small:4"))
    assert str(trial.answered) == "answer=small:1"


def test_no_neighbour_within_the_budget() -> None:
    table = LookupTable.from_function(
        {"answer": [1, 5]}, lambda c: None if c.choices[0].samples == 1 else 0.5
    )
    trial = Simulator(table, budget=4.5).evaluate(parse("answer=small:2"))
    assert not trial.feasible
    assert trial.reason == "no grid point of these models within the budget"


def test_paper_matching_gives_up_on_far_neighbours() -> None:
    table = LookupTable.from_function({"answer": [1, 20]}, lambda c: c.choices[0].samples / 20)
    simulator = Simulator(table, 1e6, match="paper")
    assert simulator.evaluate(parse("answer=small:19")).score == 1.0
    assert simulator.evaluate(parse("answer=large:6")).score == 0.05
    trial = simulator.evaluate(parse("answer=large:7"))
    assert not trial.feasible
    assert trial.reason == "the nearest grid point is further than 5 away"


def test_ties_go_to_the_cheaper_or_under_paper_to_the_higher_score() -> None:
    table = LookupTable.from_function({"answer": [1, 3]}, lambda c: c.choices[0].samples / 4)
    asked = parse("answer=small:2")
    assert Simulator(table, 1e6).evaluate(asked).score == 0.25
    assert Simulator(table, 1e6, match="paper").evaluate(asked).score == 0.75


def test_the_cheaper_of_two_where_cost_falls_with_samples() -> None:
    """Seconds are measured: more samples may take less time."""
    table = LookupTable.from_function(
        {"answer": [1, 3]}, lambda c: 0.1, seconds=lambda c: 10.0 - c.choices[0].samples
    )
    simulator = Simulator(table, 100, cost="seconds")
    for _ in range(2):
        assert str(simulator.evaluate(parse("answer=small:2")).answered) == "answer=small:3"
    assert str(simulator.evaluate(parse("answer=large:2")).answered) == "answer=large:3"


@pytest.mark.parametrize(
    ("match", "text", "nearest"),
    [
        ("exact", "answer=small:4", "nearest: answer=small:1 and answer=small:5"),
        ("exact", "answer=large:7", "nearest: answer=large:10"),
        ("exact", "answer=large:5", "nearest: answer=large:1"),
        ("interpolate", "answer=large:4", "nearest: answer=large:1"),
    ],
)
def test_not_in_the_table_names_what_is(
    table: LookupTable, match: str, text: str, nearest: str
) -> None:
    simulator = Simulator(table, 1e6, match=match)
    asked = parse(text)
    with pytest.raises(NotInTable, match=re.escape(nearest)) as caught:
        simulator.evaluate(asked)
    assert str(caught.value).startswith(f"{text} is not in the table 'toy'; ")
    with pytest.raises(NotInTable, match=re.escape(f"configuration 1: {text} is not")):
        simulator.evaluate_many(np.array([[[0, 1]], table.space.indices(asked)]))
    with pytest.raises(NotInTable):
        simulator.score(asked)
    assert simulator.evaluate(parse("answer=small:1")).index == 0  # what raised was no trial


def test_interpolation_outside_the_grid_raises() -> None:
    table = LookupTable.from_function({"answer": [2, 8]}, lambda c: c.choices[0].samples / 8)
    simulator = Simulator(table, 1e6, match="interpolate")
    trial = simulator.evaluate(parse("answer=small:4"))  # half way from 2 to 8 in log(samples)
    assert trial.score == pytest.approx(0.625)
    assert trial.answered == trial.asked
    with pytest.raises(NotInTable, match="nearest: answer=small:2"):
        simulator.evaluate(parse("answer=small:1"))


def test_interpolated_seconds_and_metrics() -> None:
    table = LookupTable.from_function(
        {"answer": [2, 8]}, lambda c: 0.5, seconds=lambda c: c.choices[0].samples * 10.0
    )
    trial = Simulator(table, 1e6, match="interpolate").evaluate(parse("answer=small:4"))
    assert trial.seconds == pytest.approx(50.0)
    assert trial.metrics == {"score": pytest.approx(0.5)}


@pytest.mark.parametrize("match", MATCHES)
@given(case=cases(n_asks=20, invalid=0.0), share=st.floats(0.0, 1.0))
def test_one_and_many_answer_alike(match: str, case: Case, share: float) -> None:
    table = case.table()
    low = sum(stage.samples[0] * stage.generated_tokens + stage.prompt_tokens
              for stage in case.task.stages)  # fmt: skip
    high = sum(stage.samples[-1] * stage.generated_tokens + stage.prompt_tokens
               for stage in case.task.stages)  # fmt: skip
    simulator = Simulator(table, low + share * (high - low), cost="tokens", match=match)
    answered, scores = [], []
    for row in case.asked:
        asked = table.space.from_indices(row)
        try:
            trial = simulator.evaluate(asked)
        except NotInTable:
            with pytest.raises(NotInTable, match=r"^configuration 0: "):
                simulator.evaluate_many(row[None])
            continue
        answered.append(row)
        scores.append(np.nan if trial.score is None else trial.score)
        assert simulator.score(asked) == trial.score
        assert (
            simulator.evaluate(asked).score == trial.score
        )  # by the quick way, where there is one
        if trial.feasible and match != "interpolate":
            assert simulator.cost(trial.answered) <= simulator.budget * (1 + 1e-9)
    if answered:
        for dtype in (np.int64, np.int32, np.int16, np.uint16, np.uint64):
            rows = np.array(answered, dtype=dtype)
            np.testing.assert_array_equal(simulator.evaluate_many(rows), scores)


def test_many_in_threads() -> None:
    table = LookupTable.from_function(
        {"a": list(range(1, 30, 3)), "b": [1, 5, 50]}, lambda c: c.choices[0].samples / 50
    )
    rng = np.random.default_rng(0)
    n = 250_000
    asked = np.stack(
        [
            np.stack([rng.integers(0, 2, n), rng.integers(1, top + 1, n)], axis=1)
            for top in (28, 50)
        ],
        axis=1,
    )
    one = Simulator(table, 500).evaluate_many(asked, threads=1)
    assert np.isnan(one).any()
    for threads in (2, 5):
        np.testing.assert_array_equal(
            Simulator(table, 500).evaluate_many(asked, threads=threads), one
        )
    asked[[70_000, 240_000], 1, 1] = 51
    with pytest.raises(InvalidConfiguration, match=r"^configuration 70000: samples of stage 'b'"):
        Simulator(table, 500).evaluate_many(asked, threads=5)


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, 1], "configuration 1: model index of stage 'answer' must be from 0 to 1, not 2"),
        ([-1, 1], "must be from 0 to 1, not -1"),
        ([0, 0], "configuration 1: samples of stage 'answer' must be from 1 to 10, not 0"),
        ([0, 11], "must be from 1 to 10, not 11"),
        ([0, 16], "must be from 1 to 10, not 16"),
        ([2**32, 1], "must be from 0 to 1, not 4294967296"),
        ([0, 2**32 + 1], "must be from 1 to 10, not 4294967297"),
        ([-(2**63), 1], "must be from 0 to 1, not -9223372036854775808"),
    ],
)
def test_rows_that_the_task_does_not_have(
    table: LookupTable, match: str, row: list[int], message: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=re.escape(message)):
        Simulator(table, 1e6, match=match).evaluate_many(np.array([[[0, 1]], [row]]))


def test_no_rows(table: LookupTable) -> None:
    assert Simulator(table, 100).evaluate_many(np.empty((0, 1, 2), dtype=int)).shape == (0,)


def test_more_asks_than_can_be_remembered(
    table: LookupTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = np.array([[[0, 4]], [[1, 9]], [[1, 3]]])
    want = Simulator(table, 1e6).evaluate_many(asked)
    monkeypatch.setattr("simulator.lookup._MEMO_LIMIT", 3)
    np.testing.assert_array_equal(Simulator(table, 1e6).evaluate_many(asked), want)
    with pytest.raises(NotInTable, match=r"^configuration 1: "):
        Simulator(table, 1e6, match="exact").evaluate_many(np.array([[[0, 1]], [[0, 2]]]))


def test_samples_of_another_type_are_no_repeat_of_a_number(table: LookupTable) -> None:
    """True and 1.0 equal 1, also as keys of a dictionary."""
    simulator = Simulator(table, 100)
    simulator.evaluate(parse("answer=small:1"))
    for samples in (True, 1.0):
        with pytest.raises(InvalidConfiguration):
            simulator.evaluate(Configuration((Choice("answer", "small", samples),)))


# Duplicates ---------------------------------------------------------------------------------------


def test_duplicates_are_charged(table: LookupTable) -> None:
    simulator = Simulator(table, 100)
    first, second = (simulator.evaluate(parse("answer=small:5")) for _ in range(2))
    assert (first.repeated, second.repeated) == (False, True)
    assert (second.score, second.seconds, second.clock) == (first.score, 10.0, 20.0)


def test_duplicates_are_free(table: LookupTable) -> None:
    simulator = Simulator(table, 100, duplicates="free")
    first, second = (simulator.evaluate(parse("answer=small:5")) for _ in range(2))
    assert (second.repeated, second.seconds, second.clock) == (True, 0.0, first.clock)
    assert second.index == 1


def test_duplicates_are_forbidden(table: LookupTable) -> None:
    simulator = Simulator(table, 100, duplicates="forbid")
    simulator.evaluate(parse("answer=small:4"))
    simulator.evaluate(parse("answer=small:5"))  # another ask with the same answer
    with pytest.raises(DuplicateAsked, match="answer=small:5 was asked before"):
        simulator.evaluate(parse("answer=small:5"))


def test_stages_in_another_order_are_a_repeat() -> None:
    table = LookupTable.from_function({"a": [1], "b": [1, 2]}, lambda c: 0.5)
    simulator = Simulator(table, 1e6)
    simulator.evaluate(parse("a=small:1,b=large:2"))
    trial = simulator.evaluate(parse("b=large:2,a=small:1"))
    assert trial.repeated
    assert str(trial.asked) == "a=small:1,b=large:2"


def test_restarted(table: LookupTable) -> None:
    simulator = Simulator(table, 100)
    simulator.evaluate(parse("answer=small:5"))
    other = simulator.restarted(7)
    trial = other.evaluate(parse("answer=small:5"))
    assert (trial.index, trial.repeated, trial.clock, other.seed) == (0, False, 10.0, 7)
    assert simulator.n_trials == 1


# The best of a table ------------------------------------------------------------------------------


def test_optimum(table: LookupTable) -> None:
    assert str(Simulator(table, 1e6).optimum.configuration) == "answer=large:10"
    best = Simulator(table, 100).optimum
    assert (str(best.configuration), best.score, best.cost) == ("answer=small:10", 1.0, 10.0)
    assert Simulator(table, 100).near_optimal() == 1
    assert Simulator(table, 100).near_optimal(share=0.5) == 2
    assert Simulator(table, 100, split="test").optimum.score == 0.5


def test_ties_of_the_optimum_go_to_the_cheapest() -> None:
    table = LookupTable.from_function({"a": [1, 2]}, lambda c: 0.5)
    assert str(Simulator(table, 1e6).optimum.configuration) == "a=small:1"


@given(case=cases(invalid=0.0))
def test_feasible_cells_are_those_that_answer_themselves(case: Case) -> None:
    table = case.table()
    simulator = Simulator(table, 1e9)
    there = np.flatnonzero(~np.isnan(case.scores))
    np.testing.assert_array_equal(simulator.feasible_cells, there)
    scores = simulator.evaluate_many(table.space.asked_of_cells(there))
    np.testing.assert_array_equal(scores, case.scores[there])
    if len(there):
        assert simulator.optimum.score == np.nanmax(case.scores)
        assert simulator.near_optimal(0.0) == (scores == scores.max()).sum()


def test_holes_everywhere() -> None:
    table = LookupTable.from_function({"a": [1, 5]}, lambda c: None)
    simulator = Simulator(table, 100)
    with pytest.raises(TableError, match="holes in every cell within the budget of 100 units"):
        _ = simulator.optimum
    trial = simulator.evaluate(parse("a=small:1"))
    assert (trial.feasible, trial.score) == (False, None)
    with pytest.raises(NotInTable, match=r"a=small:1 is not in the table 'toy'$"):
        Simulator(table, 100, match="exact").evaluate(parse("a=small:1"))


# What cannot be asked for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "value", "hint"),
    [
        ("match", "neares", "did you mean nearest"),
        ("noise", "gauss", "there are bootstrap, mean"),
        ("duplicates", "forbidden", "did you mean forbid"),
        ("split", "dev", "there are test, train"),
        ("cost", "unit", "did you mean units"),
    ],
)
def test_unknown_words(table: LookupTable, keyword: str, value: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=hint):
        Simulator(table, 100, **{keyword: value})


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, True])
def test_seeds(table: LookupTable, seed: object) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number from 0, not"):
        Simulator(table, 100, seed=seed)


def test_a_missing_split() -> None:
    task = LookupTable.from_function({"a": [1]}, lambda c: 0.5).task
    table = LookupTable.from_arrays(task, {"train": {"score": [0.5, 0.6]}})
    with pytest.raises(TableError, match="has no split 'test'; it has train"):
        Simulator(table, 100, split="test")
