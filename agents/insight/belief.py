"""What the archive of trials makes of the prior: an exact posterior over all candidates.

The candidates are finite, so the posterior needs no approximation: one column of covariances and
one row of the Cholesky factor for each trial, `V = L^-1 K(trials, candidates)` kept as it grows.
Every hypothesis of the prior has its own; their weights follow their marginal likelihoods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import logsumexp, ndtr

from agents.insight.prior import (
    CONSTANT_MEAN,
    SCALE_SD,
    Hypothesis,
    StageFeatures,
    join_stages,
    stage_covariances,
    stage_mean,
)

Array = NDArray[np.float64]
Options = NDArray[np.int64]

_SCALES = np.linspace(-2.0, 2.0, 9)


@dataclass(frozen=True)
class Outlook:
    """A hypothesis' posterior over the candidates: mean and standard deviation, shape (n,)."""

    mean: Array
    deviation: Array

    def expected_improvement(self, best: float) -> Array:
        """E[max(0, score - best)] for each candidate (Jones et al. 1998)."""
        gap = (self.mean - best) / self.deviation
        density = np.exp(-0.5 * gap**2) / np.sqrt(2.0 * np.pi)
        return np.asarray(self.deviation * (gap * ndtr(gap) + density))


class Posterior:
    """One hypothesis, conditioned on trials; `options` of candidates have shape (n, stages)."""

    def __init__(
        self, h: Hypothesis, features: tuple[StageFeatures, ...], options: Options
    ) -> None:
        self.hypothesis = h
        parts = [stage_covariances(h, stage) for stage in features]
        self._base, self._local = [p[0] for p in parts], [p[1] for p in parts]
        self._base_means = [stage_mean(h, stage) for stage in features]
        self._scale_stages(np.zeros(len(features)))
        self._trials = np.empty((0, len(features)), dtype=np.int64)
        self._factor: Array = np.empty((0, 0))
        self._set(options)

    def _set(self, options: Options) -> None:
        self._options = options
        self._mean = self._prior_mean(options)
        own = [np.diag(a)[options[:, i]] for i, a in enumerate(self._own)]
        local = [np.ones(len(options)) for _ in self._local]
        self._variance = join_stages(self.hypothesis, own, local)
        self._columns = np.empty((0, len(options)))

    def extend(self, options: Options) -> None:
        """Replace the candidates, keeping the trials."""
        self._set(options)
        self.condition(self._trials)

    def condition(self, trials: Options, amplitudes: Array | None = None) -> None:
        """Condition on these trials alone, shape (n, stages), at once.

        `amplitudes` are logs of how much each stage matters, as they are unless given.
        """
        if amplitudes is not None:
            self._scale_stages(amplitudes)
        self._set(self._options)
        self._factor = self._factorised(self._between(trials, trials))
        crossed = self._between(trials, self._options)
        self._columns = solve_triangular(self._factor, crossed, lower=True)
        self._variance = self._variance - (self._columns**2).sum(axis=0)
        self._trials = trials

    def adapt(self, scores: Array) -> None:
        """Learn how much each stage matters here, and condition anew.

        The log-amplitude of each stage's mean and covariance is set to its maximum a posteriori
        under a normal prior of standard deviation `stage_spread` (type II maximum a posteriori).
        """
        trials = self._trials[: len(scores)]
        spread = self.hypothesis.stage_spread
        if spread <= 0 or len(trials) < 2:
            return
        base, local = self._blocks(self._base, trials), self._blocks(self._local, trials)
        means = [mean[trials[:, i]] for i, mean in enumerate(self._base_means)]

        def loss(amplitudes: Array) -> float:
            factors = np.exp(amplitudes)
            scaled = [a**2 * block for a, block in zip(factors, base, strict=True)]
            mean = np.asarray(sum(a * part for a, part in zip(factors, means, strict=True)))
            factor = self._factorised(join_stages(self.hypothesis, scaled, local))
            evidence = self._evidence(factor, scores, mean)
            return 0.5 * float(np.sum((amplitudes / spread) ** 2)) - evidence

        limits = [(-2.5, 2.5)] * len(base)
        found = minimize(
            loss, self.amplitudes, method="L-BFGS-B", bounds=limits, options={"maxiter": 6}
        )
        self._scale_stages(found.x)
        self.condition(self._trials)

    def _scale_stages(self, amplitudes: Array) -> None:
        self.amplitudes = amplitudes
        factors = np.exp(amplitudes)
        self._own = [a**2 * block for a, block in zip(factors, self._base, strict=True)]
        self._means = [a * mean for a, mean in zip(factors, self._base_means, strict=True)]

    def _factorised(self, covariance: Array) -> Array:
        noisy = covariance + self.hypothesis.noise * np.eye(len(covariance))
        return np.asarray(np.linalg.cholesky(noisy), dtype=np.float64)

    @staticmethod
    def _blocks(parts: list[Array], trials: Options) -> list[Array]:
        return [part[np.ix_(trials[:, i], trials[:, i])] for i, part in enumerate(parts)]

    def _between(self, some: Options, others: Options) -> Array:
        own = [a[np.ix_(some[:, i], others[:, i])] for i, a in enumerate(self._own)]
        local = [a[np.ix_(some[:, i], others[:, i])] for i, a in enumerate(self._local)]
        return join_stages(self.hypothesis, own, local)

    def _prior_mean(self, options: Options) -> Array:
        return np.asarray(sum(mean[options[:, i]] for i, mean in enumerate(self._means)))

    def add(self, option: Options) -> None:
        """Condition the covariances on one more trial (its score is not needed for that)."""
        n = len(self._trials)
        column = self._between(option[None], self._options)[0]
        row = self._between(option[None], np.vstack([self._trials, option]))[0]
        partial = solve_triangular(self._factor, row[:n], lower=True) if n else row[:0]
        noisy = row[n] + self.hypothesis.noise - partial @ partial
        pivot = np.sqrt(max(noisy, 1e-10))
        factor = np.zeros((n + 1, n + 1))
        factor[:n, :n], factor[n, :n], factor[n, n] = self._factor, partial, pivot
        rest = (column - partial @ self._columns) / pivot
        self._factor = factor
        self._columns = np.vstack([self._columns, rest])
        self._variance = self._variance - rest**2
        self._trials = np.vstack([self._trials, option])

    def drop(self, keep: int) -> None:
        """Forget all trials but the first `keep`."""
        for rest in self._columns[keep:]:
            self._variance = self._variance + rest**2
        self._trials, self._columns = self._trials[:keep], self._columns[:keep]
        self._factor = self._factor[:keep, :keep]

    def _scales(self, factor: Array, scores: Array, mean: Array) -> tuple[Array, Array, Array]:
        """Whitened scores and prior means, and the log-density of each of the grid of scales."""
        n = len(scores)
        scales = np.log(self.hypothesis.scale) + _SCALES
        log_density = -0.5 * (_SCALES / SCALE_SD) ** 2 - n * scales
        if n == 0:
            return scores, scores, log_density
        both = np.column_stack([scores - CONSTANT_MEAN, mean])
        y, m = solve_triangular(factor[:n, :n], both, lower=True).T
        squares = ((y[:, None] * np.exp(-scales) - m[:, None]) ** 2).sum(axis=0)
        return y, m, log_density - 0.5 * squares

    def _evidence(self, factor: Array, scores: Array, mean: Array) -> float:
        _, _, log_density = self._scales(factor, scores, mean)
        return float(logsumexp(log_density) - np.log(np.diag(factor)[: len(scores)]).sum())

    def log_evidence(self, scores: Array) -> float:
        """Log marginal likelihood of the scores of the first trials, up to a constant."""
        return self._evidence(self._factor, scores, self._prior_mean(self._trials[: len(scores)]))

    def outlook(self, scores: Array, wiggle: float = 0.0) -> Outlook:
        """Posterior of the candidates given the scores of the first `len(scores)` trials.

        Further trials are pending: they narrow the deviation and leave the mean.
        """
        n = len(scores)
        y, m, log_density = self._scales(self._factor, scores, self._prior_mean(self._trials[:n]))
        weights = np.exp(log_density - logsumexp(log_density))
        scale = float(np.exp(weights @ (np.log(self.hypothesis.scale) + _SCALES)))
        shift = (y / scale - m) @ self._columns[:n] if n else 0.0
        mean = CONSTANT_MEAN + scale * (self._mean + shift)
        variance = np.maximum(self._variance, 1e-10) + wiggle * self.hypothesis.noise
        return Outlook(mean, scale * np.sqrt(variance))


class Belief:
    """The hypotheses together, weighted by how well each foretold the archive."""

    def __init__(
        self,
        hypotheses: tuple[Hypothesis, ...],
        features: tuple[StageFeatures, ...],
        options: Options,
    ) -> None:
        self.posteriors = [Posterior(h, features, options) for h in hypotheses]
        self._log_prior = np.log([h.weight for h in hypotheses])
        self.options = options

    def extend(self, options: Options) -> None:
        """Replace the candidates."""
        self.options = options
        for posterior in self.posteriors:
            posterior.extend(options)

    def add(self, option: Options) -> None:
        """Condition on a trial at `option`, shape (stages,)."""
        for posterior in self.posteriors:
            posterior.add(option)

    def adapt(self, scores: Array, least: float = 0.1) -> None:
        """Let the hypotheses of at least that weight learn how much each stage matters."""
        for posterior, weight in zip(self.posteriors, self.weights(scores), strict=True):
            if weight >= least:
                posterior.adapt(scores)

    def drop(self, keep: int) -> None:
        """Forget all trials but the first `keep`."""
        for posterior in self.posteriors:
            posterior.drop(keep)

    def weights(self, scores: Array) -> Array:
        """Probability of each hypothesis given the scores."""
        logs = self._log_prior + [p.log_evidence(scores) for p in self.posteriors]
        return np.asarray(np.exp(logs - logsumexp(logs)))

    def outlooks(self, scores: Array, wiggle: float = 0.0) -> list[Outlook]:
        """Each hypothesis' posterior over the candidates; `wiggle` as in `Posterior.outlook`."""
        return [posterior.outlook(scores, wiggle) for posterior in self.posteriors]
