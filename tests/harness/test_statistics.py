"""Known answers, by hand and from other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness import statistics
from simulator.errors import UsageError

# Six problems, three agents, lower is better; ranks by hand in the margin.
VALUES = np.array([
    [0.1, 0.2, 0.3],  # 1 2 3
    [0.2, 0.3, 0.1],  # 2 3 1
    [0.1, 0.4, 0.4],  # 1 2.5 2.5
    [0.0, 0.5, 0.9],  # 1 2 3
    [0.3, 0.3, 0.3],  # 2 2 2
    [0.1, 0.2, 0.8],  # 1 2 3
])  # fmt: skip


def test_ranks_and_friedman_by_hand() -> None:
    found = statistics.rank_test(VALUES)
    np.testing.assert_allclose(found.ranks, [8 / 6, 13.5 / 6, 14.5 / 6])
    # Friedman with the correction for ties: 12 / (n k (k + 1)) sum R^2 - 3 n (k + 1), over
    # 1 - sum(t^3 - t) / (n k (k^2 - 1)), with one tie of 2 and one of 3.
    sums = np.array([8, 13.5, 14.5])
    raw = 12 / (6 * 3 * 4) * (sums**2).sum() - 3 * 6 * 4
    corrected = raw / (1 - (6 + 24) / (6 * 3 * 8))
    assert found.statistic == pytest.approx(corrected)
    assert (found.test, found.problems) == ("friedman", 6)
    assert found.p == pytest.approx(np.exp(-corrected / 2))  # chi squared, 2 degrees of freedom


def test_critical_difference_of_demsar() -> None:
    # Demsar 2006, table 5 (a): q at 0.05 for 2 to 10 classifiers.
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for k, q in enumerate(published, start=2):
        expected = q * np.sqrt(k * (k + 1) / (6 * 30))
        assert statistics.critical_difference(k, 30) == pytest.approx(expected, abs=2e-3)


def test_nemenyi_against_the_studentised_range() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    pytest.importorskip("scikit_posthocs")
    p = statistics.nemenyi(VALUES)
    ranks = statistics.rank_test(VALUES).ranks
    spread = np.abs(ranks[:, None] - ranks) / np.sqrt(3 * 4 / (6 * 6)) * np.sqrt(2)
    expected = scipy_stats.studentized_range.sf(spread, 3, np.inf)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(p[off], expected[off], atol=1e-3)
    assert (np.diag(p) == 1).all()


def test_nemenyi_agrees_with_the_groups() -> None:
    pytest.importorskip("scikit_posthocs")
    rng = np.random.default_rng(5)
    values = rng.normal(size=(25, 6)) + np.array([0, 0.3, 0.9, 1.0, 2.5, 2.6])
    p = statistics.nemenyi(values)
    found = statistics.rank_test(values)
    together = np.eye(6, dtype=bool)
    for group in found.groups:
        together[np.ix_(group, group)] = True
    np.testing.assert_array_equal(together, p > statistics.ALPHA)


def test_two_agents_are_tested_by_wilcoxon() -> None:
    found = statistics.rank_test(np.array([[1.0, 2.0]] * 6))
    assert found.test == "wilcoxon"
    assert found.p == pytest.approx(2 / 2**6)  # exact: all six signs alike
    assert np.isnan(found.critical_difference)


def test_too_few_problems_and_equal_agents() -> None:
    one = statistics.rank_test([[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(one.ranks, [1, 2, 3])
    assert np.isnan(one.p)
    assert one.groups == ()
    equal = statistics.rank_test(np.ones((4, 3)))
    assert equal.p == 1
    assert equal.groups == ((0, 1, 2),)
    none = statistics.rank_test(np.full((2, 3), np.nan))
    assert none.problems == 0
    assert np.isnan(none.ranks).all()


def test_a_problem_that_an_agent_lacks_is_not_ranked() -> None:
    values = np.vstack([VALUES, [np.nan, 0.0, 1.0]])
    assert statistics.rank_test(values).problems == 6
    with pytest.raises(UsageError, match=r"\(problems, agents\)"):
        statistics.rank_test([1.0, 2.0])


def test_missed_targets_rank_last() -> None:
    found = statistics.rank_test([[np.inf, 3.0, np.inf], [9.0, 1.0, np.inf]])
    np.testing.assert_array_equal(found.ranks, [2.25, 1, 2.75])


def test_groups_are_maximal_and_chain() -> None:
    assert statistics.rank_groups([1, 1.5, 2.2, 3], 1.0) == ((0, 1), (1, 2), (2, 3))
    assert statistics.rank_groups([1, 1.5, 1.9, 5], 1.0) == ((0, 1, 2),)
    assert statistics.rank_groups([1, 3, 5], 1.0) == ()
    assert statistics.rank_groups([2, 1], 10) == ((1, 0),)


def test_performance_profile_by_hand() -> None:
    # Dolan and More: agent 0 is best on two of four problems, never worse than twice the best
    # where it solves; nobody solves the last problem.
    values = [[10, 20], [30, 15], [5, np.inf], [np.inf, np.nan]]
    ratios = statistics.performance_ratios(values)
    np.testing.assert_array_equal(ratios, [[1, 2], [2, 1], [1, np.inf], [np.inf, np.inf]])
    profile = statistics.performance_profile(ratios, [1, 1.99, 2, 100])
    np.testing.assert_array_equal(profile, [[0.5, 0.5, 0.75, 0.75], [0.25, 0.25, 0.5, 0.5]])
    with pytest.raises(UsageError, match="above 0"):
        statistics.performance_ratios([[0.0, 1.0]])


def test_probability_of_improvement_by_hand() -> None:
    # Problem 1: of 4 pairs a wins 3, one tie: 3.5 / 4. Problem 2: none won: 0.
    runs = [[[1, 2], [2, 3]], [[5, 5], [1, 1]]]
    found = statistics.probability_of_improvement(runs, np.random.default_rng(0))
    assert found.probability[0, 1] == pytest.approx((3.5 / 4 + 0) / 2)
    assert found.probability[1, 0] == pytest.approx(1 - found.probability[0, 1])
    assert np.isnan(found.probability[0, 0])
    assert found.low[0, 1] <= found.probability[0, 1] <= found.high[0, 1]
    # Resampled within problem 1 alone: the largest possible value is (1 + 0) / 2.
    assert found.high[0, 1] <= 0.5
    assert found.low[1, 0] == pytest.approx(1 - found.high[0, 1])


def test_probability_of_improvement_agrees_with_mann_whitney() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    x, y = rng.normal(0, 1, 30), rng.normal(0.4, 1, 25)
    found = statistics.probability_of_improvement([[x, y]], rng, draws=4000)
    u = stats.mannwhitneyu(y, x).statistic / (30 * 25)
    assert found.probability[0, 1] == pytest.approx(u)
    # The normal approximation of the bootstrap's spread, from its placements.
    wins = (x[:, None] < y).astype(float)
    spread = np.sqrt(wins.mean(axis=1).var() / 30 + wins.mean(axis=0).var() / 25)
    assert found.high[0, 1] - found.low[0, 1] == pytest.approx(2 * 1.645 * spread, rel=0.08)


def test_an_agent_that_skipped_a_problem() -> None:
    runs = [[[1.0], None, [2.0]], [[1.0], [0.5], [2.0]]]
    found = statistics.probability_of_improvement(runs, np.random.default_rng(0))
    assert found.probability[0, 2] == 1
    assert found.probability[1, 0] == 1
    alone = statistics.probability_of_improvement([[[1.0], None]], np.random.default_rng(0))
    assert np.isnan(alone.probability).all()


def test_paired_difference() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=20)
    found = statistics.paired_difference(a, a + 0.1, rng)
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)
    assert found.p < 1e-4
    assert not found.same
    same = statistics.paired_difference(a, a, rng)
    assert same.same
    assert (same.mean, same.p) == (0, 1)
    noise = statistics.paired_difference(a, rng.permutation(a), rng)
    assert noise.low < 0 < noise.high
    assert noise.p > 0.05
    gaps = statistics.paired_difference([1, np.nan, 2], [1, 2, np.nan], rng)
    assert gaps.pairs == 1
    with pytest.raises(UsageError, match="one shape"):
        statistics.paired_difference([1.0], [1.0, 2.0], rng)


def test_wilcoxon_is_exact_for_few_pairs() -> None:
    found = statistics.paired_difference(
        np.zeros(5), np.array([1.0, 2, 3, 4, 5]), np.random.default_rng(0)
    )
    assert found.p == pytest.approx(2 / 2**5)
    assert found.mean == 3


def test_false_discoveries_by_hand() -> None:
    found = statistics.false_discoveries([0.01, 0.04, 0.03, np.nan])
    np.testing.assert_allclose(found, [0.03, 0.04, 0.04, np.nan])


def test_payback_by_hand() -> None:
    # 50 trials of 100 examples at 10 units; saves 5 units an execution.
    spent = 50 * 100 * 10
    assert statistics.payback(spent, 15, 10, 0.7, 0.7) == 10_000
    # Dearer but better: one right answer in twenty more is worth 400 units each.
    assert statistics.payback(spent, 15, 25, 0.70, 0.75, worth=400) == pytest.approx(5_000)
    assert statistics.payback(spent, 15, 25, 0.70, 0.75) == np.inf
    # Cheaper but worse never pays where quality has no price ...
    assert statistics.payback(spent, 15, 10, 0.70, 0.60) == np.inf
    # ... and does where it has a low one.
    assert statistics.payback(spent, 15, 10, 0.70, 0.60, worth=10) == 12_500
    assert np.isnan(statistics.payback(spent, 15, np.nan, 0.7, 0.7))


def test_pareto_front_and_best_by_budget_by_hand() -> None:
    costs = [5, 1, 3, 3, 2, 9]
    scores = [0.9, 0.5, 0.7, 0.8, 0.4, np.nan]
    assert statistics.pareto_front(costs, scores).tolist() == [1, 3, 0]
    best = statistics.best_by_budget(costs, scores, [0.5, 1, 2.9, 3, 100])
    np.testing.assert_array_equal(best, [np.nan, 0.5, 0.5, 0.8, 0.9])
    assert len(statistics.pareto_front([1.0], [np.nan])) == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_beats_the_front(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    numbers = st.integers(0, 8).map(float)
    costs, scores = (
        data.draw(arrays(float, n, elements=numbers)),
        data.draw(arrays(float, n, elements=numbers)),
    )
    front = set(statistics.pareto_front(costs, scores).tolist())
    for i in range(n):
        beaten = ((costs <= costs[i]) & (scores > scores[i])) | (
            (costs < costs[i]) & (scores >= scores[i])
        )
        if i in front:
            assert not beaten.any()
        else:
            twin = (costs == costs[i]) & (scores == scores[i])
            assert beaten.any() or any(int(j) in front for j in np.flatnonzero(twin))
    for budget in (0.0, 3.5, 8.0):
        within = scores[costs <= budget]
        best = statistics.best_by_budget(costs, scores, [budget])[0]
        assert best == within.max() if len(within) else np.isnan(best)


def test_the_front_of_many_points_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(4)
    costs = np.round(rng.lognormal(3, 1, 150_000), 1)
    scores = np.round(rng.random(150_000) * np.log1p(costs), 2)
    scores[rng.random(150_000) < 0.1] = np.nan
    order = np.lexsort((-np.nan_to_num(scores, nan=-1), costs))
    best, expected = -1.0, []
    for i in order.tolist():
        if scores[i] > best:
            best = scores[i]
            expected.append((costs[i], scores[i]))
    front = statistics.pareto_front(costs, scores)
    assert list(zip(costs[front], scores[front], strict=True)) == expected


VALUES_OF_ANY = arrays(
    float,
    st.tuples(st.integers(2, 8), st.integers(3, 6)),
    elements=st.floats(0.1, 100, allow_nan=False).map(lambda v: round(v, 1)),
)


@settings(max_examples=50, deadline=None)
@given(VALUES_OF_ANY)
def test_ranks_know_order_alone(values: np.ndarray) -> None:
    found = statistics.rank_test(values)
    k = values.shape[1]
    assert found.ranks.sum() == pytest.approx(k * (k + 1) / 2)
    shuffled = np.random.default_rng(0).permutation(values, axis=0)
    other = statistics.rank_test(np.log(shuffled) * 3)
    np.testing.assert_allclose(other.ranks, found.ranks)
    assert other.p == pytest.approx(found.p, nan_ok=True)
    for group in found.groups:
        spread = found.ranks[list(group)]
        assert spread.max() - spread.min() < found.critical_difference


@settings(max_examples=50, deadline=None)
@given(VALUES_OF_ANY)
def test_profiles_ascend_and_somebody_is_fastest(values: np.ndarray) -> None:
    ratios = statistics.performance_ratios(np.maximum(values, 0.1))
    profile = statistics.performance_profile(ratios, [0.99, 1, 2, 1e6])
    assert (profile[:, 0] == 0).all()
    assert profile[:, 1].sum() >= 1 - 1e-9
    assert (np.diff(profile, axis=1) >= 0).all()
    assert (profile[:, -1] == 1).all()


@settings(max_examples=30, deadline=None)
@given(VALUES_OF_ANY)
def test_improvement_and_its_opposite_make_one(values: np.ndarray) -> None:
    runs = [[row[:2], row[1:], row] for row in values]
    found = statistics.probability_of_improvement(runs, np.random.default_rng(0), draws=50)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose((found.probability + found.probability.T)[off], 1)
    assert (found.low[off] <= found.high[off]).all()
    assert ((found.low[off] >= -1e-9) & (found.high[off] <= 1 + 1e-9)).all()


def test_chosen_on_fewer_shows_the_winners_curse() -> None:
    rng = np.random.default_rng(1)
    outcomes = (rng.random((60, 400)) < 0.6).astype(float)
    whole, test = outcomes.mean(axis=1), np.full(60, 0.6)
    draws = np.stack([outcomes[:, rng.choice(400, 10)].mean(axis=1) for _ in range(300)], axis=1)
    seen, on_all, on_test = statistics.chosen_on_fewer(draws, whole, test)
    assert seen.mean() > on_all.mean() + 0.2
    assert (on_test == 0.6).all()
    by_hand = statistics.chosen_on_fewer(np.array([[0.0, 1.0], [1.0, 0.5]]), [0.1, 0.2], [0.3, 0.4])
    np.testing.assert_array_equal(by_hand, [[1, 1], [0.2, 0.1], [0.4, 0.3]])
