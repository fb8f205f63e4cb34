"""The Gaussian process: its gradient, its incremental posterior, its acquisition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import norm

from agents import TaskCard, create
from agents.gp import expected_improvement
from agents.gp_model import KernelShape, Posterior, _Objective
from agents.testing import run_trials, small_table
from simulator import Simulator
from simulator.errors import UsageError

UNITS = np.linspace(0.0, 1.0, 6)
SHAPE = KernelShape((2, 3), (UNITS, UNITS))
ALL = np.stack(np.meshgrid(np.arange(12), np.arange(18), indexing="ij"), -1).reshape(-1, 2)
THETA = np.array([-0.7, -0.2, 0.3, 0.9, -4.0])


def data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return ALL[rng.choice(len(ALL), n, replace=False)], rng.normal(size=n)


@pytest.mark.parametrize("seed", range(5))
def test_gradient_is_that_of_the_objective(seed: int) -> None:
    objective = _Objective(SHAPE, *data(15, seed))
    at = THETA + np.random.default_rng(seed).normal(scale=0.3, size=5)
    numeric = approx_fprime(at, lambda t: objective(t)[0], 1e-6)
    np.testing.assert_allclose(objective(at)[1], numeric, rtol=1e-3, atol=1e-4)


def test_posterior_is_that_of_the_textbook() -> None:
    rows, scores = data(20)
    eta, tables = 1e-3, SHAPE.tables(THETA)
    posterior = Posterior(ALL, 4)
    posterior.rebuild(tables, eta, rows[:12], scores[:12].tolist())
    for row, score in zip(rows[12:], scores[12:], strict=True):
        posterior.add(row, score)
    mean, sd, _ = posterior.predict()

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.prod([t[np.ix_(a[:, i], b[:, i])] for i, t in enumerate(tables)], axis=0)

    inverse = np.linalg.inv(kernel(rows, rows) + eta * np.eye(20))
    mu = (inverse.sum(0) @ scores) / inverse.sum()
    across = kernel(rows, ALL)
    np.testing.assert_allclose(mean, mu + across.T @ inverse @ (scores - mu), atol=1e-8)
    variance = 1.0 - np.einsum("ij,ij->j", across, inverse @ across)
    np.testing.assert_allclose((sd / sd.max()) ** 2, variance / variance.max(), atol=1e-6)


def test_pending_asks_take_variance_away_and_leave_the_mean() -> None:
    rows, scores = data(10)
    posterior = Posterior(ALL, 4)
    posterior.rebuild(SHAPE.tables(THETA), 1e-3, rows, scores.tolist())
    mean, sd, _ = posterior.predict()
    pending = [ALL[7], ALL[100]]
    mean_after, sd_after, _ = posterior.predict(pending)
    np.testing.assert_array_equal(mean, mean_after)
    assert (sd_after <= sd + 1e-12).all()
    assert sd_after[7] < 0.2 * sd[7]
    np.testing.assert_array_equal(posterior.predict()[1], sd)


def test_log_expected_improvement() -> None:
    mean, sd = np.array([0.0, 0.5, -1.0]), np.array([1.0, 0.3, 0.5])
    z = mean / sd
    plain = sd * (z * norm.cdf(z) + norm.pdf(z))
    np.testing.assert_allclose(expected_improvement(mean, sd, 0.0), np.log(plain), rtol=1e-9)


def test_log_expected_improvement_ranks_what_underflows() -> None:
    far = expected_improvement(-np.array([10.0, 40.0, 1e3, 1e6]), np.ones(4), 0.0)
    assert np.isfinite(far).all()
    assert (np.diff(far) < 0).all()
    assert far[0] == pytest.approx(np.log(norm.pdf(10) - 10 * norm.sf(10)), rel=1e-6)


def test_a_sample_of_the_candidates_still_searches() -> None:
    simulator = Simulator(small_table(3, (1, 2, 3, 5, 10, 20, 50)), budget=400)
    card = TaskCard.of(simulator, trials=40)
    assert len(card.feasible_cells) > 1000
    found = run_trials(create("gp", card, 0, candidates=1000), simulator, 40)
    assert len(set(found.asked)) == 40
    assert found.best >= simulator.optimum.score - 0.03


@pytest.mark.parametrize(
    ("setting", "value"), [("warm_start", 1), ("refit", 1.0), ("candidates", 0)]
)
def test_settings_are_checked(setting: str, value: float) -> None:
    card = TaskCard.of(Simulator(small_table(), budget=250))
    with pytest.raises(UsageError, match=setting):
        create("gp", card, 0, **{setting: value})
