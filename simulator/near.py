"""Which grid point answers each sample count by itself, and tables of it for the kernels.

Where the budget is not in the way and no hole is, the nearest cell is made of each stage's own
nearest grid point. `packed_options` says so for every option of a stage in one number, so that a
million lookups are a million sums of a few numbers; all else is left to the search in the kernels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator import kernels
from simulator.arrays import read_only
from simulator.cost import StageCosts
from simulator.space import Space


def nearest_positions(
    grid: NDArray[np.int64], costs: NDArray[np.float64], match: str
) -> NDArray[np.int64]:
    """Position in `grid` that answers each model and sample count, -1 where that is in doubt.

    `costs` and the result have shape (models, largest sample count + 1). Of two grid points as near
    the cheaper one answers: the lower one if it is not the dearer, and else there is doubt, as the
    costs of other stages may outweigh the difference. Under `exact` and `paper` every sample count
    off the grid is in doubt.
    """
    samples = np.arange(costs.shape[1])
    upper = np.searchsorted(grid, samples)
    lower = np.maximum(upper - 1, 0)
    on_grid = grid[upper] == samples
    down, up = np.abs(samples - grid[lower]), grid[upper] - samples
    nearer = np.where(on_grid | (up < down), upper, lower)
    doubt = (down == up) & (lower != upper) & (costs[:, grid[lower]] > costs[:, grid[upper]])
    if match != "nearest":
        doubt = np.broadcast_to(True, costs.shape)
    return np.where(doubt & ~on_grid, -1, nearer)


def packed_options(
    space: Space, stage_costs: StageCosts, limit: float, match: str
) -> NDArray[np.int64]:
    """For every stage, model and sample count the numbers described in `kernels.lookup_many`.

    A stage's part has shape (2 ** MODEL_BITS, 2 ** SAMPLE_BITS). Costs are counted in units of
    `limit` / `unit`, rounded up (the dearer of what is asked and what answers) and down (what is
    asked), and no further than it takes to pass `limit`.
    """
    unit = int(kernels.cost_units(space.n_stages))
    signed = any((costs < 0).any() for costs in stage_costs)
    scale = unit / limit if limit > 0 else np.nan
    parts = []
    for i, (grid, costs) in enumerate(zip(space.grids, stage_costs, strict=True)):
        position = nearest_positions(grid, costs, match)
        answers = np.take_along_axis(costs, grid[np.maximum(position, 0)], axis=1)
        # What is nan, or too much for a number, is searched for.
        with np.errstate(invalid="ignore"):
            above = np.floor(np.maximum(np.maximum(costs, answers), 0.0) * scale) + 1.0
            below = np.minimum(np.floor(costs * scale), unit + 1)
        above = np.where((position >= 0) & (above < unit), above, unit)
        below = np.zeros(costs.shape) if signed else np.where(np.isnan(below), 0.0, below)
        models = np.arange(len(costs))[:, None]
        cell = (models * len(grid) + np.maximum(position, 0)) * space.strides[i]
        # Powers of two, as the kernels make one index of a model and a sample count by shifts.
        size = 1 << (len(costs) - 1).bit_length(), 1 << int(grid[-1]).bit_length()
        packed = np.full(size, -1, dtype=np.int64)
        packed[: len(costs), 1 : costs.shape[1]] = (
            (above.astype(np.int64) << kernels.ABOVE_BIT)
            + (below.astype(np.int64) << kernels.BELOW_BIT)
            + cell
        )[:, 1:]
        if match == "exact":
            packed[: len(costs), : costs.shape[1]][position < 0] = -1
        parts.append(packed.ravel())
    return read_only(np.concatenate(parts))
