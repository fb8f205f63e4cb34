"""Bayesian optimisation with a Gaussian process whose posterior is exact over the whole space.

A task's space is finite, so the acquisition function needs no optimiser of its own: the posterior
of every affordable configuration is kept up to date trial by trial (`gp_model.py`), and the one of
largest expected improvement is asked.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from agents.archive import Archive
from agents.card import TaskCard
from agents.design import spread_design
from agents.encoding import MAX_POOL, Encoding, sample_indices
from agents.gp_model import KernelShape, Posterior, fit
from simulator import Ask, Configuration, Trial
from simulator.errors import UsageError

Floats = NDArray[np.float64]

_MAX_NUMBERS = 4e7
"""Candidates times trials kept at once: 320 MB."""


class GaussianProcess:
    """Expected improvement over all affordable configurations.

    Settings:

    - `warm_start`: trials of the spread design before the model is asked (default: three more than
      the task has stages);
    - `refit`: the kernel's parameters are fitted again when the trials have grown by this factor
      (default 1.15), and at every trial while there are few;
    - `candidates`: most configurations compared at once (default 200,000, and never more than
      4e7 over the number of trials). Where the budget affords more, a random sample of them and all
      that differ from the best one in a single stage are compared, drawn anew at each fit.

    Where several are asked before they are told, the model takes the pending ones as told with its
    own expectation. An infeasible trial is not asked again and teaches the model nothing.
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        warm_start: int | None = None,
        refit: float = 1.15,
        candidates: int = MAX_POOL,
    ) -> None:
        if warm_start is not None and warm_start < 2:
            raise UsageError(f"gp: warm_start must be at least 2, not {warm_start}")
        if refit <= 1.0:
            raise UsageError(f"gp: refit must be above 1, not {refit}")
        if candidates < 1:
            raise UsageError(f"gp: candidates must be at least 1, not {candidates}")
        self._card, self._rng = card, rng
        self._encoding = Encoding(card)
        self._archive = Archive(self._encoding, rng)
        n_start = warm_start if warm_start is not None else card.space.n_stages + 3
        self._design = spread_design(self._encoding, rng, n_start)[::-1]
        self._limit = max(1000, int(min(candidates, _MAX_NUMBERS / (card.trials + card.workers))))
        self._refit_factor, self._refit_at = refit, 2
        self._shape = KernelShape(tuple(card.space.n_models.tolist()), self._encoding.units)
        self._theta = self._shape.priors[:, 0].copy()
        self._rows: list[NDArray[np.int64]] = []
        self._scores: list[float] = []
        self._pool: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._open: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._posterior: Posterior | None = None

    def ask(self) -> Configuration | Ask:
        self._archive.require_left()
        while self._design:
            cell = self._design.pop()
            if self._archive.fresh(cell):
                return self._asked(cell)
        if len(self._scores) < 2:
            cells = self._encoding.cells
            return self._asked(
                self._archive.nearest_fresh(int(cells[int(self._rng.integers(len(cells)))]))
            )
        return self._asked(self._best_candidate())

    def tell(self, trial: Trial) -> None:
        cell = self._archive.tell(trial)
        self._close(cell)
        if trial.score is None or trial.answered is None or trial.examples is not None:
            return
        answered = self._encoding.cell_of(trial.answered)
        if answered is None:
            return
        self._close(answered)
        self._scores.append(trial.score)
        self._rows.append(self._card.space.options(np.array([answered]))[0])
        if self._posterior is not None and len(self._scores) < self._refit_at:
            self._posterior.add(self._rows[-1], trial.score)

    def _best_candidate(self) -> int:
        posterior = self._ready_posterior()
        if not self._open.any():
            return self._archive.nearest_fresh(int(self._pool[0]))
        waiting = np.array(sorted(self._archive.pending), dtype=np.int64)
        pending = list(self._card.space.options(waiting)) if len(waiting) else []
        mean, sd, best = posterior.predict(pending)
        places = np.flatnonzero(self._open)
        value = expected_improvement(mean[places], sd[places], best)
        # All within rounding of the largest count as equal, whatever the machine's arithmetic.
        largest = float(value.max())
        ties = places[value >= largest - 1e-9 * max(1.0, abs(largest))]
        chosen = ties[0] if len(ties) == 1 else ties[int(self._rng.integers(len(ties)))]
        return int(self._pool[chosen])

    def _ready_posterior(self) -> Posterior:
        n = len(self._scores)
        posterior = self._posterior
        if posterior is not None and n < self._refit_at:
            return posterior
        rows = np.array(self._rows)
        self._theta = fit(self._shape, rows, np.array(self._scores), self._theta)
        self._refit_at = max(n + 1, math.ceil(self._refit_factor * n))
        if posterior is None or len(self._pool) < len(self._encoding.cells):
            posterior = self._draw_pool()
        posterior.rebuild(
            self._shape.tables(self._theta), math.exp(self._theta[-1]), rows, self._scores
        )
        return posterior

    def _draw_pool(self) -> Posterior:
        cells = self._encoding.cells
        if len(cells) > self._limit:
            drawn = cells[sample_indices(len(cells), self._limit, self._rng)]
            best = int(np.argmax(self._scores))
            near = self._archive.neighbours(int(self._rows[best] @ self._card.space.strides))
            cells = np.union1d(drawn, near)
        self._pool = cells
        self._open = ~np.isin(cells, np.fromiter(self._archive.asked, dtype=np.int64))
        self._posterior = Posterior(
            self._card.space.options(cells), self._card.trials + self._card.workers
        )
        return self._posterior

    def _asked(self, cell: int) -> Configuration:
        self._archive.ask(cell)
        self._close(cell)
        return self._card.space.configuration(cell)

    def _close(self, cell: int | None) -> None:
        if cell is None:
            return
        place = int(np.searchsorted(self._pool, cell))
        if place < len(self._pool) and self._pool[place] == cell:
            self._open[place] = False


def expected_improvement(mean: Floats, sd: Floats, best: float) -> Floats:
    """Logarithm of the expected improvement over `best`, finite however small it is.

    Away from the peak the plain formula underflows to zero, and all far candidates would tie
    (Ament et al. 2023). Where any candidate is within reach, those beyond it get minus infinity,
    which spares the slow formula.
    """
    z = (mean - best) / sd
    reach = z > -6.0
    if reach.any():
        value = np.full(z.shape, -np.inf)
        near = z[reach]
        density = np.exp(-0.5 * near * near) / math.sqrt(2.0 * math.pi)
        gain = density + near * ndtr(near)
        value[reach] = np.log(sd[reach] * np.maximum(gain, 1e-300))
        return value
    near = np.maximum(z, -1e4)
    scaled = math.sqrt(math.pi / 2.0) * near * erfcx(-near / math.sqrt(2.0))
    tail = np.where(z < -1e4, -2.0 * np.log(-z), np.log1p(scaled))
    return np.asarray(np.log(sd) - 0.5 * z * z - 0.5 * math.log(2.0 * math.pi) + tail)
