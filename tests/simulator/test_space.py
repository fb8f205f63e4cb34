"""The dense index: cells to configurations and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from simulator import Configuration, Task
from simulator.errors import InvalidConfiguration
from simulator.space import MAX_CELLS, Space
from simulator.table import toy_task
from tests.simulator.cases import tasks
from tests.simulator.twins import Grid


@given(tasks())
def test_cells_and_configurations_are_one_to_one(task: Task) -> None:
    space = Space(task)
    costs = [np.zeros((len(s.models), s.samples[-1] + 1)) for s in task.stages]
    grid = Grid.of(task, costs)
    assert space.n_cells == len(grid.models)
    cells = np.arange(space.n_cells)
    asked = space.asked_of_cells(cells)
    np.testing.assert_array_equal(asked[..., 0], grid.models)
    np.testing.assert_array_equal(asked[..., 1], grid.samples)
    np.testing.assert_array_equal(space.options(cells) @ space.strides, cells)
    for cell in cells[:: max(1, space.n_cells // 10)].tolist():
        configuration = space.configuration(cell)
        assert space.cell(configuration) == cell
        np.testing.assert_array_equal(space.indices(configuration), asked[cell])
        assert space.from_indices(asked[cell]) == configuration
        assert Configuration.parse(str(configuration)) == configuration


def test_off_the_grid_is_no_cell() -> None:
    space = Space(toy_task({"a": [1, 5]}))
    assert space.cell(Configuration.parse("a=large:4")) == -1
    assert space.cell(Configuration.parse("a=large:5")) == 3


def test_stages_in_another_order_are_the_same_configuration() -> None:
    space = Space(toy_task({"a": [1], "b": [1, 2]}))
    other = Configuration.parse("b=large:2,a=small:1")
    assert str(space.canonical(other)) == "a=small:1,b=large:2"


def test_a_grid_too_large_for_a_dense_table() -> None:
    wide = {name: list(range(1, 1001)) for name in "abc"}
    with pytest.raises(
        InvalidConfiguration, match=f"{2000**3:,} cells is more than .*{MAX_CELLS:,}"
    ):
        Space(toy_task(wide))


@pytest.mark.parametrize(
    "asked", [np.zeros((2, 2)), np.zeros((2, 1, 2)), np.zeros((2, 3, 2)), np.zeros((2, 2, 3))]
)
def test_arrays_of_the_wrong_shape(asked: np.ndarray) -> None:
    with pytest.raises(InvalidConfiguration, match=r"must have the shape \(n, 2, 2\), not \("):
        Space(toy_task({"a": [1], "b": [1]})).check(asked.astype(int))


@pytest.mark.parametrize("dtype", [float, bool, object])
def test_arrays_of_another_type(dtype: type) -> None:
    with pytest.raises(InvalidConfiguration, match="must be whole numbers, not"):
        Space(toy_task({"a": [1]})).check(np.ones((1, 1, 2), dtype=dtype))
