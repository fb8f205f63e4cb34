"""What every optimiser sees of a configuration: (model, samples) of each stage as numbers.

A stage's model is a category. Its samples are a point in [0, 1], the position of the sample count
on a logarithmic scale between the stage's least and largest count, because a score moves with the
logarithm of the samples: from 1 to 2 matters as much as from 50 to 100. Both are properties of one
grid point (an *option*), so a configuration on the grid is one row of small integers, and what an
optimiser proposes between grid points goes to the nearest one by log samples.

The budget is a known constraint: the card has the cost formula. It enters twice. Options that no
affordable configuration can hold (too dear even beside the cheapest of every other stage) are no
part of the search space at all; what remains has a `violation`, its cost over the budget as a share
of the budget, which is what an optimiser that handles constraints is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.card import TaskCard
from simulator import Configuration
from simulator.errors import AgentTTSError

MAX_POOL = 200_000
"""Largest number of feasible cells that an optimiser compares at once; of more, a random sample."""


class StageOptions(NamedTuple):
    """One stage's part of the search space.

    `models` are the model indices that some affordable configuration uses, shape (k,);
    `largest[j]` is the grid position of the most samples that model `models[j]` can have in one.
    """

    name: str
    models: NDArray[np.int64]
    largest: NDArray[np.int64]


@dataclass(frozen=True)
class Encoding:
    """Grid cells of a card as (model, samples) coordinates, and back.

    >>> from simulator import LookupTable, Simulator
    >>> table = LookupTable.from_function({"a": [1, 10, 100]}, lambda c: 0.0)
    >>> encoding = Encoding(TaskCard.of(Simulator(table, budget=1000)))
    >>> encoding.units[0].tolist()
    [0.0, 0.5, 1.0]
    >>> encoding.cell([1], [encoding.nearest(0, 0.6)])
    4
    """

    card: TaskCard

    @property
    def n_stages(self) -> int:
        return self.card.space.n_stages

    @cached_property
    def units(self) -> tuple[NDArray[np.float64], ...]:
        """Per stage the position of each grid point on the log scale, in [0, 1], shape (grid,)."""
        return tuple(_log_scale(grid) for grid in self.card.space.grids)

    @cached_property
    def stages(self) -> tuple[StageOptions, ...]:
        """Models and samples that occur in at least one affordable configuration."""
        cheapest = [float(np.nanmin(costs)) for costs in self.card.option_costs]
        total = sum(cheapest)
        found = []
        for i, stage in enumerate(self.card.stages):
            room = self.card.limit - (total - cheapest[i])
            costs = self.card.option_costs[i].reshape(len(stage.models), -1)
            within = costs <= room + 1e-12 * abs(room)
            models = np.flatnonzero(within.any(axis=1))
            last = within.shape[1] - 1 - np.argmax(within[models, ::-1], axis=1)
            found.append(StageOptions(stage.name, models, last))
        return tuple(found)

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """Affordable grid cells, ascending, shape (n,)."""
        return self.card.feasible_cells

    def pool(self, rng: np.random.Generator, limit: int = MAX_POOL) -> NDArray[np.int64]:
        """Affordable cells, ascending; a random sample of `limit` of them where there are more."""
        if len(self.cells) <= limit:
            return self.cells
        return self.cells[sample_indices(len(self.cells), limit, rng)]

    # One configuration ----------------------------------------------------------------------------

    def nearest(self, stage: int, unit: float, largest: int | None = None) -> int:
        """Grid position nearest to a point of [0, 1] on the log scale, up to `largest`."""
        units = self.units[stage] if largest is None else self.units[stage][: largest + 1]
        return int(np.argmin(np.abs(units - unit)))

    def cell(self, models: Sequence[int], positions: Sequence[int]) -> int:
        """The cell of one model index and one grid position a stage."""
        space = self.card.space
        cell = 0
        for model, position, n, stride in zip(
            models, positions, space.n_grid.tolist(), space.strides.tolist(), strict=True
        ):
            cell += (int(model) * n + int(position)) * stride
        return cell

    def parts(self, cell: int) -> tuple[list[int], list[int]]:
        """Model indices and grid positions of a cell, one a stage."""
        models, positions = [], []
        space = self.card.space
        for stride, n in zip(space.strides.tolist(), space.n_grid.tolist(), strict=True):
            option, cell = divmod(cell, stride)
            model, position = divmod(option, n)
            models.append(model)
            positions.append(position)
        return models, positions

    def cost(self, cell: int) -> float:
        """Cost of a cell in the card's unit."""
        total = 0.0
        for costs, stride in zip(self.card.option_costs, self.card.space.strides, strict=True):
            option, cell = divmod(cell, int(stride))
            total += float(costs[option])
        return total

    def violation(self, cell: int) -> float:
        """By how much of the budget a cell is over it; 0 or less where it is affordable."""
        excess = self.cost(cell) - self.card.limit
        return excess / self.card.budget if self.card.budget > 0 else excess

    def cell_of(self, configuration: Configuration) -> int | None:
        """The cell of a told configuration, `None` where it is none of the grid's."""
        try:
            cell = self.card.space.cell(configuration)
        except AgentTTSError:
            return None
        return cell if cell >= 0 else None

    # Many cells -----------------------------------------------------------------------------------

    def coordinates(
        self, cells: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Model indices and log positions of cells, each of shape (n, stages)."""
        options = self.card.space.options(cells)
        models = options // self.card.space.n_grid
        units = np.empty(options.shape)
        for i, grid in enumerate(self.units):
            units[:, i] = grid[options[:, i] % len(grid)]
        return models, units

    def distances(self, cells: NDArray[np.integer], cell: int) -> NDArray[np.float64]:
        """How far each cell is from one: over stages, 1 for another model plus log positions."""
        options = self.card.space.options(cells)
        here = self.card.space.options(np.array([cell]))[0]
        total = np.zeros(len(options))
        for i, (units, n) in enumerate(zip(self.units, self.card.space.n_grid, strict=True)):
            numbers = np.arange(int(self.card.space.n_options[i]))
            model, position = divmod(int(here[i]), int(n))
            table = (numbers // n != model) + np.abs(units[numbers % n] - units[position])
            total += table[options[:, i]]
        return total


def sample_indices(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """About `size` distinct numbers below `n`, ascending, without permuting all `n`."""
    return np.unique(rng.integers(0, n, size=size))


def _log_scale(grid: NDArray[np.int64]) -> NDArray[np.float64]:
    logs = np.log(grid.astype(np.float64))
    span = logs[-1] - logs[0]
    return (logs - logs[0]) / span if span > 0 else np.zeros(len(grid))
