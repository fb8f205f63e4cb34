"""The measures against what SciPy, statsmodels and scikit-posthocs make of the same data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import measures, statistics

RUNS = st.lists(
    st.one_of(st.integers(1, 50).map(float), st.just(float("nan"))), min_size=2, max_size=40
)
LAST = 50.0
"""Trials of a run that missed the target."""


def censored(trials_to: np.ndarray) -> stats.CensoredData:
    missed = np.isnan(trials_to)
    return stats.CensoredData.right_censored(np.where(missed, LAST, trials_to), missed)


@given(RUNS)
def test_expected_running_time_is_the_censored_exponentials_mean(runs: list[float]) -> None:
    """All time spent over the number of events is the maximum-likelihood mean under censoring."""
    trials_to = np.array(runs)
    ert = measures.expected_running_time(trials_to, np.full(len(runs), LAST))
    if np.isnan(trials_to).all():
        assert ert == np.inf
        return
    found = stats.expon.fit(censored(trials_to), floc=0)
    assert ert == pytest.approx(found[1], rel=1e-3)


@given(RUNS)
def test_median_trials_is_kaplan_and_meiers(runs: list[float]) -> None:
    trials_to = np.array(runs)
    alive = stats.ecdf(censored(trials_to)).sf
    median = measures.median_trials(trials_to)
    if np.isinf(median):
        assert alive.evaluate(LAST) >= 0.5 - 1e-9 or np.isnan(trials_to).all()
    else:
        assert alive.evaluate(median) <= 0.5 + 1e-9
        assert alive.evaluate(median - 1e-9) >= 0.5 - 1e-9


@given(st.data())
def test_average_ranks_are_scipys(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    size = shape[0] * shape[1]
    values = data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
    table = np.array(values, dtype=float).reshape(shape)
    expected = stats.rankdata(table, axis=1).mean(axis=0)
    np.testing.assert_allclose(measures.average_ranks(table), expected)


@pytest.mark.parametrize("n", [8, 20, 50])
def test_the_bootstraps_interval_is_scipys(n: int) -> None:
    """The same percentile interval; both draw at random, so to the noise of the drawing."""
    values = np.random.default_rng(n).gamma(2.0, size=n)
    ours = measures.bootstrap_mean(
        values, measures.resamples(n, np.random.default_rng(0), 40_000), 0.9
    )
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, confidence_level=0.9, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    error = values.std() / np.sqrt(n)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03 * error)


def test_the_bootstrap_of_runs_and_examples_is_scipys_where_there_is_one_run() -> None:
    outcomes = np.random.default_rng(2).random(60)
    ours = measures.bootstrap_runs_and_examples(
        [0], np.ones((20_000, 1)), lambda weights: (weights @ outcomes / 60)[None, :], 60,
        np.random.default_rng(0), 0.9,
    )  # fmt: skip
    theirs = stats.bootstrap(
        (outcomes,), np.mean, n_resamples=20_000, confidence_level=0.9, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03 * outcomes.std() / 60**0.5)


@given(st.integers(0, 10_000), st.integers(3, 8), st.integers(5, 15))
def test_friedmans_test_is_scipys_and_the_critical_difference_that_of_posthocs(
    seed: int, agents: int, problems: int
) -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    table = np.random.default_rng(seed).random((problems, agents)) + np.arange(agents) / 10
    found = statistics.rank_test(table)
    expected = stats.friedmanchisquare(*table.T)
    assert (found.statistic, found.p) == pytest.approx(tuple(expected))
    p = np.asarray(posthocs.posthoc_nemenyi_friedman(table))
    apart = np.abs(found.ranks[:, None] - found.ranks[None, :])
    clear = np.abs(apart - found.critical_difference) > 1e-3
    np.testing.assert_array_equal(
        (apart > found.critical_difference)[clear], (p < statistics.ALPHA)[clear]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_false_discoveries_are_statsmodels(p: list[float]) -> None:
    ours = statistics.false_discoveries([*p, float("nan")])[:-1]
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    np.testing.assert_allclose(ours, multitest.multipletests(p, method="fdr_bh")[1], atol=1e-12)
