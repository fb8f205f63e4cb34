"""Measures against hand-made data whose answers are worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import measures

NAN = float("nan")


def test_success_rate_counts_censored_runs_as_missed() -> None:
    assert measures.success_rate([3, NAN, 10, NAN]) == 0.5
    assert measures.success_rate([NAN]) == 0.0
    assert math.isnan(measures.success_rate([]))


@pytest.mark.parametrize(
    ("trials_to", "expected"),
    [
        ([3, 1, 2], 2.0),
        ([4, 1, 2, 3], 2.5),
        ([5, NAN, 1], 5.0),
        ([5, 1, NAN, NAN], math.inf),
        ([1, 2, 3, NAN], 2.5),
        ([NAN, NAN], math.inf),
    ],
)
def test_median_with_censored_runs_last(trials_to: list[float], expected: float) -> None:
    assert measures.median_trials(trials_to) == expected


def test_expected_running_time_of_censored_runs() -> None:
    # 10 and 20 trials to the optimum, and two runs of 50 without: (10 + 20 + 50 + 50) / 2.
    assert measures.expected_running_time([10, 20, NAN, NAN], [50, 50, 50, 50]) == 65.0
    # A run that stopped by itself after 7 trials spent 7.
    assert measures.expected_running_time([10, NAN], [50, 7]) == 17.0
    assert measures.expected_running_time([NAN, NAN], [50, 50]) == math.inf
    assert measures.expected_running_time([1, 3], [50, 50]) == 2.0


@given(st.lists(st.one_of(st.none(), st.integers(1, 50)), min_size=1, max_size=30))
def test_expected_running_time_is_the_mean_plus_the_price_of_failures(
    runs: list[int | None],
) -> None:
    """ERT = mean of successes + (1 - p) / p * mean of what failures spent (COCO's other form)."""
    to = np.array([NAN if run is None else float(run) for run in runs])
    found = measures.expected_running_time(to, np.full(len(to), 50.0))
    p = measures.success_rate(to)
    if p == 0:
        assert found == math.inf
    else:
        assert found == pytest.approx(np.nanmean(to) + (1 - p) / p * 50)


def test_first_within() -> None:
    best = [[NAN, 0.5, 0.5, 0.9], [NAN, NAN, 0.1, 0.2], [0.8, 0.8, 0.8, 0.8]]
    found = measures.first_within(best, 0.8)
    assert found[[0, 2]].tolist() == [4, 1]
    assert math.isnan(found[1])


def test_best_so_far_keeps_nan_until_the_first_feasible_trial() -> None:
    found = measures.best_so_far([[NAN, 0.2, 0.1, NAN, 0.6]])
    np.testing.assert_array_equal(found, [[NAN, 0.2, 0.2, 0.2, 0.6]])


@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=1, max_size=40))
def test_best_so_far_never_decreases(scores: list[float | None]) -> None:
    row = [NAN if score is None else score for score in scores]
    best = measures.best_so_far([row])[0]
    known = best[~np.isnan(best)]
    assert (np.diff(known) >= 0).all()
    if len(known):
        assert known[-1] == np.nanmax(row)


def test_normalised_regret_and_area() -> None:
    regret = measures.normalised_regret([[NAN, 0.2, 0.6, 1.0]], 1.0, 0.2)
    np.testing.assert_allclose(regret, [[1.0, 1.0, 0.5, 0.0]])
    np.testing.assert_allclose(measures.area(regret), [0.625])
    # A table of equal scores leaves nothing to regret.
    assert measures.normalised_regret([[0.4]], 0.4, 0.4).tolist() == [[0.0]]


def test_padded_holds_the_last_value() -> None:
    found = measures.padded([[1.0, 2.0], [3.0], []], 3)
    np.testing.assert_array_equal(found, [[1, 2, 2], [3, 3, 3], [NAN, NAN, NAN]])


def test_on_time_axis_reads_steps() -> None:
    clocks, values = [[1.0, 3.0, 6.0], [2.0, 2.0, 4.0]], [[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]]
    found = measures.on_time_axis(clocks, values, [0.5, 1.0, 2.9, 3.0, 100.0])
    np.testing.assert_array_equal(found[0], [NAN, 0.1, 0.1, 0.2, 0.3])
    # Two trials that end at the same time: the later one holds.
    np.testing.assert_array_equal(found[1], [NAN, NAN, 0.6, 0.6, 0.7])


def test_bootstrap_interval_of_known_distributions() -> None:
    rng = np.random.default_rng(1)
    counts = measures.resamples(100, rng, 20_000)
    assert (counts.sum(axis=1) == 100).all()
    # 50 zeros and 50 ones: the mean of a resample is Binomial(100, 1/2) / 100, whose 5 % and 95 %
    # quantiles are 0.42 and 0.58.
    low, high = measures.bootstrap_mean([0.0] * 50 + [1.0] * 50, counts)
    assert (low, high) == pytest.approx((0.42, 0.58), abs=0.011)
    assert measures.bootstrap_mean([0.3] * 100, counts) == pytest.approx((0.3, 0.3))


def test_bootstrap_is_seeded_and_agrees_with_a_loop() -> None:
    values = np.array([0.1, 0.5, 0.4, 0.9])
    counts = measures.resamples(4, np.random.default_rng(5), 300)
    again = measures.resamples(4, np.random.default_rng(5), 300)
    np.testing.assert_array_equal(counts, again)
    means = [np.repeat(values, row.astype(int)).mean() for row in counts]
    assert measures.bootstrap_mean(values, counts) == pytest.approx(
        (np.quantile(means, 0.05), np.quantile(means, 0.95))
    )


def test_bootstrap_curve_is_the_pointwise_interval() -> None:
    curves = np.array([[0.1, 0.2], [0.3, 0.8], [0.2, 0.5]])
    counts = measures.resamples(3, np.random.default_rng(0), 500)
    low, high = measures.bootstrap_curve(curves, counts)
    for point in range(2):
        expected = measures.bootstrap_mean(curves[:, point], counts)
        assert (low[point], high[point]) == pytest.approx(expected)


def test_bootstrap_over_examples_is_wider_than_over_seeds_alone() -> None:
    rng = np.random.default_rng(3)
    outcomes = (rng.random((2, 50)) < 0.6).astype(float)

    def weighted(weights: np.ndarray) -> np.ndarray:
        return outcomes @ weights.T / weights.sum(axis=1)

    rows = [0] * 10
    counts = measures.resamples(10, rng, 8000)
    mean = outcomes[0].mean()
    seeds_only = measures.bootstrap_mean([mean] * 10, counts)
    assert seeds_only == pytest.approx((mean, mean))
    low, high = measures.bootstrap_runs_and_examples(rows, counts, weighted, 50, rng)
    # All runs chose one configuration: what is left is the error of 50 examples.
    error = 1.645 * math.sqrt(mean * (1 - mean) / 50)
    assert (low, high) == pytest.approx((mean - error, mean + error), abs=0.025)


def test_average_ranks_share_ties_and_put_missing_last() -> None:
    found = measures.average_ranks([[0.1, 0.2, 0.3], [0.5, 0.5, 0.9], [NAN, 0.1, 0.2]])
    np.testing.assert_allclose(found, [(1 + 1.5 + 3) / 3, (2 + 1.5 + 1) / 3, (3 + 3 + 2) / 3])


def test_many_seeds_are_resampled_in_blocks_the_same_at_every_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measures, "HELD", 2**20)  # in a bench eight times as many
    n = measures.HELD // 1000
    many = measures.Resamples(n, np.random.default_rng(7), 3000)
    blocks = list(many.blocks())
    assert [block.shape for block in blocks] == [(1000, n)] * 3
    assert all((block.sum(axis=1) == n).all() for block in blocks)
    assert (blocks[0][0] != blocks[1][0]).any()
    whole = np.concatenate([block[:, :5] for block in blocks])
    again = np.concatenate([block[:, :5] for block in many.blocks(700)])
    np.testing.assert_array_equal(whole, again)
    rng = np.random.default_rng(8)
    values = (rng.random(n) < 0.3).astype(float)
    low, high = measures.bootstrap_mean(values, many)
    error = 1.645 * math.sqrt(0.3 * 0.7 / n)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.001)
    # On examples that all runs share, what is left is the error of the examples.
    outcomes = (rng.random((1, 50)) < 0.6).astype(float)

    def weighted(weights: np.ndarray) -> np.ndarray:
        return outcomes @ weights.T / weights.sum(axis=1)

    low, high = measures.bootstrap_runs_and_examples([0] * n, many, weighted, 50, rng)
    few = measures.Resamples(10, np.random.default_rng(9), 3000)
    expected = measures.bootstrap_runs_and_examples([0] * 10, few, weighted, 50, rng)
    assert (low, high) == pytest.approx(expected, abs=0.02)


def test_few_seeds_are_resampled_as_ever() -> None:
    values = np.random.default_rng(2).random((20, 3))
    held = measures.Resamples(20, np.random.default_rng(4), 500)
    plain = measures.resamples(20, np.random.default_rng(4), 500)
    np.testing.assert_array_equal(held @ values, plain @ values)
    assert len(held) == 500
