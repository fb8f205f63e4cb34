"""A Gaussian process over a finite space: fitted to trials, exact over all candidates at once.

The space is a product of stages, and a stage has few options (model, grid point). So is the kernel:

    k(x, x') = prod over stages of  Matern52(|u - u'| / length) * (1 if same model else rho)

with u the log position of the samples. Length scales and correlations between models are each
stage's own. A stage's factor is a small matrix over its options, and the kernel between a trial and
every candidate is a product of rows looked up in those matrices.

Scores are y ~ Normal(mu, s2 * (K + eta * I)). mu and s2 are integrated out or profiled in closed
form; lengths, correlations and the noise share eta are found by maximising the restricted
likelihood times the priors below, with its analytic gradient (Rasmussen and Williams 2006, 5.4.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SQRT5 = math.sqrt(5.0)

# Prior of each parameter on its own scale: (mean, standard deviation, lower, upper bound).
LOG_LENGTH = (math.log(0.6), 0.7, math.log(0.05), math.log(10.0))
LOGIT_RHO = (0.5, 1.2, -4.0, 5.0)
LOG_NOISE = (math.log(1e-3), 1.5, math.log(1e-6), math.log(0.5))
_SCALE_PRIOR = 1.0


@dataclass(frozen=True)
class KernelShape:
    """Which parameters the kernel of a task has, from each stage's models and log positions."""

    n_models: tuple[int, ...]
    units: tuple[Floats, ...]

    @property
    def lengths(self) -> list[int]:
        """Stages with a length scale: those with more than one grid point."""
        return [i for i, u in enumerate(self.units) if len(u) > 1]

    @property
    def rhos(self) -> list[int]:
        """Stages with a correlation between models: those with more than one."""
        return [i for i, n in enumerate(self.n_models) if n > 1]

    @property
    def priors(self) -> Floats:
        """Prior mean, deviation and bounds of each parameter, shape (parameters, 4)."""
        rows = [LOG_LENGTH] * len(self.lengths) + [LOGIT_RHO] * len(self.rhos) + [LOG_NOISE]
        return np.array(rows)

    def tables(self, theta: Floats) -> list[Floats]:
        """Per stage the kernel's factor between its options, shape (options, options)."""
        length = dict(zip(self.lengths, np.exp(theta), strict=False))
        rho = dict(zip(self.rhos, _sigmoid(theta[len(self.lengths) :]), strict=False))
        out: list[Floats] = []
        for i, (n, units) in enumerate(zip(self.n_models, self.units, strict=True)):
            gaps = np.abs(units[:, None] - units[None, :])
            curve: Floats = _matern(gaps / length[i]) if i in length else np.ones(gaps.shape)
            models = np.full((n, n), rho.get(i, 1.0))
            np.fill_diagonal(models, 1.0)
            out.append(np.kron(models, curve))
        return out


def fit(shape: KernelShape, options: Ints, scores: Floats, start: Floats) -> Floats:
    """Parameters of largest restricted posterior density, by L-BFGS-B from `start`.

    `options` has shape (n, stages), `scores` shape (n,). The result is rounded to two decimals, far
    below what the data can tell, so that the last bits of a machine's arithmetic cannot show in
    what is asked next.
    """
    objective = _Objective(shape, options, scores)
    bounds = [(low, high) for _, _, low, high in shape.priors]
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 40, "ftol": 1e-6, "gtol": 1e-4},
    )  # fmt: skip
    return np.asarray(np.round(found.x, 2), dtype=np.float64)


class _Objective:
    """Negative log restricted posterior of the parameters and its gradient."""

    def __init__(self, shape: KernelShape, options: Ints, scores: Floats) -> None:
        self._shape, self._priors = shape, shape.priors
        spread = float(scores.std())
        self._y = (scores - scores.mean()) / (spread if spread > 0 else 1.0)
        self._gaps, self._other = [], []
        for i in shape.lengths:
            u = shape.units[i][options[:, i] % len(shape.units[i])]
            self._gaps.append(_SQRT5 * np.abs(u[:, None] - u[None, :]))
        for i in shape.rhos:
            m = options[:, i] // len(shape.units[i])
            self._other.append((m[:, None] != m[None, :]).astype(np.float64))

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        y, n = self._y, len(self._y)
        n_lengths, n_rhos = len(self._gaps), len(self._other)
        K = np.ones((n, n))
        slopes: list[Floats] = []
        exponent = np.zeros((n, n))
        for gap, log_length in zip(self._gaps, theta, strict=False):
            r = gap * math.exp(-log_length)
            square = r * r / 3.0
            base = 1.0 + r + square
            K *= base
            exponent += r
            slopes.append(square * (1.0 + r) / base)
        rho = _sigmoid(theta[n_lengths : n_lengths + n_rhos])
        for other, value in zip(self._other, rho, strict=True):
            exponent -= math.log(value) * other
            slopes.append(other * (1.0 - value))
        K *= np.exp(-exponent)
        eta = math.exp(theta[-1])
        C = K.copy()
        C[np.diag_indices(n)] += eta + 1e-9
        L = cholesky(C, lower=True, check_finite=False)
        inverse = cho_solve((L, True), np.eye(n), check_finite=False)
        w = inverse.sum(axis=1)
        total = float(w.sum())
        mu = float(w @ y) / total
        alpha = inverse @ (y - mu)
        quad = float((y - mu) @ alpha)
        shape2 = n - 1 + 2.0 * _SCALE_PRIOR
        scale = (quad + 2.0 * _SCALE_PRIOR) / shape2
        value = (
            0.5 * shape2 * math.log(scale) + float(np.log(np.diag(L)).sum()) + 0.5 * math.log(total)
        )
        G = inverse - np.outer(alpha, alpha) / scale - np.outer(w, w) / total
        GK = G * K
        gradient = np.array([float(np.vdot(GK, slope)) for slope in slopes] + [0.0])
        gradient[-1] = eta * float(np.trace(G))
        gradient *= 0.5
        away = (theta - self._priors[:, 0]) / self._priors[:, 1]
        return value + 0.5 * float(away @ away), gradient + away / self._priors[:, 1]


class Posterior:
    """Mean and variance of the scores of all candidates, given trials and parameters.

    `options` has shape (candidates, stages). With L the Cholesky factor of the trials' covariance
    and V = L^-1 K(trials, candidates), one more trial is one more row of each, in time
    (trials x candidates); nothing is solved again until the parameters change.
    """

    def __init__(self, options: Ints, capacity: int) -> None:
        self._columns = [np.ascontiguousarray(column) for column in options.T.astype(np.intp)]
        self.n_candidates = len(options)
        self._V = np.empty((0, self.n_candidates))
        self._L = np.zeros((0, 0))
        self._capacity = max(capacity, 8)
        self._tables: list[Floats] = []
        self._eta = 0.0
        self._rows = np.empty((0, options.shape[1]), dtype=np.int64)
        self._y: list[float] = []

    def __len__(self) -> int:
        return len(self._y)

    def rebuild(
        self, tables: list[Floats], eta: float, rows: Ints, scores: Sequence[float]
    ) -> None:
        """Start again from trials `rows`, shape (n, stages), with other kernel factors."""
        n = len(rows)
        self._tables, self._eta = tables, eta
        self._rows, self._y = np.asarray(rows, dtype=np.int64), [float(s) for s in scores]
        self._reserve(n)
        K = np.ones((n, n))
        for i, table in enumerate(tables):
            K *= table[np.ix_(rows[:, i], rows[:, i])]
        K[np.diag_indices(n)] += eta
        L = cholesky(K, lower=True, check_finite=False)
        self._L[:n, :n] = L
        inverse = solve_triangular(L, np.eye(n), lower=True, check_finite=False)
        V = self._V[:n]
        # Blocks of candidates that stay in the processor's cache from the look-up to the product.
        for begin in range(0, self.n_candidates, 4096):
            end = min(begin + 4096, self.n_candidates)
            block = np.ones((n, end - begin))
            for i, table in enumerate(tables):
                block *= table[rows[:, i]][:, self._columns[i][begin:end]]
            V[:, begin:end] = inverse @ block
        self._variance = 1.0 - np.einsum("ij,ij->j", V, V)
        self._beta_y = list(inverse @ np.asarray(self._y))
        self._beta_1 = list(inverse.sum(axis=1))
        self._mean_y = np.asarray(self._beta_y) @ V
        self._mean_1 = np.asarray(self._beta_1) @ V

    def add(self, row: Ints, score: float) -> None:
        """One more trial, of options `row` (stages,)."""
        n = len(self)
        self._reserve(n + 1)
        part, diagonal = self._extend(row, n)
        by = (score - float(part @ np.asarray(self._beta_y))) / diagonal
        b1 = (1.0 - float(part @ np.asarray(self._beta_1))) / diagonal
        v = self._V[n]
        self._variance -= v * v
        self._mean_y += by * v
        self._mean_1 += b1 * v
        self._rows = np.vstack([self._rows, row])
        self._y.append(float(score))
        self._beta_y.append(by)
        self._beta_1.append(b1)

    def predict(self, pending: Sequence[Ints] = ()) -> tuple[Floats, Floats, float]:
        """Mean and standard deviation of every candidate's score, and the best mean so far.

        Asks that are `pending` count as told with what the model expects of them: that leaves the
        mean as it is and takes the variance away where they are.
        """
        n = len(self)
        mu, scale = self._location()
        mean = mu + (self._mean_y - mu * self._mean_1)
        variance = self._variance
        if pending:
            self._reserve(n + len(pending))
            rows, factor = self._rows, self._rows
            variance = variance.copy()
            for k, row in enumerate(pending):
                self._rows = factor
                self._extend(row, n + k)
                factor = np.vstack([factor, row])
                variance -= self._V[n + k] ** 2
            self._rows = rows
        sd = np.sqrt(np.maximum(variance, 1e-12) * scale)
        return mean, sd, self._best(mu)

    def mean_at(self, index: int) -> float:
        """Posterior mean of one candidate."""
        mu, _ = self._location()
        return float(mu + self._mean_y[index] - mu * self._mean_1[index])

    def _location(self) -> tuple[float, float]:
        """mu and s2, by generalised least squares and with the prior on s2."""
        by, b1 = np.asarray(self._beta_y), np.asarray(self._beta_1)
        mu = float(b1 @ by) / float(b1 @ b1)
        away = by - mu * b1
        spread = float(np.var(self._y)) if len(self) > 1 else 1.0
        prior = _SCALE_PRIOR * (spread if spread > 0 else 1e-12)
        return mu, (float(away @ away) + 2.0 * prior) / (len(self) - 1 + 2.0 * _SCALE_PRIOR)

    def _best(self, mu: float) -> float:
        """The highest posterior mean among the trials, which noise cannot have lifted."""
        n = len(self)
        away = np.asarray(self._beta_y) - mu * np.asarray(self._beta_1)
        alpha = solve_triangular(self._L[:n, :n], away, lower=True, trans=1, check_finite=False)
        return float(np.max(np.asarray(self._y) - self._eta * alpha))

    def _extend(self, row: Ints, n: int) -> tuple[Floats, float]:
        """Write row n of L and V for a trial of options `row`."""
        column = self._tables[0][row[0]][self._columns[0]]
        near = self._tables[0][row[0]][self._rows[:n, 0]]
        for i in range(1, len(self._tables)):
            column *= self._tables[i][row[i]][self._columns[i]]
            near = near * self._tables[i][row[i]][self._rows[:n, i]]
        part = (
            solve_triangular(self._L[:n, :n], near, lower=True, check_finite=False) if n else near
        )
        diagonal = math.sqrt(max(1.0 + self._eta - float(part @ part), 1e-10))
        self._L[n, :n], self._L[n, n] = part, diagonal
        column -= part @ self._V[:n]
        np.divide(column, diagonal, out=self._V[n])
        return part, diagonal

    def _reserve(self, n: int) -> None:
        if n <= len(self._V):
            return
        size = max(n, self._capacity, 2 * len(self._V))
        V, L = np.empty((size, self.n_candidates)), np.zeros((size, size))
        V[: len(self._V)] = self._V
        L[: len(self._L), : len(self._L)] = self._L
        self._V, self._L = V, L


def _matern(r: Floats) -> Floats:
    scaled = _SQRT5 * r
    return np.asarray((1.0 + scaled + scaled * scaled / 3.0) * np.exp(-scaled))


def _sigmoid(t: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-t)))
