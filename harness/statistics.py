"""Statistics across tables and runs: pure functions of arrays.

`values` of shape (problems, agents) hold one number for each problem (a table at a budget) and
agent, lower being better, unless a docstring says otherwise. SciPy does the tests; scikit-posthocs
(the extra `report`) the post-hoc p values. What a function draws at random it draws from the
generator it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.measures import DRAWS, HELD, LEVEL, Floats, Resamples, average_ranks
from simulator.errors import MissingExtra, UsageError

ALPHA = 0.05

_MANY, _BINS = 100_000, 4096


@dataclass(frozen=True)
class RankTest:
    """Whether agents differ at all over problems, and from what difference of ranks on.

    - `ranks` (agents,): mean rank over problems, 1 the best;
    - `test` is `friedman`, or `wilcoxon` for two agents; `statistic` and `p` are its own, nan where
      there are too few problems;
    - `critical_difference` is Nemenyi's, nan for two agents; `groups` are maximal sets of agents,
      as indices in the order of rank, whose ranks differ by less;
    - `problems` is how many were ranked: those that have a value of every agent.
    """

    ranks: Floats
    test: str
    statistic: float
    p: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]
    problems: int


def complete_problems(values: ArrayLike) -> Floats:
    """The rows of (problems, agents) that have a value of every agent; infinity is a value."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise UsageError(f"values must have the shape (problems, agents), not {table.shape}")
    return table[~np.isnan(table).any(axis=1)]


def rank_test(values: ArrayLike, alpha: float = ALPHA) -> RankTest:
    """Ranks, Friedman's test (Wilcoxon's for two agents) and Nemenyi's critical difference.

    Source: Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006).
    """
    table = complete_problems(values)
    n, k = table.shape
    ranks = average_ranks(table) if n else np.full(k, np.nan)
    nothing = float("nan")
    statistic = p = cd = nothing
    name = "wilcoxon" if k == 2 else "friedman"
    if n >= 2 and k >= 2:
        # A second's work, which a bench of one table or one agent does without.
        from scipy.stats import friedmanchisquare, rankdata, wilcoxon

        ordinal = rankdata(table, axis=1)
        if (ordinal == ordinal[:, :1]).all():
            statistic, p = 0.0, 1.0
        elif k == 2:
            finite = np.where(np.isinf(table), np.finfo(np.float64).max / 4, table)
            found = wilcoxon(finite[:, 0], finite[:, 1], zero_method="zsplit")
            statistic, p = float(found.statistic), float(found.pvalue)
        else:
            found = friedmanchisquare(*ordinal.T)
            statistic, p = float(found.statistic), float(found.pvalue)
        if k > 2:
            cd = critical_difference(k, n, alpha)
    groups = rank_groups(ranks, cd) if not np.isnan(cd) else ()
    return RankTest(ranks, name, statistic, p, cd, groups, n)


def critical_difference(agents: int, problems: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of mean ranks: q sqrt(k (k + 1) / (6 n)).

    q is the studentised range's upper `alpha` point for k means and infinite degrees of freedom
    over sqrt(2). Source: Demsar 2006, section 3.2.2.

    >>> round(critical_difference(4, 14, 0.05), 2)  # Demsar's example: 2.569 * sqrt(20 / 84)
    1.25
    """
    from scipy.stats import studentized_range

    if agents < 2 or problems < 1:
        raise UsageError("a critical difference needs 2 agents and 1 problem or more")
    q = float(studentized_range.ppf(1 - alpha, agents, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(agents * (agents + 1) / (6 * problems)))


def rank_groups(ranks: ArrayLike, difference: float) -> tuple[tuple[int, ...], ...]:
    """Maximal runs of two or more agents, best first, whose mean ranks differ by less.

    These are the bars of a critical-difference diagram.

    >>> rank_groups([1.0, 3.0, 1.5, 2.2], 1.0)
    ((0, 2), (2, 3), (3, 1))
    """
    values = np.asarray(ranks, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    ends = [
        int(np.searchsorted(values[order], values[first] + difference, side="left"))
        for first in order
    ]
    groups, last = [], 0
    for start, end in enumerate(ends):
        if end > last and end - start > 1:
            groups.append(tuple(int(i) for i in order[start:end]))
        last = max(last, end)
    return tuple(groups)


def nemenyi(values: ArrayLike) -> Floats:
    """Nemenyi's p value of each pair of agents, shape (agents, agents), by scikit-posthocs.

    Raises `MissingExtra` without it.
    """
    try:
        from scikit_posthocs import posthoc_nemenyi_friedman
    except ImportError:
        raise MissingExtra("scikit_posthocs", "report", "the post-hoc test") from None
    from scipy.stats import rankdata

    table = complete_problems(values)
    if table.shape[0] < 2 or table.shape[1] < 3:
        raise UsageError(f"Nemenyi's test needs 2 problems and 3 agents, not {table.shape}")
    return np.asarray(posthoc_nemenyi_friedman(rankdata(table, axis=1)), dtype=np.float64)


def performance_ratios(values: ArrayLike) -> Floats:
    """Each agent's value over the best agent's on that problem, shape (problems, agents).

    inf where an agent did not solve a problem (inf or nan); where nobody did, for all of them.
    Source: Dolan and More, Mathematical Programming 91 (2002).
    """
    table = np.asarray(values, dtype=np.float64)
    times = np.where(np.isnan(table), np.inf, table)
    if (times <= 0).any():
        raise UsageError("performance profiles need values above 0")
    best = times.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        ratios = times / best
    return np.where(np.isinf(times), np.inf, ratios)


def performance_profile(ratios: ArrayLike, taus: ArrayLike) -> Floats:
    """Share of problems that each agent solves within tau times the best, (agents, taus)."""
    table = np.asarray(ratios, dtype=np.float64)
    points = np.asarray(taus, dtype=np.float64)
    return np.asarray((table[:, :, None] <= points * (1 + 1e-12)).mean(axis=0))


@dataclass(frozen=True)
class Improvement:
    """`probability[a, b]` that a run of agent a beats one of b, with interval `low`, `high`.

    All have the shape (agents, agents), nan where the two share no problem.
    """

    probability: Floats
    low: Floats
    high: Floats


def probability_of_improvement(
    runs: Sequence[Sequence[ArrayLike | None]],
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = LEVEL,
) -> Improvement:
    """P(a run of a beats a run of b), averaged over problems; ties count half.

    `runs[problem][agent]` holds one value a run, lower being better, or None. The mean over
    problems of the Mann-Whitney statistic, with a bootstrap stratified by problem: runs are drawn
    within each problem, for each agent apart. Source: Agarwal et al., Deep reinforcement learning
    at the edge of the statistical precipice, NeurIPS 2021, section 4.3 and rliable.
    """
    k = len(runs[0]) if runs else 0
    total, problems = np.zeros((k, k)), np.zeros((k, k))
    sampled = np.zeros((draws, k, k))
    for problem in runs:
        data = {a: np.asarray(r, dtype=np.float64) for a, r in enumerate(problem) if r is not None}
        pairs = [(a, b) for a in data for b in data if a < b]
        for a, b in pairs:
            total[a, b] += _share_beaten(data[a], data[b], np.ones((1, len(data[a]))))[0].mean()
            problems[a, b] += 1
        counts = {a: Resamples(len(values), rng, draws) for a, values in data.items()}
        size = max(1, HELD // max(1, sum(map(len, data.values()))))
        blocks = {a: resamples.blocks(size) for a, resamples in counts.items()}
        for start in range(0, draws, size):
            now = {a: next(block) for a, block in blocks.items()}
            for a, b in pairs:
                beaten = _share_beaten(data[a], data[b], now[a]) * now[b]
                sampled[start : start + size, a, b] += beaten.sum(axis=1) / len(data[b])
    upper = problems > 0
    share = np.where(upper, problems, np.nan)
    probability = total / share
    low, high = np.quantile(sampled, [(1 - level) / 2, (1 + level) / 2], axis=0) / share
    below = upper.T
    probability = np.where(below, 1 - probability.T, probability)
    low, high = np.where(below, 1 - high.T, low), np.where(below, 1 - low.T, high)
    return Improvement(probability, low, high)


def _share_beaten(x: Floats, y: Floats, counts: Floats) -> Floats:
    """The share of x's runs, each `counts` times, that are lower than each of y's; ties are half.

    `counts` has shape (draws, x); returns (draws, y). By sorted order: a table of all pairs would
    have as many entries as there are pairs of seeds.
    """
    order = np.argsort(x, kind="stable")
    below = np.zeros((len(counts), len(x) + 1))
    np.cumsum(counts[:, order], axis=1, out=below[:, 1:])
    low, high = (np.searchsorted(x[order], y, side=side) for side in ("left", "right"))
    return np.asarray((below[:, low] + below[:, high]) / (2 * len(x)))


@dataclass(frozen=True)
class Difference:
    """A paired difference b - a: its mean, interval and p value; `pairs` is how many.

    `same` says that every pair is equal to the last bit: nothing has changed.
    """

    mean: float
    low: float
    high: float
    p: float
    pairs: int
    same: bool


def paired_difference(
    a: ArrayLike, b: ArrayLike, rng: np.random.Generator, draws: int = DRAWS, level: float = LEVEL
) -> Difference:
    """b - a over pairs, shape (pairs,): percentile bootstrap of the mean and Wilcoxon's test.

    Pairs that miss a value are left out. Wilcoxon's signed-rank test (two-sided, ties split by
    Pratt) is exact where SciPy can make it so. p is nan for fewer than two pairs.
    """
    from scipy.stats import wilcoxon

    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError(f"pairs must have one shape, not {first.shape} and {second.shape}")
    known = ~(np.isnan(first) | np.isnan(second))
    delta = second[known] - first[known]
    n = len(delta)
    if n == 0:
        nothing = float("nan")
        return Difference(nothing, nothing, nothing, nothing, 0, False)
    means = Resamples(n, rng, draws) @ delta / n
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    if not delta.any():
        return Difference(0.0, 0.0, 0.0, 1.0, n, True)
    p = float(wilcoxon(delta, zero_method="pratt").pvalue) if n > 1 else float("nan")
    return Difference(float(delta.mean()), float(low), float(high), p, n, False)


def false_discoveries(p: ArrayLike) -> Floats:
    """p values adjusted for how many there are, by Benjamini and Hochberg 1995; nan stays nan."""
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(values)
    out = np.full(values.shape, np.nan)
    if known.any():
        out[known] = false_discovery_control(values[known], method="bh")
    return out


def payback(
    search_cost: ArrayLike,
    default_cost: float,
    found_cost: ArrayLike,
    default_score: float,
    found_score: ArrayLike,
    worth: float = 0.0,
) -> Floats:
    """Executions in deployment after which a search has paid for itself, inf where it never does.

        N = search_cost / (default_cost - found_cost + worth * (found_score - default_score))

    An execution is one input sent through the whole pipeline. Costs are in the unit of one cost
    model: `search_cost` that of all executions of all trials of a search (the sum over trials of
    cost times examples), `default_cost` and `found_cost` those of one execution of either
    configuration. `worth` is what one point of score (from 0 to 1: one more right answer) is worth
    in that unit. With `worth` 0 a search pays only by a cheaper configuration, and it never does
    where that one scores less than the default. Broadcasts; shape of `found_cost`.

    >>> float(payback(3000.0, 50.0, 20.0, 0.70, 0.72))
    100.0
    """
    spent = np.asarray(search_cost, dtype=np.float64)
    cost, score = np.asarray(found_cost, dtype=float), np.asarray(found_score, dtype=float)
    gain = default_cost - cost + worth * (score - default_score)
    if worth == 0:
        gain = np.where(score < default_score, -1.0, gain)
    with np.errstate(divide="ignore", invalid="ignore"):
        runs = np.where(gain > 0, spent / gain, np.inf)
    return np.asarray(np.where(np.isnan(gain) | np.isnan(spent), np.nan, runs))


def pareto_front(costs: ArrayLike, scores: ArrayLike) -> NDArray[np.int64]:
    """Indices of what no other point beats: cheaper or as cheap, and scoring more. By cost.

    Points without a score (nan) are left out; of equal points the first is kept.
    """
    cost, score = np.asarray(costs, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(score) & ~np.isnan(cost))
    if not len(known):
        return known.astype(np.int64)
    if len(known) > _MANY:
        known = _not_beaten_by_cheaper_bins(cost, score, known)
    order = known[np.lexsort((-score[known], cost[known]))]
    running = np.maximum.accumulate(score[order])
    kept = np.concatenate([[True], score[order][1:] > running[:-1]])
    return np.asarray(order[kept], dtype=np.int64)


def _not_beaten_by_cheaper_bins(
    cost: Floats, score: Floats, known: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Drop most points without sorting: those that a point in a cheaper bin of costs beats.

    Every point of the front stays, since nothing cheaper scores as much.
    """
    c, s = cost[known], score[known]
    spread = np.sqrt(c - c.min())
    width = float(spread.max()) or 1.0
    bins = np.minimum((spread * (_BINS / width)).astype(np.int64), _BINS - 1)
    best = np.full(_BINS, -np.inf)
    np.maximum.at(best, bins, s)
    cheaper = np.concatenate([[-np.inf], np.maximum.accumulate(best)[:-1]])
    return np.asarray(known[s > cheaper[bins]])


def best_by_budget(costs: ArrayLike, scores: ArrayLike, budgets: ArrayLike) -> Floats:
    """Best score of any configuration within each budget, shape (budgets,); nan under the
    cheapest."""
    cost, score = np.asarray(costs, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    front = pareto_front(cost, score)
    limits = np.asarray(budgets, dtype=np.float64)
    if not len(front):
        return np.full(limits.shape, np.nan)
    at = np.searchsorted(cost[front], limits, side="right") - 1
    return np.where(at >= 0, score[front][np.maximum(at, 0)], np.nan)


def chosen_on_fewer(
    weighted: Floats, whole: ArrayLike, test: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """What choosing on few examples costs: three arrays (draws,).

    `weighted` has shape (configurations, draws): scores on the examples of each draw; `whole` and
    `test` (configurations,) are scores on all training and on test examples. For each draw the
    configuration that looks best is chosen: its score as seen, on all training examples, and on
    test. The first exceeds the others by the luck of the draw (the winner's curse).
    """
    best = np.argmax(weighted, axis=0)
    seen = weighted[best, np.arange(weighted.shape[1])]
    return seen, np.asarray(whole, dtype=float)[best], np.asarray(test, dtype=float)[best]
