"""The dense index of a task's grid: mixed radix over (model, samples) per stage.

One stage's grid cell is an *option*, numbered `model * len(samples) + position of the sample
count`. A *cell* is one option per stage, the first stage most significant:

    stage 1 option:   0                   1               ...
    stage 2 option:   0    1    2   ...   0    1    2
    cell:             0    1    2   ...   n2   n2+1 ...
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.configuration import Choice, Configuration
from simulator.errors import InvalidConfiguration, UnknownName
from simulator.task import Task

MAX_CELLS = 2**27
"""Largest dense grid: 134 million cells, 1 GiB for each metric and split."""

_REMEMBERED = 2**14
"""Configurations that a space keeps: a search makes each of few cells several times (3 MiB)."""

IntArray = NDArray[np.integer]


class Space:
    """Indices of one task: names to numbers, numbers to names.

    Attributes: `n_stages`; `n_models`, `n_grid`, `max_samples`, `strides` (int64 arrays, one
    entry a stage); `n_cells`; `grids` (one int64 array of sample counts a stage).
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.n_stages = len(task.stages)
        self.grids = tuple(np.array(stage.samples, dtype=np.int64) for stage in task.stages)
        self.n_models = np.array([len(stage.models) for stage in task.stages], dtype=np.int64)
        self.n_grid = np.array([len(grid) for grid in self.grids], dtype=np.int64)
        self.max_samples = np.array([grid[-1] for grid in self.grids], dtype=np.int64)
        options = [int(n) for n in self.n_models * self.n_grid]
        self.n_options = np.array(options, dtype=np.int64)
        strides = [1]
        for n in reversed(options[1:]):
            strides.insert(0, strides[0] * n)
        self.n_cells = strides[0] * options[0]
        if self.n_cells > MAX_CELLS:
            raise InvalidConfiguration(
                f"task {task.name!r}: a grid of {self.n_cells:,} cells is more than the "
                f"{MAX_CELLS:,} that a dense table holds; use fewer sample counts"
            )
        self.strides = np.array(strides, dtype=np.int64)
        self.model_index = tuple(
            {model.name: m for m, model in enumerate(stage.models)} for stage in task.stages
        )
        self._stage_names = tuple(stage.name for stage in task.stages)
        self._made: dict[int, Configuration] = {}

    @cached_property
    def choices(self) -> tuple[tuple[tuple[Choice, ...], int], ...]:
        """Per stage the `Choice` of each option, and the option's stride."""
        return tuple(
            (
                tuple(
                    Choice(stage.name, model.name, samples)
                    for model in stage.models
                    for samples in stage.samples
                ),
                stride,
            )
            for stage, stride in zip(self.task.stages, self.strides.tolist(), strict=True)
        )

    def options(self, cells: IntArray) -> NDArray[np.int64]:
        """Cells, shape (n,), to option numbers, shape (n, stages)."""
        return np.asarray((np.asarray(cells)[:, None] // self.strides) % self.n_options)

    def asked_of_cells(self, cells: IntArray) -> NDArray[np.int64]:
        """Cells, shape (n,), to model index and samples, shape (n, stages, 2)."""
        options = self.options(cells)
        out = np.empty((*options.shape, 2), dtype=np.int64)
        out[..., 0] = options // self.n_grid
        for i, grid in enumerate(self.grids):
            out[:, i, 1] = grid[options[:, i] % self.n_grid[i]]
        return out

    def configuration(self, cell: int) -> Configuration:
        """The configuration of one cell; the same object each time, for the cells first asked."""
        made = self._made.get(cell)
        if made is None:
            choices, rest = [], cell
            for stage_choices, stride in self.choices:
                option, rest = divmod(rest, stride)
                choices.append(stage_choices[option])
            made = Configuration(tuple(choices))
            if len(self._made) < _REMEMBERED:
                self._made[cell] = made
        return made

    def cell(self, configuration: Configuration) -> int:
        """The cell of a configuration, -1 where it is off the grid; raises as `indices` does."""
        cell = 0
        for i, (model, samples) in enumerate(self.indices(configuration).tolist()):
            position = int(np.searchsorted(self.grids[i], samples))
            if self.grids[i][position] != samples:
                return -1
            cell += (model * int(self.n_grid[i]) + position) * int(self.strides[i])
        return cell

    def from_indices(self, row: IntArray) -> Configuration:
        """Model index and samples, shape (stages, 2), to a configuration (off-grid too)."""
        return Configuration(
            tuple(
                Choice(stage.name, stage.models[int(m)].name, int(s))
                for stage, (m, s) in zip(self.task.stages, row, strict=True)
            )
        )

    def indices(self, configuration: Configuration) -> NDArray[np.int64]:
        """A configuration to model index and samples, shape (stages, 2).

        Raises `InvalidConfiguration` or `UnknownName` saying what is wrong and what would be
        right: an unknown or missing stage, an unknown model, samples that are not a whole number
        from 1 to the grid's largest.
        """
        given = {}
        for choice in configuration.choices:
            if choice.stage in given:
                raise InvalidConfiguration(f"stage {choice.stage!r} is given twice")
            if choice.stage not in self._stage_names:
                raise UnknownName(f"stage of {self.task.name!r}", choice.stage, self._stage_names)
            given[choice.stage] = choice
        out = np.empty((self.n_stages, 2), dtype=np.int64)
        for i, name in enumerate(self._stage_names):
            if name not in given:
                raise InvalidConfiguration(
                    f"stage {name!r} is missing; {self.task.name!r} has the stages "
                    f"{', '.join(self._stage_names)}"
                )
            _, model, samples = given[name]
            if model not in self.model_index[i]:
                raise UnknownName(f"model of stage {name!r}", model, self.model_index[i])
            largest = int(self.max_samples[i])
            whole = isinstance(samples, int | np.integer) and not isinstance(samples, bool)
            if not whole or not 1 <= samples <= largest:
                raise InvalidConfiguration(
                    f"samples of stage {name!r} must be a whole number from 1 to {largest}, "
                    f"not {samples!r}"
                )
            out[i] = self.model_index[i][model], samples
        return out

    def canonical(self, configuration: Configuration) -> Configuration:
        """The same configuration, checked, in the task's order of stages."""
        return self.from_indices(self.indices(configuration))

    def check(self, asked: IntArray) -> IntArray:
        """Check an integer array of shape (n, stages, 2); names the first wrong row."""
        asked = np.asarray(asked)
        if asked.ndim != 3 or asked.shape[1:] != (self.n_stages, 2):
            raise InvalidConfiguration(
                f"configurations must have the shape (n, {self.n_stages}, 2), not {asked.shape}"
            )
        if not np.issubdtype(asked.dtype, np.integer):
            raise InvalidConfiguration(f"configurations must be whole numbers, not {asked.dtype}")
        return asked

    def wrong_row(self, asked: IntArray, row: int) -> InvalidConfiguration | None:
        """The error that says what is wrong with one row of an array of configurations, if any."""
        for i, (model, samples) in enumerate(asked[row].tolist()):
            stage = self.task.stages[i].name
            if not 0 <= model < self.n_models[i]:
                return InvalidConfiguration(
                    f"configuration {row}: model index of stage {stage!r} must be from 0 to "
                    f"{self.n_models[i] - 1}, not {model}"
                )
            if not 1 <= samples <= self.max_samples[i]:
                return InvalidConfiguration(
                    f"configuration {row}: samples of stage {stage!r} must be from 1 to "
                    f"{self.max_samples[i]}, not {samples}"
                )
        return None
