"""Random tasks, tables, budgets and asks for the tests of the simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator import LookupTable, Task
from simulator.cost import StageCosts
from simulator.lattice import Lattice
from simulator.space import Space

PARAMETERS = (1e9, 3e9, 7e9, 8e9, 11e9, 32e9, 70e9, 7.61e9, 1.5e9)


@st.composite
def tasks(draw: st.DrawFn, max_stages: int = 5, max_samples: int = 12) -> Task:
    """A task of 1 to 5 stages, small enough that all of its cells can be walked."""
    n_stages = draw(st.integers(1, max_stages))
    widest = {1: 8, 2: 6, 3: 4}.get(n_stages, 2)
    stages = []
    for i in range(n_stages):
        sizes = draw(
            st.lists(st.sampled_from(PARAMETERS), min_size=1, max_size=3 if n_stages < 4 else 2)
        )
        stages.append(
            {
                "name": f"s{i}",
                "models": [{"name": f"m{k}", "parameters": p} for k, p in enumerate(sizes)],
                "prompt_tokens": draw(st.integers(1, 4000)),
                "generated_tokens": draw(st.integers(1, 2000)),
                "samples": sorted(
                    draw(st.sets(st.integers(1, max_samples), min_size=1, max_size=widest))
                ),
            }
        )
    return Task.from_mapping(
        {
            "name": "random", "kind": "modelled", "metric": "score", "metrics": ["score"],
            "default_budget": 1e9, "paper_distance": draw(st.sampled_from([5, 20])),
            "stages": stages,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A task with costs, scores with holes, a largest cost allowed and rows of asks."""

    task: Task
    space: Space
    costs: StageCosts
    scores: NDArray[np.float64]
    limit: float
    asked: NDArray[np.int64]

    @property
    def lattice(self) -> Lattice:
        return Lattice.build(self.space, self.costs)

    def table(self) -> LookupTable:
        """The scores as a table on both splits, a second to each cell."""
        column = {"score": self.scores}
        return LookupTable.from_arrays(self.task, {"train": column, "test": column})


def small_integer_costs(task: Task, rng: np.random.Generator) -> StageCosts:
    """Costs that add up exactly, with many ties, and that need not grow with samples."""
    out = []
    for stage in task.stages:
        costs = rng.integers(0, 6, (len(stage.models), stage.samples[-1] + 1)).astype(float)
        if rng.random() < 0.5:
            costs.sort(axis=1)
        costs[:, 0] = np.nan
        out.append(costs)
    return tuple(out)


def random_asks(
    task: Task, rng: np.random.Generator, n: int, invalid: float = 0.0
) -> NDArray[np.int64]:
    """Rows of model index and samples, a share of them outside of the task."""
    asked = np.empty((n, len(task.stages), 2), dtype=np.int64)
    for i, stage in enumerate(task.stages):
        asked[:, i, 0] = rng.integers(0, len(stage.models), n)
        asked[:, i, 1] = rng.integers(1, stage.samples[-1] + 1, n)
        on_grid = rng.random(n) < 0.4
        asked[on_grid, i, 1] = rng.choice(stage.samples, int(on_grid.sum()))
        bad = rng.random(n) < invalid
        wrong = [(-1, 1), (len(stage.models), 1), (0, 0), (0, -3), (0, stage.samples[-1] + 1)]
        asked[bad, i] = np.array(wrong)[rng.integers(0, len(wrong), int(bad.sum()))]
    return asked


def random_scores(space: Space, rng: np.random.Generator) -> NDArray[np.float64]:
    """Scores of few distinct values with a random share of holes."""
    scores = rng.integers(0, 5, space.n_cells) / 4
    scores[rng.random(space.n_cells) < rng.choice([0.0, 0.2, 0.7, 0.97])] = np.nan
    return scores


@st.composite
def cases(draw: st.DrawFn, n_asks: int = 8, invalid: float = 0.05) -> Case:
    """A random task and table; the budget anywhere from under the cheapest cell to no bound."""
    task = draw(tasks())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    space = Space(task)
    costs = small_integer_costs(task, rng)
    dearest = sum(float(np.nanmax(c)) for c in costs)
    limit = draw(st.sampled_from([np.inf, *np.linspace(0, dearest, 12).round().tolist()]))
    asked = random_asks(task, rng, n_asks, invalid)
    return Case(task, space, costs, random_scores(space, rng), float(limit), asked)
