"""What the matching kernels need to know of a task, packed into flat arrays once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator import kernels
from simulator.arrays import read_only
from simulator.cost import StageCosts
from simulator.space import Space
from simulator.task import Stage

_INT64 = 2**62


class Lattice(NamedTuple):
    """What the matching kernels know of a task, in the order in which they take it.

    - `shape`, int64 (stages, 11): per stage the number of models, the number of grid points, the
      largest sample count, the stride of its option in the cell index, and where its part of
      `grid`, `below`, `cost` and `ratio` begins; then the bits of a model index and of a sample
      count, and where its packed options (`simulator.near`) begin: the columns `N_MODELS` to
      `NEAR_AT` of `simulator.kernels`.
    - `grid`, int64: each stage's sample counts, ascending.
    - `below`, int32: per stage and sample count 0..max, the position of the last grid point that is
      not above it, -1 where there is none.
    - `cost`, float64: per stage, model and sample count 0..max.
    - `ratio`, int64 (models of all stages, 2): the distance of one sample as numerator and
      denominator.

    All are read-only, so that each kernel is compiled for one kind of array.
    """

    shape: NDArray[np.int64]
    grid: NDArray[np.int64]
    below: NDArray[np.int32]
    cost: NDArray[np.float64]
    ratio: NDArray[np.int64]

    @property
    def n_asks(self) -> int:
        """Number of configurations that can be asked, off-grid ones included."""
        options = self.shape[:, kernels.N_MODELS] * self.shape[:, kernels.MAX_SAMPLES]
        return math.prod(options.tolist())

    @classmethod
    def build(cls, space: Space, costs: StageCosts) -> Lattice:
        """Pack `space` and the stages' costs."""
        shape = np.zeros((space.n_stages, 11), dtype=np.int64)
        shape[:, kernels.N_MODELS] = space.n_models
        shape[:, kernels.N_GRID] = space.n_grid
        shape[:, kernels.MAX_SAMPLES] = space.max_samples
        shape[:, kernels.STRIDE] = space.strides
        below = [_below(grid) for grid in space.grids]
        ratios = [distance_ratios(stage) for stage in space.task.stages]
        parts: tuple[tuple[int, Sequence[Sequence[Any] | NDArray[Any]]], ...] = (
            (kernels.GRID_AT, space.grids),
            (kernels.BELOW_AT, below),
            (kernels.COST_AT, [cost.ravel() for cost in costs]),
            (kernels.RATIO_AT, ratios),
        )
        shape[:, kernels.MODEL_BITS] = [(n - 1).bit_length() for n in space.n_models.tolist()]
        shape[:, kernels.SAMPLE_BITS] = [n.bit_length() for n in space.max_samples.tolist()]
        packed = 1 << (shape[:, kernels.MODEL_BITS] + shape[:, kernels.SAMPLE_BITS])
        shape[1:, kernels.NEAR_AT] = np.cumsum(packed)[:-1]
        for column, arrays in parts:
            shape[1:, column] = np.cumsum([len(array) for array in arrays])[:-1]
        pairs = [
            (ratio.numerator, ratio.denominator) for per_stage in ratios for ratio in per_stage
        ]
        lattice = cls(
            shape,
            np.concatenate(space.grids),
            np.concatenate(below),
            np.concatenate([cost.ravel() for cost in costs]),
            np.array(pairs, dtype=np.int64),
        )
        return cls(*(read_only(array) for array in lattice))


def distance_ratios(stage: Stage) -> list[Fraction]:
    """Distance of one sample, 1 / (4 * Pmax / P - 3), for each model of a stage.

    Exact in the decimal figures in which the parameter counts are written, as long as numerator and
    denominator fit 62 bits. Source: the evaluator of arXiv 2508.00890 as its public discussion
    states it.
    """
    largest = Fraction(repr(stage.max_parameters))
    out = []
    for model in stage.models:
        parameters = Fraction(repr(model.parameters))
        ratio = parameters / (4 * largest - 3 * parameters)
        if max(ratio.numerator, ratio.denominator) >= _INT64:
            ratio = max(ratio.limit_denominator(2**40), Fraction(1, 2**40))
        out.append(ratio)
    return out


def _below(grid: NDArray[np.int64]) -> NDArray[np.int32]:
    """Position of the last grid point at or under each sample count 0..max, -1 where none."""
    counts = np.arange(grid[-1] + 1)
    return (np.searchsorted(grid, counts, side="right") - 1).astype(np.int32)
