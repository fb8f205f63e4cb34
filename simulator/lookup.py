"""Which cell of a table answers a configuration, under one matching and one budget."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from math import isnan

import numpy as np
from numpy.typing import NDArray

from simulator import kernels
from simulator.arrays import read_only
from simulator.configuration import Choice, Configuration
from simulator.cost import StageCosts
from simulator.errors import NotInTable
from simulator.lattice import Lattice
from simulator.near import nearest_positions, packed_options
from simulator.space import IntArray, Space
from simulator.task import Task

_MEMO_LIMIT = 2**26
"""Answers to at most so many distinct asks are remembered by `many` (256 MiB)."""

_ROWS_PER_PART = 50_000

_Stage = dict[Choice, tuple[int, float, float]]


class Lookup:
    """Answers of one split's scores, shape (cells,), nan in holes.

    `limit` is the largest cost allowed, already with the allowance for rounding. `find` answers one
    configuration and `many` an array of them, with the same answers.
    """

    def __init__(
        self, task: Task, space: Space, scores: NDArray[np.float64], stage_costs: StageCosts,
        limit: float, match: str,
    ) -> None:  # fmt: skip
        self.task, self.space, self.match, self.limit = task, space, match, limit
        self.lattice = Lattice.build(space, stage_costs)
        self.scores: NDArray[np.float64] = read_only(scores)
        self._exact = match == "exact"
        self._paper_distance = task.paper_distance if match == "paper" else -1
        self._stage_costs = stage_costs
        self._view = self.scores.data

    @cached_property
    def _known(self) -> tuple[_Stage, ...]:
        """Per stage, for each choice: its part of the answering cell's index, its cost, and the
        answer's. The grid, which answers itself, from the beginning; others as they are asked."""
        if self.match == "interpolate":
            return tuple({} for _ in self.space.grids)
        known: list[_Stage] = []
        for (choices, stride), grid, costs in zip(
            self.space.choices, self.space.grids, self._stage_costs, strict=True
        ):
            own = enumerate(zip(choices, costs[:, grid].ravel().tolist(), strict=True))
            known.append({choice: (option * stride, cost, cost) for option, (choice, cost) in own})
        return tuple(known)

    def find(self, asked: Configuration) -> tuple[int, float, Configuration]:
        """The answering cell or one of the kernels' codes, the cost, and `asked` in task order.

        Raises `InvalidConfiguration`, `UnknownName`, `NotInTable`.
        """
        found = self._by_stage(asked)
        if found is None:
            indices = self.space.indices(asked)
            asked = self.space.from_indices(indices)
            self._learn(indices, asked)
            found = self._by_stage(asked) or (*self._find(indices), asked)
        return found

    def _by_stage(self, asked: Configuration) -> tuple[int, float, Configuration] | None:
        """What `find` gives where every stage's own nearest grid point makes it; `None` elsewhere.

        Put together from a dictionary per stage: quicker for a single configuration than a call of
        compiled code. Where the budget binds or a hole is hit, the kernels search outward.
        """
        choices, stages = asked.choices, self._known
        if len(choices) != len(stages):
            return None
        cell, cost, answer_cost = 0, 0.0, 0.0
        for known, choice in zip(stages, choices):  # noqa: B905 - as long as each other
            entry = known.get(choice)
            # True == 1 == 1.0 would find the entry of 1.
            if entry is None or choice[2].__class__ is not int:
                return None
            part, asked_part, answer_part = entry
            cell += part
            cost += asked_part
            answer_cost += answer_part
        limit = self.limit
        if cost > limit or answer_cost > limit or isnan(self._view[cell]):
            return None
        return cell, cost, asked

    def _learn(self, indices: NDArray[np.int64], asked: Configuration) -> None:
        """Note for each stage its option nearest to what was asked, where that is beyond doubt."""
        if self.match == "interpolate":
            return
        for i, (model, samples) in enumerate(indices.tolist()):
            nearest = int(self._nearest[i][model, samples])
            if nearest >= 0:
                grid, costs = self.space.grids[i], self._stage_costs[i][model]
                option = model * len(grid) + nearest
                self._known[i][asked.choices[i]] = (
                    option * int(self.space.strides[i]),
                    float(costs[samples]),
                    float(costs[grid[nearest]]),
                )

    @cached_property
    def _nearest(self) -> list[NDArray[np.int64]]:
        return [
            nearest_positions(grid, costs, self.match)
            for grid, costs in zip(self.space.grids, self._stage_costs, strict=True)
        ]

    @cached_property
    def _near(self) -> NDArray[np.int64]:
        return packed_options(self.space, self._stage_costs, self.limit, self.match)

    @cached_property
    def _memo(self) -> NDArray[np.signedinteger]:
        """Answers that took a search, by what was asked; small, so that a cache holds it."""
        width = np.dtype(np.int16 if self.space.n_cells < 2**15 else np.int32)
        n_asks = self.lattice.n_asks
        size = n_asks if n_asks <= _MEMO_LIMIT else 0
        return np.full(size, kernels.NOT_ASKED, dtype=width)

    def _find(self, asked: NDArray[np.int64]) -> tuple[int, float]:
        lattice = self.lattice
        asked = read_only(asked)
        cost = float(kernels.ask_cost(asked, lattice.shape, lattice.cost))
        if self.match == "interpolate":
            status, _ = self._interpolated(asked, self.scores, self.limit)
            return (status if status < 0 else kernels.INTERPOLATED), cost
        answer = int(self._match(asked[None])[0])
        if answer == kernels.OFF_GRID:
            raise self.not_in_table(asked)
        return answer, cost

    def _match(self, asked: IntArray) -> NDArray[np.int64]:
        answers: NDArray[np.int64] = kernels.match_many(
            asked, *self.lattice, self.scores, self.limit, self._paper_distance, self._exact
        )
        return answers

    def interpolate(self, asked: Configuration, values: NDArray[np.float64]) -> float:
        """One column of cells interpolated at a configuration; nan where it is over the budget.

        Raises `NotInTable` outside the grid's range and beside a hole.
        """
        return self._interpolated(self.space.indices(asked), values, self.limit)[1]

    def _interpolated(
        self, asked: NDArray[np.int64], values: NDArray[np.float64], limit: float
    ) -> tuple[int, float]:
        out = np.empty(1)
        status = kernels.interpolate_many(
            read_only(asked[None]), *self.lattice[:4], self.scores, limit, read_only(values), out
        )
        if status[0] == kernels.OFF_GRID:
            raise self.not_in_table(asked)
        return int(status[0]), float(out[0])

    def many(self, choices: IntArray, threads: int | None = None) -> NDArray[np.float64]:
        """Scores of configurations, int (n, stages, 2): float64 (n,), nan where infeasible."""
        choices = self.space.check(choices)
        if choices.dtype not in (np.int64, np.int32):
            small = np.can_cast(choices.dtype, np.int32)
            choices = choices.astype(np.int32 if small else np.int64)
        choices = read_only(np.ascontiguousarray(choices))
        out = np.empty(len(choices))
        if self.match == "interpolate":
            rows = self._interpolate_rows
        else:
            rows = self._looked_up_rows
            # Made here, and not by several threads at once.
            _ = self._near, self._memo
        wrong = _in_parts(rows, choices, out, threads)
        if wrong >= 0:
            problem = self.space.wrong_row(choices, wrong)
            raise problem or self.not_in_table(choices[wrong].astype(np.int64), wrong)
        return out

    def _looked_up_rows(self, choices: IntArray, out: NDArray[np.float64]) -> int:
        return int(
            kernels.lookup_many(
                choices, *self.lattice, self.scores, self.limit, self._paper_distance, self._exact,
                self._near, self._memo, out,
            )
        )  # fmt: skip

    def _interpolate_rows(self, choices: IntArray, out: NDArray[np.float64]) -> int:
        status = kernels.interpolate_many(
            choices, *self.lattice[:4], self.scores, self.limit, self.scores, out
        )
        return _first((status == kernels.INVALID) | (status == kernels.OFF_GRID))

    def not_in_table(self, asked: NDArray[np.int64], row: int | None = None) -> NotInTable:
        """Name the nearest grid points: below and above in each stage, where they have scores."""
        below, above = asked.copy(), asked.copy()
        for i, grid in enumerate(self.space.grids):
            upper = int(np.searchsorted(grid, asked[i, 1]))
            above[i, 1] = grid[upper]
            below[i, 1] = grid[upper if grid[upper] == asked[i, 1] else max(upper - 1, 0)]
        nearest = []
        for point in (below, above):
            found = self.space.from_indices(point)
            if not np.isnan(self.scores[self.space.cell(found)]) and str(found) not in nearest:
                nearest.append(str(found))
        if not nearest:
            cell = int(
                kernels.match_many(
                    read_only(asked[None]), *self.lattice, self.scores, np.inf, -1, False
                )[0]
            )
            nearest = [str(self.space.configuration(cell))] if cell >= 0 else []
        where = "" if row is None else f"configuration {row}: "
        hint = f"; nearest: {' and '.join(nearest)}" if nearest else ""
        return NotInTable(
            f"{where}{self.space.from_indices(asked)} is not in the table {self.task.name!r}{hint}"
        )


def _in_parts(
    rows: Callable[[IntArray, NDArray[np.float64]], int],
    choices: IntArray,
    out: NDArray[np.float64],
    threads: int | None,
) -> int:
    """Run `rows` over parts of an array in threads; the first wrong row of all, or -1.

    Parts are many, so that a thread that other programs keep waiting leaves the rest to the others.
    """
    begins = range(0, len(choices), _ROWS_PER_PART)
    workers = min(threads or os.cpu_count() or 1, len(begins))
    if workers <= 1:
        return rows(choices, out)

    def part(begin: int) -> int:
        end = begin + _ROWS_PER_PART
        wrong = rows(choices[begin:end], out[begin:end])
        return begin + wrong if wrong >= 0 else -1

    with ThreadPoolExecutor(workers) as pool:
        wrong = [w for w in pool.map(part, begins) if w >= 0]
    return min(wrong, default=-1)


def _first(wrong: NDArray[np.bool_]) -> int:
    return int(np.argmax(wrong)) if wrong.any() else -1
