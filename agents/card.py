"""The task card: all that an agent may know before its first trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator import Configuration, Simulator, Space, Stage, Task
from simulator.cost import StageCosts, largest_allowed


@dataclass(frozen=True)
class TaskCard:
    """Stages, models, sample grids, metric, budget and what everything costs; never a score.

    - `stage_costs[i]` has shape (models, max_samples + 1): what stage i costs with a model at so
      many samples, in `cost_unit`; a configuration costs the sum over its stages.
    - `space` indexes the grid: options per stage, cells, and their configurations.
    - `trials` is how many asks the run allows and `workers` how many run at a time; an agent is
      asked again before it is told where `workers` > 1.
    - `examples` is the number of training examples where a trial may be scored on fewer of them,
      `None` where it may not.
    """

    task: Task
    space: Space = field(repr=False, compare=False)
    budget: float
    cost_name: str
    cost_unit: str
    cost_formula: str
    stage_costs: StageCosts
    trials: int
    workers: int = 1
    examples: int | None = None

    @classmethod
    def of(cls, simulator: Simulator, *, trials: int = 50, workers: int = 1) -> TaskCard:
        """The card of what a simulator replays."""
        outcomes = simulator.split.outcomes
        return cls(
            task=simulator.task,
            space=simulator.space,
            budget=simulator.budget,
            cost_name=simulator.cost_model.name,
            cost_unit=simulator.cost_model.unit,
            cost_formula=simulator.cost_model.formula,
            stage_costs=simulator.stage_costs,
            trials=trials,
            workers=workers,
            examples=None if outcomes is None else outcomes.n_examples,
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.task.stages

    @cached_property
    def option_costs(self) -> tuple[NDArray[np.float64], ...]:
        """Per stage the cost of each option (model, grid point), shape (options,)."""
        return tuple(
            costs[:, grid].ravel()
            for costs, grid in zip(self.stage_costs, self.space.grids, strict=True)
        )

    @cached_property
    def feasible_cells(self) -> NDArray[np.int64]:
        """Grid cells within the budget, ascending. Some may be holes of the table: an ask there is
        answered by its nearest neighbour."""
        total = np.zeros(1)
        for costs in self.option_costs:
            total = (total[:, None] + costs[None, :]).ravel()
        return np.flatnonzero(total <= self.limit)

    @property
    def limit(self) -> float:
        """The budget with the simulator's allowance for rounding."""
        return largest_allowed(self.budget)

    def cost(self, configuration: Configuration) -> float:
        """Cost of a configuration in `cost_unit`; raises as `Space.indices` does."""
        rows = self.space.indices(configuration)
        return float(sum(costs[m, s] for costs, (m, s) in zip(self.stage_costs, rows, strict=True)))

    def feasible(self, configuration: Configuration) -> bool:
        """Whether a configuration is within the budget."""
        return self.cost(configuration) <= self.limit
