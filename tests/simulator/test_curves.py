"""Best-so-far curves of random search: the same by seed, and what theory says of them."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import LookupTable, Simulator
from simulator.curves import random_search_curves
from simulator.errors import TableError, UsageError


@pytest.fixture
def simulator() -> Simulator:
    """Ten feasible cells that score 0.1, 0.2, ... 1.0; the large model is over the budget."""
    table = LookupTable.from_function(
        {"a": range(1, 11)},
        lambda c: c.choices[0].samples / 10 + 5.0 * (c.choices[0].model != "small"),
    )
    return Simulator(table, budget=20)


def test_the_same_on_any_number_of_threads(simulator: Simulator) -> None:
    one = random_search_curves(simulator, 7, 20_000, seed=3, threads=1)
    assert one.shape == (20_000, 7)
    for threads in (2, 5):
        np.testing.assert_array_equal(
            random_search_curves(simulator, 7, 20_000, seed=3, threads=threads), one
        )
    np.testing.assert_array_equal(random_search_curves(simulator, 7, 9000, seed=3), one[:9000])
    assert (random_search_curves(simulator, 7, 20_000, seed=4) != one).any()


def test_the_best_of_n_draws_is_distributed_as_it_should(simulator: Simulator) -> None:
    """P(best of n <= k / 10) = (k / 10) ** n, in every chunk and at every trial."""
    curves = random_search_curves(simulator, 5, 20_000)
    assert (np.diff(curves, axis=1) >= 0).all()
    for part in (curves[:8192], curves[8192:]):
        for n in range(1, 6):
            for k in (3, 7, 9):
                share = (part[:, n - 1] <= k / 10 + 1e-9).mean()
                want = (k / 10) ** n
                assert abs(share - want) < 5 * np.sqrt(want * (1 - want) / len(part))


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"runs": -1}, {"runs": 1.5}, {"threads": -2}])
def test_counts(simulator: Simulator, wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name} must be a whole number from 1, not"):
        random_search_curves(simulator, **{"trials": 5, "runs": 5, **wrong})


def test_nothing_to_draw() -> None:
    table = LookupTable.from_function({"a": [1]}, lambda c: None)
    with pytest.raises(TableError, match="no score within the budget"):
        random_search_curves(Simulator(table, 100), 5, 5)
