"""Plain NumPy twins of the kernels: slow, obvious, over every cell of the grid.

They follow the written rules (what a lookup does with a configuration that is not on the grid) and
share nothing with the kernels: cells are enumerated as a product, distances are whole numbers over
a common denominator of any size, costs are added up as they are given.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from simulator.task import Task

OVER_BUDGET, NO_NEIGHBOUR, TOO_FAR, NOT_IN_TABLE, INVALID = (
    "over budget", "no neighbour", "too far", "not in table", "invalid",
)  # fmt: skip

Answer = int | str


@dataclass(frozen=True)
class Grid:
    """Every cell of a task in order, and what each stage costs: `costs[stage][model][samples]`.

    Costs may be floats or fractions.
    """

    task: Task
    costs: Sequence[Sequence[Sequence[float | Fraction]]]
    models: NDArray[np.int64]
    samples: NDArray[np.int64]
    totals: list[float | Fraction]

    @classmethod
    def of(cls, task: Task, costs: Sequence[Sequence[Sequence[float | Fraction]]]) -> Grid:
        options = [
            [(m, s) for m in range(len(stage.models)) for s in stage.samples]
            for stage in task.stages
        ]
        cells = np.array(list(itertools.product(*options)), dtype=np.int64)
        cells = cells.reshape(-1, len(task.stages), 2)
        totals = [sum(costs[i][m][s] for i, (m, s) in enumerate(cell)) for cell in cells.tolist()]
        return cls(task, costs, cells[:, :, 0], cells[:, :, 1], totals)

    def valid(self, asked: NDArray[np.int64]) -> bool:
        return all(
            0 <= m < len(stage.models) and 1 <= s <= max(stage.samples)
            for stage, (m, s) in zip(self.task.stages, asked.tolist(), strict=True)
        )

    def cost(self, asked: NDArray[np.int64]) -> float | Fraction:
        return sum(self.costs[i][m][s] for i, (m, s) in enumerate(asked.tolist()))

    def distances(self, asked: NDArray[np.int64]) -> tuple[NDArray[np.object_], int]:
        """Distance to every cell in parts of `scale`, exact; other models are not compared."""
        weights = []
        for stage, model in zip(self.task.stages, asked[:, 0].tolist(), strict=True):
            largest = max(Fraction(repr(m.parameters)) for m in stage.models)
            own = Fraction(repr(stage.models[model].parameters))
            weights.append(1 / (4 * largest / own - 3))
        scale = math.lcm(*[weight.denominator for weight in weights])
        away = np.abs(self.samples - asked[:, 1]).astype(object)
        return away @ np.array([int(weight * scale) for weight in weights], dtype=object), scale


def match(
    grid: Grid, scores: NDArray[np.float64], asked: NDArray[np.int64], limit: float, mode: str
) -> Answer:
    """The answering cell, or why there is none; `limit` is the largest cost allowed."""
    if not grid.valid(asked):
        return INVALID
    on_grid = all(
        s in stage.samples for stage, s in zip(grid.task.stages, asked[:, 1].tolist(), strict=True)
    )
    if mode == "exact":
        if not on_grid:
            return NOT_IN_TABLE
        if grid.cost(asked) > limit:
            return OVER_BUDGET
        here = (grid.models == asked[:, 0]).all(axis=1) & (grid.samples == asked[:, 1]).all(axis=1)
        cell = int(np.flatnonzero(here)[0])
        return NOT_IN_TABLE if np.isnan(scores[cell]) else cell
    if grid.cost(asked) > limit:
        return OVER_BUDGET
    same_models = (grid.models == asked[:, 0]).all(axis=1) & ~np.isnan(scores)
    candidates = [c for c in np.flatnonzero(same_models).tolist() if grid.totals[c] <= limit]
    if not candidates:
        return NO_NEIGHBOUR
    distance, scale = grid.distances(asked)

    def rank(cell: int) -> tuple[object, ...]:
        if mode == "paper":
            return distance[cell], -scores[cell], grid.totals[cell], cell
        return distance[cell], grid.totals[cell], cell

    best = min(candidates, key=rank)
    if mode == "paper" and distance[best] > grid.task.paper_distance * scale:
        return TOO_FAR
    return best


def interpolate(
    grid: Grid, scores: NDArray[np.float64], values: NDArray[np.float64],
    asked: NDArray[np.int64], limit: float,
) -> float | str:  # fmt: skip
    """Linear in log(samples), one stage after the other, the last stage first."""
    if not grid.valid(asked):
        return INVALID
    if any(s < min(stage.samples) for stage, s in zip(grid.task.stages, asked[:, 1], strict=True)):
        return NOT_IN_TABLE
    if grid.cost(asked) > limit:
        return OVER_BUDGET
    shape = [n for stage in grid.task.stages for n in (len(stage.models), len(stage.samples))]
    cube = np.where(np.isnan(scores), np.nan, values).reshape(shape)
    for stage, (model, samples) in zip(
        reversed(grid.task.stages), reversed(asked.tolist()), strict=True
    ):
        cube = cube[..., model, :]
        points = list(stage.samples)
        if samples in points:
            cube = cube[..., points.index(samples)]
            continue
        above = next(k for k, point in enumerate(points) if point > samples)
        low, high = math.log(points[above - 1]), math.log(points[above])
        share = (math.log(samples) - low) / (high - low)
        cube = (1 - share) * cube[..., above - 1] + share * cube[..., above]
    return NOT_IN_TABLE if np.isnan(cube) else float(cube)


def best_cell(grid: Grid, scores: NDArray[np.float64], limit: float) -> int:
    """Highest score within the budget; ties cheaper, then lower index; -1 where there is none."""
    cells = [c for c in range(len(scores)) if grid.totals[c] <= limit and not np.isnan(scores[c])]
    return min(cells, key=lambda c: (-scores[c], grid.totals[c], c), default=-1)


def best_so_far_of_draws(
    words: NDArray[np.uint32], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each word is a share of 2**32 of the way through `values`."""
    picked = [[values[int(word) * len(values) // 2**32] for word in row] for row in words]
    return np.maximum.accumulate(np.array(picked), axis=1)


def weighted_means(
    outcomes: NDArray[np.float64], rows: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means of some rows of (rows, examples) under each row of weights (draws, examples)."""
    repeated = [
        np.repeat(outcomes[rows], counts.astype(int), axis=1).mean(axis=1) for counts in weights
    ]
    return np.array(repeated).T
