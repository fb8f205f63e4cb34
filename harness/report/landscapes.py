"""Landscapes of the page: scores over two stages' options, and agents' paths over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.measures import Floats
from harness.report.curves import Key, Runs, significant
from simulator import LookupTable, Simulator

if TYPE_CHECKING:
    import polars as pl

OVER_BUDGET, HOLE = -1, -2
"""Codes in a landscape's grid, beside scores, which are 0 to 999 from its lowest to its highest."""

_ALL_CELLS = 120_000
_MOST_CELLS = 6_000
_TRIALS_OF_THREE = 6_000
_LONGEST = 200


def landscape(table: LookupTable, budget: float, cost: str, problems: int) -> dict[str, Any]:
    """Scores of the search split over two stages, or one where the task has no more.

    With more stages, the two with the most options are shown, at the best feasible choice of the
    others. Sample counts are thinned evenly where the grid is large.
    """
    simulator = Simulator(table, budget, cost=cost)
    stages = table.task.stages
    options = [len(stage.models) * len(stage.samples) for stage in stages]
    pair = sorted(sorted(range(len(stages)), key=lambda i: (-options[i], i))[:2])
    room = min(_MOST_CELLS, _ALL_CELLS // max(problems, 1))
    kept = _kept_samples(table, pair, max(room, 64))
    z, afford = _project(simulator, pair, kept)
    low, high = _range(z)
    span = high - low if high > low else 1.0
    coded = np.where(np.isnan(z), HOLE, np.round(999 * (z - low) / span))
    coded = np.where(np.isnan(z) & ~afford, OVER_BUDGET, coded).astype(int)
    optimum = simulator.optimum
    return {
        "stages": [
            {
                "name": stages[i].name,
                "models": [model.name for model in stages[i].models],
                "samples": [int(s) for s in np.array(stages[i].samples)[kept[i]]],
            }
            for i in pair
        ],
        "others": [stage.name for i, stage in enumerate(stages) if i not in pair],
        "shape": list(z.shape),
        "z": coded.ravel().tolist(),
        "low": significant(low),
        "high": significant(high),
        "optimum": str(optimum.configuration),
        "optimum_score": significant(optimum.score),
    }


def _kept_samples(table: LookupTable, pair: list[int], room: int) -> dict[int, NDArray[np.int64]]:
    """Positions of sample counts to show for each stage of the pair, first and last among them."""
    stages = table.task.stages
    kept = {i: np.arange(len(stages[i].samples)) for i in pair}
    while np.prod([len(kept[i]) * len(stages[i].models) for i in pair]) > room:
        largest = max(pair, key=lambda i: len(kept[i]) * len(stages[i].models))
        n = len(kept[largest])
        if n <= 4:
            break
        positions = np.linspace(0, len(stages[largest].samples) - 1, max(4, int(n * 0.9)))
        kept[largest] = np.unique(np.round(positions).astype(np.int64))
    return kept


def _project(
    simulator: Simulator, pair: list[int], kept: Mapping[int, NDArray[np.int64]]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Best feasible score of each pair of options, nan without one, and whether any is affordable.
    Shape (options of the first stage, of the second), or (1, options)."""
    space = simulator.space
    shape = tuple(int(n) for n in space.n_options)
    scores = np.asarray(simulator.scores).reshape(shape)
    costs = simulator.cell_costs.reshape(shape)
    for axis in pair:
        grid, models = int(space.n_grid[axis]), int(space.n_models[axis])
        chosen = (np.arange(models)[:, None] * grid + kept[axis]).ravel()
        scores, costs = scores.take(chosen, axis=axis), costs.take(chosen, axis=axis)
    from simulator.cost import largest_allowed

    afford = costs <= largest_allowed(simulator.budget)
    value = np.where(afford & ~np.isnan(scores), scores, -np.inf)
    others = tuple(axis for axis in range(len(shape)) if axis not in pair)
    if others:
        value, afford = value.max(axis=others), np.asarray(afford.any(axis=others))
    value = np.where(np.isinf(value), np.nan, value)
    if len(pair) == 1:
        value, afford = value[None, :], afford[None, :]
    return value, afford


def _range(z: Floats) -> tuple[float, float]:
    known = z[~np.isnan(z)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def paths(
    trials: pl.DataFrame, gathered: Mapping[Key, Mapping[str, Runs]], number: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Runs to step through, by problem in the order of `gathered`.

    For each agent the run whose area under the regret curve is the median, and, where the bench is
    small, the best and the worst. Columns of equal length; texts are numbers of `texts`.
    """
    total = trials.group_by("table", "budget", "cost_model", "agent", "seed").len().height
    longest = int(trials["number"].max() or 0)  # type: ignore[arg-type]
    agents_problems = sum(len(by_agent) for by_agent in gathered.values())
    three = total > 0 and 3 * agents_problems * min(longest, _LONGEST) <= _TRIALS_OF_THREE
    wanted: dict[tuple[Any, ...], str] = {}
    for key, by_agent in gathered.items():
        for agent, runs in by_agent.items():
            order = np.argsort(runs.area, kind="stable")
            picks = {"typical": order[(len(order) - 1) // 2]}
            if three and len(order) > 2:
                picks |= {"best": order[0], "worst": order[-1]}
            for what, i in picks.items():
                wanted.setdefault((*key, agent, runs.seeds[int(i)]), what)
    return [_paths_of(trials, key, by_agent, wanted, number) for key, by_agent in gathered.items()]


def _paths_of(
    trials: pl.DataFrame,
    key: Key,
    by_agent: Mapping[str, Runs],
    wanted: Mapping[tuple[Any, ...], str],
    number: Mapping[str, int],
) -> dict[str, Any]:
    import polars as pl

    table, budget, cost = key
    mine = {(k[3], k[4]): what for k, what in wanted.items() if k[:3] == key}
    texts: dict[str, int] = {}

    def text(value: str | None) -> int:
        return -1 if value is None else texts.setdefault(value, len(texts))

    chosen = trials.filter(
        (pl.col("table") == table)
        & (pl.col("budget") == budget)
        & (pl.col("cost_model") == cost)
        & pl.struct("agent", "seed").is_in([{"agent": a, "seed": s} for a, s in mine])
        & (pl.col("number") <= _LONGEST)
    )
    found = []
    for (agent, seed), part in chosen.group_by("agent", "seed", maintain_order=True):
        flags = [
            int(feasible) + 2 * int(repeated) + 4 * int(examples is not None)
            for feasible, repeated, examples in part.select(
                "feasible", "repeated", "examples"
            ).iter_rows()
        ]
        found.append({
            "agent": number[str(agent)],
            "seed": seed,
            "what": mine[str(agent), int(str(seed))],
            "asked": [text(value) for value in part["asked"]],
            "answered": [text(value) for value in part["answered"]],
            "score": [significant(value) for value in part["score"]],
            "cost": [significant(value) for value in part["cost"]],
            "hours": [significant(value / 3600) for value in part["clock"]],
            "flags": flags,
            "reason": [text(value or None) for value in part["reason"]],
            "why": [text(value or None) for value in part["why"]],
        })  # fmt: skip
    order = {"typical": 0, "best": 1, "worst": 2}
    found.sort(key=lambda path: (path["agent"], order[path["what"]]))
    return {"texts": list(texts), "runs": found}
