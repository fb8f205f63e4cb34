"""Cost models: what a configuration costs, each behind one interface.

Every cost here is a sum over stages, and a stage's cost depends on its model and samples alone.
So a cost model fills one array per stage, shape (models, max_samples + 1), column s being the cost
of s samples (column 0 is unused and nan). A budget is always stated with its cost model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.errors import BudgetTooSmall, TableError, UnknownName, UsageError
from simulator.task import Model, Stage, Task

if TYPE_CHECKING:
    from simulator.table import LookupTable

StageCosts = tuple[NDArray[np.float64], ...]

UNIT_PARAMETERS = 3e9
UNIT_PROMPT_TOKENS = 128
"""One budget unit: one sample of a 3e9-parameter model on 128 prompt and 64 generated tokens."""

NOMINAL_DOLLARS_PER_MILLION_PER_BILLION = (0.01, 0.03)
"""Modelled prices where a model names none: (prompt, generated) dollars per million tokens for
each 1e9 parameters. No provider's price; they keep the ratio of generated to prompt at three."""


@dataclass(frozen=True)
class CostModel:
    """A named rule from a task (and for `seconds` its table) to costs per stage."""

    name: str
    unit: str
    formula: str
    stage_costs: Callable[[Task, LookupTable | None, str], StageCosts]


def units(
    parameters: float,
    prompt_tokens: float,
    generated_tokens: float,
    samples: NDArray[np.float64] | float,
    *,
    clip: bool = True,
) -> NDArray[np.float64] | float:
    """Budget units of one stage: 2 * ((P / 3e9) * (prompt + samples * generated) / 128 - 1).

    Prefill counts once per stage, however many samples are drawn. Source: the budget conversion of
    arXiv 2508.00890 as stated in its public discussion. `clip` cuts negative figures off at 0.

    >>> units(11e9, 256, 128, 1)
    20.0
    """
    tokens = prompt_tokens + np.asarray(samples) * generated_tokens
    raw = 2.0 * ((parameters / UNIT_PARAMETERS) * tokens / UNIT_PROMPT_TOKENS - 1.0)
    result = np.maximum(raw, 0.0) if clip else raw
    return float(result) if np.ndim(result) == 0 else result


def _per_stage(
    rule: Callable[[Stage, Model, NDArray[np.float64]], NDArray[np.float64]],
) -> Callable[[Task, LookupTable | None, str], StageCosts]:
    def costs(task: Task, table: LookupTable | None, split: str) -> StageCosts:
        out = []
        for stage in task.stages:
            samples = np.arange(stage.samples[-1] + 1, dtype=np.float64)
            array = np.stack([rule(stage, model, samples) for model in stage.models])
            array[:, 0] = np.nan
            out.append(array)
        return tuple(out)

    return costs


def _units(stage: Stage, model: Model, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(units(model.parameters, stage.prompt_tokens, stage.generated_tokens, samples))


def _tokens(stage: Stage, model: Model, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return stage.prompt_tokens + samples * stage.generated_tokens


def _flops(stage: Stage, model: Model, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2.0 * model.parameters * _tokens(stage, model, samples)


def _dollars(stage: Stage, model: Model, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    billions = model.parameters / 1e9
    prompt, generated = (price * billions for price in NOMINAL_DOLLARS_PER_MILLION_PER_BILLION)
    if model.dollars_per_million_prompt is not None:
        prompt = model.dollars_per_million_prompt
    if model.dollars_per_million_generated is not None:
        generated = model.dollars_per_million_generated
    return (prompt * stage.prompt_tokens + generated * samples * stage.generated_tokens) / 1e6


def _seconds(task: Task, table: LookupTable | None, split: str) -> StageCosts:
    """The table's `seconds` taken apart into a sum over stages, linear between grid points.

    Least squares over the table's cells (their additive main effects). Stages of one configuration
    run one after the other, so the sum is exact but for what a stage's length owes to the text that
    it was handed.
    """
    if table is None:
        raise UsageError("the cost model 'seconds' needs a table: its seconds are the cost")
    effects = additive_effects(table, table.split(split).seconds)
    out = []
    for i, stage in enumerate(task.stages):
        grid = table.space.grids[i]
        samples = np.arange(stage.samples[-1] + 1, dtype=np.float64)
        array = np.empty((len(stage.models), len(samples)))
        for m in range(len(stage.models)):
            known = ~np.isnan(effects[i][m])
            if not known.any():
                array[m] = np.inf
                continue
            array[m] = np.interp(samples, grid[known], effects[i][m, known])
        array[:, 0] = np.nan
        out.append(array)
    return tuple(out)


def additive_effects(table: LookupTable, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Fit `values` of shape (cells,) by a sum over stages; one (models, grid) array a stage.

    Backfitting of main effects, exact for additive values. Options with no cell are nan. The first
    stage carries the constant; effects that would then be under zero are zero. A table of many
    cells is fitted on a fixed sample of them that holds hundreds of each option.
    """
    cells = np.flatnonzero(~np.isnan(values))
    if len(cells) == 0:
        raise TableError(f"table {table.task.name!r}: no cell has seconds")
    enough = max(100_000, 500 * int(table.space.n_options.max()))
    if len(cells) > 2 * enough:
        cells = np.random.default_rng(0).choice(cells, enough, replace=False)
    target = np.asarray(values[cells], dtype=np.float64)
    options = table.space.options(cells)
    sizes = [int(n) for n in table.space.n_options]
    counts = [np.bincount(options[:, i], minlength=n) for i, n in enumerate(sizes)]
    effects = [np.zeros(n) for n in sizes]
    fitted = np.zeros(len(cells))
    for _ in range(200):
        before = fitted.copy()
        for i, n in enumerate(sizes):
            rest = target - fitted + effects[i][options[:, i]]
            sums = np.bincount(options[:, i], weights=rest, minlength=n)
            new = np.divide(sums, counts[i], out=np.zeros(n), where=counts[i] > 0)
            fitted += (new - effects[i])[options[:, i]]
            effects[i] = new
        if np.max(np.abs(fitted - before)) <= 1e-9 * max(1.0, float(np.max(np.abs(target)))):
            break
    shift = 0.0
    for i in range(1, len(sizes)):
        low = effects[i][counts[i] > 0].min()
        effects[i] -= low
        shift += low
    effects[0] += shift
    for i in range(len(sizes)):
        effects[i] = np.maximum(effects[i], 0.0)
        effects[i][counts[i] == 0] = np.nan
        shape = (int(table.space.n_models[i]), int(table.space.n_grid[i]))
        effects[i] = effects[i].reshape(shape)
    return effects


_ALL = (
    CostModel(
        "units",
        "units",
        "sum over stages of max(0, 2 * ((P / 3e9) * (prompt + samples * generated) / 128 - 1))",
        _per_stage(_units),
    ),
    CostModel(
        "flops",
        "FLOPs",
        "sum over stages of 2 * P * (prompt + samples * generated)",
        _per_stage(_flops),
    ),
    CostModel(
        "tokens",
        "tokens",
        "sum over stages of prompt + samples * generated",
        _per_stage(_tokens),
    ),
    CostModel(
        "dollars",
        "dollars",
        "sum over stages of (prompt price * prompt + generated price * samples * generated) / 1e6; "
        "a model without prices at 0.01 and 0.03 dollars for each 1e9 parameters",
        _per_stage(_dollars),
    ),
    CostModel(
        "seconds",
        "seconds",
        "sum over stages of the table's seconds on the search split",
        _seconds,
    ),
)
COST_MODELS: Mapping[str, CostModel] = {model.name: model for model in _ALL}


def cost_model(name: str) -> CostModel:
    """A cost model by name; raises `UnknownName`."""
    if name not in COST_MODELS:
        raise UnknownName("cost model", name, COST_MODELS)
    return COST_MODELS[name]


def largest_allowed(budget: float) -> float:
    """The budget with an allowance of 1e-9 of it for rounding: what costs are compared with."""
    return budget + 1e-9 * abs(budget)


def check_budget(
    task: Task, stage_costs: StageCosts, model: CostModel, budget: float | None
) -> float:
    """A budget that affords at least the cheapest configuration of the grid.

    `None` is the task's default, which is in `units`. Raises `UsageError` where it is missing or no
    number, `BudgetTooSmall` saying what the cheapest configuration costs.
    """
    on_grid = [
        costs[:, list(stage.samples)] for stage, costs in zip(task.stages, stage_costs, strict=True)
    ]
    cheapest = float(sum(costs.min() for costs in on_grid))
    if budget is None:
        if model.name != "units":
            dearest = sum(costs[np.isfinite(costs)].max() for costs in on_grid)
            raise UsageError(
                f"a budget in {model.unit} must be given: configurations of {task.name!r} cost "
                f"from {cheapest:.6g} to {dearest:.6g}"
            )
        budget = task.default_budget
    if isinstance(budget, bool) or not isinstance(budget, int | float | np.number):
        raise UsageError(f"budget must be a number, not {budget!r}")
    if not np.isfinite(budget):
        raise UsageError(f"budget must be a finite number, not {budget}")
    if cheapest > largest_allowed(float(budget)):
        raise BudgetTooSmall(
            f"budget {budget:.6g} is under the cheapest configuration of {task.name!r}, which "
            f"costs {cheapest:.6g} {model.unit}"
        )
    return float(budget)
