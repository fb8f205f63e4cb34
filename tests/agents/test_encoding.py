"""The encoding of (model, samples) pairs, the archive, the starting design and the grid's order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import TaskCard
from agents.archive import Archive
from agents.design import spread_design
from agents.encoding import Encoding
from agents.grid_search import coarse_to_fine
from agents.testing import small_table
from simulator import Simulator
from simulator.errors import SearchFinished


def encoding(stages: int, budget_at: float) -> Encoding:
    table = small_table(stages, (1, 3, 10, 30))
    costs = np.sort(Simulator(table, 1e12).cell_costs)
    budget = max(float(costs[int(budget_at * (len(costs) - 1))]), float(costs[0]), 1.0)
    return Encoding(TaskCard.of(Simulator(table, budget)))


cases = settings(max_examples=40, deadline=None)
encodings = st.builds(encoding, st.integers(1, 3), st.floats(0.0, 1.0))


@cases
@given(encodings)
def test_cells_come_back_from_their_parts(made: Encoding) -> None:
    for cell in made.cells[:50].tolist():
        assert made.cell(*made.parts(cell)) == cell
        assert made.violation(cell) <= 0
        configuration = made.card.space.configuration(cell)
        assert made.cost(cell) == pytest.approx(made.card.cost(configuration))


@cases
@given(encodings)
def test_stages_hold_exactly_what_some_affordable_configuration_has(made: Encoding) -> None:
    options = made.card.space.options(made.cells)
    for i, stage in enumerate(made.stages):
        n = int(made.card.space.n_grid[i])
        models, positions = options[:, i] // n, options[:, i] % n
        assert stage.models.tolist() == np.unique(models).tolist()
        for model, largest in zip(stage.models, stage.largest, strict=True):
            assert positions[models == model].max() == largest


@cases
@given(encodings)
def test_coarse_to_fine_is_every_affordable_cell_once(made: Encoding) -> None:
    assert np.array_equal(np.sort(coarse_to_fine(made)), made.cells)


def test_coarse_to_fine_starts_spread_out() -> None:
    made = encoding(2, 1.0)
    models, units = made.coordinates(coarse_to_fine(made)[:16])
    for i in range(2):
        assert set(models[:, i]) == {0, 1}
        assert np.ptp(units[:, i]) > 0.5


@cases
@given(encodings, st.integers(1, 12), st.integers(0, 9))
def test_design_is_distinct_and_affordable(made: Encoding, n: int, seed: int) -> None:
    cells = spread_design(made, np.random.default_rng(seed), n)
    assert len(set(cells)) == len(cells) == min(n, len(made.cells))
    assert set(cells) <= set(made.cells.tolist())


def test_design_gives_every_model_a_turn() -> None:
    made = encoding(3, 1.0)
    models, _ = made.coordinates(np.array(spread_design(made, np.random.default_rng(0), 4)))
    assert all(set(models[:, i]) == {0, 1} for i in range(3))


def test_nearest_fresh_walks_outward_until_nothing_is_left() -> None:
    made = encoding(2, 0.5)
    archive = Archive(made, np.random.default_rng(0))
    start = int(made.cells[0])
    away = []
    for _ in range(len(made.cells)):
        cell = archive.nearest_fresh(start)
        archive.ask(cell)
        away.append(float(made.distances(np.array([cell]), start)[0]))
    assert away == sorted(away)
    assert archive.asked == set(made.cells.tolist())
    with pytest.raises(SearchFinished, match="every affordable configuration"):
        archive.nearest_fresh(start)
