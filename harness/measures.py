"""Measures of searches: pure functions of arrays.

One row of an array is one run (a seed). A run that never reached the optimum is *censored*: its
number of trials to the optimum is nan, and it is never counted as if it had reached it at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEVEL = 0.90
DRAWS = 4000
HELD = 2**23
"""Numbers that a bootstrap's arrays may hold at once: 64 MiB of them."""


def success_rate(trials_to: ArrayLike) -> float:
    """Share of runs that reached the target: `trials_to`, shape (runs,), is nan where not."""
    values = np.asarray(trials_to, dtype=np.float64)
    return float(np.mean(~np.isnan(values))) if values.size else float("nan")


def median_trials(trials_to: ArrayLike) -> float:
    """Median trials to the target, a censored run counting as later than every other.

    inf where half of the runs or more are censored. All runs being censored at the same number of
    trials, this is the median of the Kaplan-Meier estimate (Kaplan and Meier 1958).
    """
    values = np.asarray(trials_to, dtype=np.float64)
    if not values.size:
        return float("nan")
    return _middle(np.where(np.isnan(values), np.inf, values))


def _middle(values: Floats) -> float:
    ordered = np.sort(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float("inf") if np.isinf(high) else float((low + high) / 2)


def expected_running_time(trials_to: ArrayLike, trials_used: ArrayLike) -> float:
    """ERT in trials: all trials spent until the target or the end, over the number of successes.

    ERT = (sum over runs of trials_to, or trials_used where censored) / successes; inf without a
    success. Source: Hansen et al., COCO, arXiv 1603.08785, there called average runtime.
    """
    to = np.asarray(trials_to, dtype=np.float64)
    spent = np.where(np.isnan(to), np.asarray(trials_used, dtype=np.float64), to)
    successes = int(np.sum(~np.isnan(to)))
    return float(spent.sum() / successes) if successes else float("inf")


def first_within(best: ArrayLike, threshold: float) -> Floats:
    """The trial, counted from 1, at which each row of best-so-far scores (runs, trials) reaches
    `threshold`; nan where it does not."""
    reached = np.nan_to_num(np.asarray(best, dtype=np.float64), nan=-np.inf) >= threshold
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.nan)


def best_so_far(scores: ArrayLike) -> Floats:
    """Running maximum along trials, shape (runs, trials); nan before the first feasible trial."""
    return np.asarray(np.fmax.accumulate(np.asarray(scores, dtype=np.float64), axis=1))


def normalised_regret(best: ArrayLike, optimum: ArrayLike, worst: ArrayLike) -> Floats:
    """(optimum - best) / (optimum - worst), between 0 (the optimum) and 1.

    `worst` is the lowest feasible score of the table, so that tables can be compared; a run that
    has no feasible trial yet has a regret of 1. Where all scores are equal there is none: 0.
    """
    values = np.asarray(best, dtype=np.float64)
    top, low = np.asarray(optimum, dtype=np.float64), np.asarray(worst, dtype=np.float64)
    span = np.where(top > low, top - low, 1.0)
    regret = np.where(np.isnan(values), 1.0, (top - values) / span)
    return np.clip(regret, 0.0, 1.0)


def area(curves: ArrayLike) -> Floats:
    """Area under each row of (runs, trials), per trial: the mean over trials, shape (runs,)."""
    return np.asarray(np.mean(np.asarray(curves, dtype=np.float64), axis=1))


def padded(rows: Sequence[Sequence[float]], length: int) -> Floats:
    """Curves of different lengths as one array (runs, length): each keeps its last value."""
    out = np.full((len(rows), length), np.nan)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
        if 0 < len(row) < length:
            out[i, len(row) :] = row[-1]
    return out


def on_time_axis(clocks: ArrayLike, values: ArrayLike, at: ArrayLike) -> Floats:
    """Step curves read at points in time: `clocks` and `values` (runs, trials), `at` (points,).

    A value holds from the end of its trial until the next; nan before the first ends. Clocks
    ascend along trials. Shape (runs, points).
    """
    times, held = np.asarray(clocks, dtype=np.float64), np.asarray(values, dtype=np.float64)
    points = np.asarray(at, dtype=np.float64)
    out = np.full((len(times), len(points)), np.nan)
    for i in range(len(times)):
        k = np.searchsorted(times[i], points, side="right") - 1
        out[i] = np.where(k >= 0, held[i][np.maximum(k, 0)], np.nan)
    return out


def resamples(n: int, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """How often each of n items is drawn in each bootstrap sample, shape (draws, n)."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=draws).astype(np.float64)


class Resamples:
    """`resamples` for any number of items: what would not fit in `HELD` is drawn again in blocks,
    the same at every use, so that seeds by the ten thousand take time and no memory.

    `counts @ values` sums `values` of shape (n, ...) over every draw, shape (draws, ...).

    >>> few, many = (Resamples(n, np.random.default_rng(0)) for n in (3, 3000))
    >>> [block.shape for block in few.blocks()], [block.shape for block in many.blocks()]
    ([(4000, 3)], [(2796, 3000), (1204, 3000)])
    """

    def __init__(self, n: int, rng: np.random.Generator, draws: int = DRAWS) -> None:
        self.n, self.draws = n, draws
        self._rng = rng if n * draws <= HELD else rng.spawn(1)[0]
        self._whole = resamples(n, rng, draws) if n * draws <= HELD else None

    def __len__(self) -> int:
        return self.draws

    def __matmul__(self, values: Floats) -> Floats:
        return np.concatenate([block @ values for block in self.blocks()])

    def blocks(self, size: int = 0) -> Iterator[Floats]:
        """The draws in order, in blocks of `size`, or of as many as may be held."""
        size = size or max(1, HELD // max(self.n, 1))
        rng = copy.deepcopy(self._rng)
        for start in range(0, self.draws, size):
            if self._whole is not None:
                yield self._whole[start : start + size]
            else:
                yield resamples(self.n, rng, min(size, self.draws - start))


Counts = Floats | Resamples


def bootstrap_mean(values: ArrayLike, counts: Counts, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of the mean of `values` (n,) over `counts` of shape (draws, n).

    Source: Efron and Tibshirani 1993, chapter 13.
    """
    data = np.asarray(values, dtype=np.float64)
    return interval(counts @ data / len(data), level)


def bootstrap_curve(
    curves: ArrayLike, counts: Counts, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Pointwise percentile intervals of the mean of `curves` (n, points): two arrays (points,)."""
    data = np.asarray(curves, dtype=np.float64)
    means = counts @ data / len(data)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def bootstrap_runs_and_examples(
    rows: ArrayLike,
    counts: Counts,
    weighted_means: Callable[[Floats], Floats],
    n_examples: int,
    rng: np.random.Generator,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Interval of the mean score over runs and over examples, resampling both."""
    return interval(means_of_draws(rows, counts, weighted_means, n_examples, rng), level)


def means_of_draws(
    rows: ArrayLike,
    counts: Counts,
    weighted_means: Callable[[Floats], Floats],
    n_examples: int,
    rng: np.random.Generator,
) -> Floats:
    """Mean score over runs and examples in each bootstrap draw, shape (draws,).

    Every draw takes runs (`counts`, shape (draws, runs)) and, once for all runs, since they are
    scored on the same examples, examples: `weighted_means(weights)` of shape (draws, n_examples)
    gives the score of each configuration under each draw, shape (configurations, draws); `rows`,
    shape (runs,), says which configuration each run chose.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    weights, means = resamples(n_examples, rng, len(counts)), list[Floats]()
    start = 0
    for block in counts.blocks() if isinstance(counts, Resamples) else (counts,):
        by_draw = weighted_means(weights[start : start + len(block)])
        means.append(np.einsum("dr,rd->d", block, by_draw[chosen]) / len(chosen))
        start += len(block)
    return np.concatenate(means)


def interval(means: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap draws (draws,)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def average_ranks(values: ArrayLike) -> Floats:
    """Mean rank of each agent over problems, 1 the best; ties share the mean of their ranks.

    `values` has shape (problems, agents), lower being better. An agent that a problem lacks (nan)
    shares the last ranks there. Source: Demsar, JMLR 7 (2006).
    """
    import polars as pl

    table = np.asarray(values, dtype=np.float64)
    filled = np.where(np.isnan(table), np.inf, table)
    ranks = [pl.Series(row).rank("average").to_numpy() for row in filled]
    return np.asarray(np.mean(ranks, axis=0))
