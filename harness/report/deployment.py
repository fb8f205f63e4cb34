"""What a search is worth: generalisation, best score by budget, Pareto fronts, payback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import measures, statistics
from harness.measures import Floats
from harness.report.curves import PROBLEM, Key, rounded, significant
from harness.summary import draws_over_examples
from simulator import Configuration, LookupTable, Simulator
from simulator.cost import COST_MODELS, largest_allowed
from simulator.errors import AgentTTSError

if TYPE_CHECKING:
    import polars as pl

_SEED = 20_250_893
_DRAWS = 1000
_SIZES = (10, 20, 50, 100)
_FRONT = 80
_WORK = 2e9


def generalisation(
    runs: pl.DataFrame, number: Mapping[str, int], tables: Mapping[str, LookupTable]
) -> dict[Key, dict[str, Any]]:
    """Train and test score of the final incumbents and their gap, with 90 % intervals.

    By problem, columns of equal length, one row an agent. Intervals are a bootstrap over seeds and,
    where the table holds outcomes, over the examples of both splits (`over` says which).
    """
    found: dict[Key, dict[str, Any]] = {}
    for (table, budget, cost, agent), part in runs.group_by(
        [*PROBLEM, "agent"], maintain_order=True
    ):
        known = part.filter(part["train_score"].is_not_null() & part["test_score"].is_not_null())
        if not known.height:
            continue
        train, test = known["train_score"].to_numpy(), known["test_score"].to_numpy()
        counts = measures.Resamples(known.height, np.random.default_rng(_SEED), _DRAWS)
        draws = _draws(known, counts, tables.get(str(table)))
        over = "seeds" if draws is None else "seeds and examples"
        of_train, of_test = draws or (counts @ train / len(train), counts @ test / len(test))
        row: dict[str, Any] = {
            "agent": number[str(agent)],
            "train": significant(train.mean()),
            "test": significant(test.mean()),
            "gap": significant(float((train - test).mean())),
            "over": over,
        }
        for name, values in (("test", of_test), ("gap", of_train - of_test)):
            low, high = measures.interval(values)
            row |= {f"{name}_low": significant(low), f"{name}_high": significant(high)}
        columns = found.setdefault((str(table), float(budget), str(cost)), {k: [] for k in row})
        for name, value in row.items():
            columns[name].append(value)
    return found


def _draws(
    known: pl.DataFrame, counts: measures.Counts, table: LookupTable | None
) -> tuple[Floats, Floats] | None:
    """Train and test means of each draw, where both splits have outcomes of every incumbent."""
    if table is None:
        return None
    chosen = known["incumbent"].to_list()
    train, test = (draws_over_examples(chosen, counts, table, split) for split in ("train", "test"))
    return None if train is None or test is None else (train, test)


def fewer_examples(table: LookupTable, budget: float, cost: str) -> dict[str, Any] | None:
    """The best configuration as chosen on ever more training examples; None without outcomes.

    For each size: the score as seen on those examples, on all training examples and on test, mean
    over draws of examples with 90 % intervals. It concerns the table: no agent is in it.
    """
    simulator = Simulator(table, budget, cost=cost)
    outcomes = simulator.split.outcomes
    metric = table.task.metric
    if outcomes is None or metric not in outcomes.metrics or "test" not in table.splits:
        return None
    cells = simulator.feasible_cells
    cells = cells[(outcomes.rows(cells) >= 0) & table.present("test")[cells]]
    n = outcomes.n_examples
    sizes = [size for size in _SIZES if size < n] + [n]
    draws = int(min(200, _WORK // max(1, len(cells) * n)))
    if draws < 20 or not len(cells):
        return None
    rng = np.random.default_rng(_SEED)
    rows, coded = outcomes.rows(cells), outcomes.metrics[metric]
    whole = np.asarray(simulator.scores)[cells]
    test = table.scores("test")[cells]
    found: dict[str, Any] = {"sizes": sizes, "configurations": len(cells), "draws": draws}
    results: dict[str, list[list[float | None]]] = {"seen": [], "train": [], "test": []}
    for size in sizes:
        weights = np.zeros((1 if size == n else draws, n))
        for row in weights:
            row[rng.choice(n, size, replace=False)] = 1.0
        chosen = statistics.chosen_on_fewer(coded.weighted_means(rows, weights), whole, test)
        for name, values in zip(results, chosen, strict=True):
            results[name].append(rounded([values.mean(), *np.quantile(values, [0.05, 0.95])]))
    return found | results


def fronts(table: LookupTable) -> dict[str, Any]:
    """The table's Pareto front of cost and train score under every cost model that it knows."""
    found: dict[str, Any] = {}
    for name in COST_MODELS:
        try:
            simulator = Simulator(table, np.finfo(np.float64).max, cost=name)
            costs = simulator.cell_costs
        except AgentTTSError:
            continue
        scores = np.asarray(simulator.scores)
        known = np.where(np.isfinite(costs), scores, np.nan)
        front = statistics.pareto_front(costs, known)
        if len(front) > _FRONT:
            front = front[np.unique(np.round(np.linspace(0, len(front) - 1, _FRONT)).astype(int))]
        if len(front):
            found[name] = {
                "unit": simulator.cost_model.unit,
                "costs": rounded(costs[front]),
                "scores": rounded(scores[front]),
                "names": [str(table.space.configuration(int(cell))) for cell in front],
            }
    return found


def default_configurations(
    table: LookupTable, budget: float, cost: str
) -> dict[str, Configuration]:
    """Configurations that one would take without a search, by what they are called.

    - `largest models, most samples`: of configurations that take each stage's k-th largest model
      at the same position p of each stage's grid, within the budget and in the table, the one with
      the largest models, then the most samples;
    - `smallest models, one sample`: each stage's smallest model at its smallest sample count.
    """
    simulator = Simulator(table, budget, cost=cost)
    limit = largest_allowed(simulator.budget)
    stages = table.task.stages
    ordered = [sorted(stage.models, key=lambda m: (-m.parameters, m.name)) for stage in stages]
    steps = max(len(stage.samples) for stage in stages)

    def uniform(k: int, p: int) -> Configuration:
        return Configuration.parse(",".join(
            f"{stage.name}={models[min(k, len(models) - 1)].name}:"
            f"{stage.samples[min(p, len(stage.samples) - 1)]}"
            for stage, models in zip(stages, ordered, strict=True)
        ))  # fmt: skip

    def usable(configuration: Configuration) -> bool:
        cell = table.space.cell(configuration)
        return bool(simulator.present[cell]) and simulator.cost(configuration) <= limit

    found = {}
    tries = (uniform(k, p) for k in range(max(map(len, ordered))) for p in reversed(range(steps)))
    largest = next(filter(usable, tries), None)
    if largest is not None:
        found["largest models, most samples"] = largest
    smallest = uniform(max(map(len, ordered)), 0)
    if usable(smallest) and smallest != largest:
        found["smallest models, one sample"] = smallest
    return found


def payback(
    table: LookupTable,
    key: Key,
    trials: pl.DataFrame,
    runs: pl.DataFrame,
    number: Mapping[str, int],
    given: Configuration | None = None,
) -> dict[str, Any] | None:
    """What `statistics.payback` needs, for each run: what its search cost, and what it found.

    A search's cost is the sum over its feasible trials of the configuration's cost times the
    examples that it was run on. Scores are test scores where the table has them. Costs are in the
    bench's cost model or, where all configurations cost the same in it, in tokens (`cost`).
    """
    import polars as pl

    _, budget, cost = key
    split = "test" if "test" in table.splits else "train"
    defaults = default_configurations(table, budget, cost)
    if given is not None:
        defaults = {"the given default": table.space.canonical(given), **defaults}
    simulator = _telling_costs(table, budget, cost)
    scored = {}
    for what, configuration in defaults.items():
        cell = table.space.cell(configuration)
        score = float(table.scores(split)[cell]) if cell >= 0 else float("nan")
        if not np.isnan(score):
            scored[what] = {
                "configuration": str(configuration),
                "cost": significant(simulator.cost(configuration), 6),
                "score": significant(score),
            }
    if not scored:
        return None
    examples = int(simulator.split.examples.max())
    here = pl.all_horizontal(
        pl.col(name) == value for name, value in zip(PROBLEM, key, strict=True)
    )
    feasible = trials.filter(here & pl.col("feasible"))
    asked = feasible["asked"].unique().to_list()
    costs = pl.DataFrame({
        "asked": asked,
        "each": [simulator.cost(Configuration.parse(name)) for name in asked],
    }, schema={"asked": pl.String, "each": pl.Float64})  # fmt: skip
    spent = (
        feasible.join(costs, on="asked")
        .group_by("agent", "seed")
        .agg((pl.col("each") * pl.col("examples").fill_null(examples)).sum().alias("spent"))
    )
    rows = runs.filter(here).join(spent, on=("agent", "seed"), how="left", maintain_order="left")
    found: dict[int, dict[str, Any]] = {}
    for (agent,), part in rows.group_by("agent", maintain_order=True):
        of_found = [
            None if name is None else significant(simulator.cost(Configuration.parse(name)), 6)
            for name in part["incumbent"]
        ]
        scores = part["test_score" if split == "test" else "train_score"]
        found[number[str(agent)]] = {
            "spent": [significant(value, 6) for value in part["spent"]],
            "cost": of_found,
            "score": [significant(value) for value in scores],
        }
    return {
        "split": split,
        "cost": simulator.cost_model.name,
        "examples": examples,
        "defaults": scored,
        "agents": found,
    }


def _telling_costs(table: LookupTable, budget: float, cost: str) -> Simulator:
    """The table under the bench's cost model or, where that tells none of its configurations apart
    (models far smaller than the paper's cost no units), under tokens."""
    simulator = Simulator(table, budget, cost=cost)
    costs = simulator.cell_costs[simulator.feasible_cells]
    if len(costs) and costs.min() == costs.max() and cost != "tokens":
        return Simulator(table, float(np.finfo(np.float64).max), cost="tokens")
    return simulator


def median_payback(entry: Mapping[str, Any], default: str, agent: int, worth: float = 0.0) -> float:
    """Median over runs of the executions after which a search has paid for itself; inf: never."""
    taken, against = entry["agents"][agent], entry["defaults"][default]

    def column(name: str) -> Floats:
        return np.array([np.nan if v is None else v for v in taken[name]], dtype=np.float64)

    runs = statistics.payback(
        column("spent"), against["cost"], column("cost"), against["score"], column("score"), worth
    )
    known = np.sort(runs[~np.isnan(runs)])
    if not len(known):
        return float("nan")
    low, high = known[(len(known) - 1) // 2], known[len(known) // 2]
    return float("inf") if np.isinf(high) else float((low + high) / 2)


def by_budget(problems: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tables searched at several budgets: the numbers of their problems, budgets ascending."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, problem in enumerate(problems):
        groups.setdefault((problem["table"], problem["cost"]), []).append(i)
    return [
        {
            "table": table,
            "cost": cost,
            "problems": sorted(group, key=lambda i: float(problems[i]["budget"])),
        }
        for (table, cost), group in groups.items()
        if len(group) > 1
    ]
