"""An endless supply of landscapes: tasks like a fitted one, and wholly random ones.

`make(like, seed)` is a pure function of its arguments. Agents may be developed on
`DEVELOPMENT_SEEDS`; `JUDGING_SEEDS` are reserved for judging them: never tune anything on those.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from collectors.landscape.draw import Levels, draw, mean_levels, outcome_levels
from collectors.landscape.model import Floats, Landscape, Reported
from collectors.landscape.parameters import Frame, StageShape, fitted, frame, noise
from collectors.serving import Serving, configuration_seconds
from simulator import LookupTable, Model, Outcomes, Space, SplitTable, Stage, Task, units
from simulator.errors import UsageError
from simulator.outcomes import Coded

DEVELOPMENT_SEEDS = range(100)
"""The development suite: seeds to develop and tune agents on."""

JUDGING_SEEDS = range(1_000_000, 1_001_000)
"""Seeds for judging only. A result on them means something as long as nobody tuned on them."""

SERVING = Serving(examples_at_once=1)
"""How `seconds` are modelled: a program that finishes one example before it starts the next. Of the
settings of `collectors.serving` it comes nearest to the published search hours."""

MAX_CELLS = 200_000
"""Dense grids of random tasks stay at or below so many cells."""

SPREAD = 0.5
"""How far a task like a fitted one strays from it, in standard deviations of the prior."""

GRIDS: tuple[tuple[int, ...], ...] = (
    (1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100),
    (1, 2, 3, 5, 10, 15, 20, 30, 50, 70, 100),
    (1, 2, 5, 10, 20, 50, 100),
    (1, 3, 10, 30, 100),
    (1, 5, 25, 100),
    (1, 10, 60),
)
"""Grids of sample counts of random tasks, finest first."""

_SIZES = (0.5e9, 1e9, 1.5e9, 3e9, 4e9, 7e9, 8e9, 11e9, 14e9, 22e9, 32e9, 70e9, 72e9, 90e9, 123e9)
_TOKENS = (32, 64, 128, 256, 512, 1024, 2048)
_ROLES = ("retrieve", "plan", "draft", "review", "refine", "answer", "rank", "extract", "check")


def make(
    like: str | None = None, seed: int = 0, *, outcomes: bool = True, spread: float = SPREAD
) -> LookupTable:
    """A new landscape as a table of kind `modelled`, with splits `train` and `test`.

    `like` names a modelled task (`parameters.task_names`): its stages, models, costs and budget,
    with coordinates drawn from the prior around its fit, `spread` prior standard deviations wide,
    and new examples. `None` draws everything: 1 to 6 stages, 1 to 5 models a stage. Outcomes per
    example are those of the searched metric, within the default budget; without `outcomes` the
    table is made quicker and its scores are the same. Raises `UnknownName` and `UsageError`.
    """
    scene = landscape(like, seed, spread=spread)
    base = _seed_of(like, int(seed))
    seeds = {"train": (*base, 1), "test": (*base, 2)}
    return table_of(scene, seeds, outcomes=outcomes)


def landscape(like: str | None = None, seed: int = 0, *, spread: float = SPREAD) -> Landscape:
    """The landscape behind `make`, not yet drawn."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed must be a whole number from 0, not {seed!r}")
    if not 0 <= spread <= 3:
        raise UsageError(f"spread must be from 0 to 3, not {spread}")
    seed = int(seed)
    rng = np.random.default_rng((*_seed_of(like, seed), 0))
    if like is None:
        chosen = random_frame(rng, f"random-{seed}")
        vector = chosen.means + chosen.deviations * rng.standard_normal(len(chosen.means))
    else:
        original = frame(like)
        strayed = spread * original.deviations * rng.standard_normal(len(original.means))
        vector = fitted(like).vector + strayed
        chosen = replace(original, task=_renamed(original.task, f"{like}-{seed}"))
    return chosen.landscape(vector)


def table_of(
    scene: Landscape,
    seeds: Mapping[str, tuple[int, ...]],
    *,
    outcomes: bool = True,
    within: float = 1.0,
    all_metrics: bool = False,
) -> LookupTable:
    """Draw the splits with their seeds and make the table.

    Outcomes are kept of configurations within `within` times the default budget (of all, where it
    is infinite), and of the searched metric alone unless `all_metrics`.
    """
    space = Space(scene.task)
    examples = {"train": scene.train_examples, "test": scene.test_examples}
    kept = np.flatnonzero(cell_units(scene.task) <= within * scene.task.default_budget)
    splits = {}
    for split, n in examples.items():
        drawn = draw(scene, n, seeds[split])
        coded = None
        if outcomes:
            levels = outcome_levels(drawn)
            wanted = scene.metrics if all_metrics else (scene.searched,)
            coded = _coded(scene, levels, wanted, kept, space.n_cells)
        splits[split] = SplitTable(
            split,
            metric_values(scene, mean_levels(drawn)),
            configuration_seconds(scene.task, n, SERVING),
            np.full(space.n_cells, n, dtype=np.int32),
            coded,
        )
    return LookupTable(scene.task, space, splits)


def cell_units(task: Task) -> Floats:
    """Cost of every cell in budget units, shape (cells,)."""
    total = np.zeros(1)
    for stage in task.stages:
        total = (total[:, None] + _option_units(stage)[None, :]).ravel()
    return total


def _option_units(stage: Stage) -> Floats:
    samples = np.array(stage.samples, dtype=np.float64)
    rows = [
        units(model.parameters, stage.prompt_tokens, stage.generated_tokens, samples)
        for model in stage.models
    ]
    return np.concatenate(rows)


def metric_values(scene: Landscape, levels: Sequence[Floats]) -> dict[str, Floats]:
    """Mean levels of every stage, (cells up to it,), to the metrics of every cell."""
    cells = len(levels[-1])
    out = {}
    for metric in scene.metrics:
        share = levels[metric.stage] / scene.stages[metric.stage].levels
        value = metric.low + (metric.high - metric.low) * share
        out[metric.name] = np.repeat(value, cells // len(value))
    return out


def _coded(
    scene: Landscape,
    levels: Sequence[Levels],
    metrics: Sequence[Reported],
    kept: NDArray[np.int64],
    cells: int,
) -> Outcomes:
    """Outcomes of the cells `kept`: bits where an outcome is 0 or 1, else codes of its levels."""
    row_of_cell = np.full(cells, -1, dtype=np.int32)
    row_of_cell[kept] = np.arange(len(kept))
    coded = {}
    for metric in metrics:
        own = levels[metric.stage]
        values = own[kept // (cells // len(own))]
        top = scene.stages[metric.stage].levels
        if top == 1 and (metric.low, metric.high) == (0.0, 1.0):
            coded[metric.name] = Coded("bits", np.packbits(values, axis=1), np.empty(0))
        else:
            book = metric.low + (metric.high - metric.low) * np.arange(top + 1) / top
            coded[metric.name] = Coded("codes", values, book)
    return Outcomes(levels[-1].shape[1], row_of_cell, coded)


def _seed_of(like: str | None, seed: int) -> tuple[int, int]:
    """A seed of its own for each task, so that two tasks at one seed share nothing."""
    return seed, 0 if like is None else zlib.crc32(like.encode())


def _renamed(task: Task, name: str) -> Task:
    return task.model_copy(update={"name": name, "title": f"Random landscape {name}"})


def random_frame(rng: np.random.Generator, name: str) -> Frame:
    """A wholly random task: stages, models (named by size, not after real ones), tokens, budget."""
    n_stages = int(rng.integers(1, 7))
    counts = _model_counts(rng, n_stages)
    grids = _grids(rng, counts)
    roles = [str(role) for role in rng.choice(_ROLES, n_stages, replace=False)]
    stages, shapes = [], []
    for i in range(n_stages):
        temperature = float(rng.choice((0.7, 0.9)))
        stages.append(
            Stage(
                name=roles[i],
                models=_models(rng, counts[i], temperature),
                prompt_tokens=int(rng.choice(_TOKENS)),
                generated_tokens=int(rng.choice(_TOKENS)),
                samples=grids[i],
            )
        )
        last = i + 1 == n_stages
        levels = int(rng.choice((1, 1, 3, 8))) if last else 4
        shapes.append(
            StageShape(
                levels,
                0.0 if levels == 1 else float(rng.uniform(1.5, 4.0)),
                "score" if last else f"{roles[i]}_quality",
                temperature=temperature,
            )
        )
    metrics = [shape.metric for shape in reversed(shapes) if shape.metric is not None]
    task = Task(
        name=name,
        title=f"Random landscape {name}",
        kind="modelled",
        metric="score",
        metrics=tuple(metrics),
        default_budget=_budget(rng, stages),
        stages=tuple(stages),
    )
    return Frame(task, tuple(shapes), noise(), int(rng.choice((50, 100))), 500)


def _model_counts(rng: np.random.Generator, n_stages: int) -> list[int]:
    """1 to 5 models a stage, such that the coarsest grids stay below `MAX_CELLS`."""
    counts = rng.integers(1, 6, n_stages)
    coarsest = len(GRIDS[-1])
    while math.prod(int(c) * coarsest for c in counts) > MAX_CELLS:
        counts[int(rng.choice(np.flatnonzero(counts == counts.max())))] -= 1
    return [int(c) for c in counts]


def _grids(rng: np.random.Generator, counts: list[int]) -> list[tuple[int, ...]]:
    """The finest grids that fit `MAX_CELLS`: coarsened one stage at a time, in random order."""
    chosen = [0] * len(counts)
    order = rng.permutation(len(counts))
    turn = 0
    while math.prod(c * len(GRIDS[g]) for c, g in zip(counts, chosen, strict=True)) > MAX_CELLS:
        stage = int(order[turn % len(order)])
        chosen[stage] = min(chosen[stage] + 1, len(GRIDS) - 1)
        turn += 1
    return [GRIDS[g] for g in chosen]


def _models(rng: np.random.Generator, count: int, temperature: float) -> tuple[Model, ...]:
    """Models of ascending size; one of them may come at a second temperature."""
    twice = count > 1 and rng.random() < 0.15
    sizes = np.sort(rng.choice(_SIZES, count - twice, replace=False))
    models = [
        Model(name=f"model-{size / 1e9:g}B", parameters=float(size), temperature=temperature)
        for size in sizes
    ]
    if twice:
        at = int(rng.integers(len(models)))
        cold = models[at].model_copy(update={"name": f"{models[at].name}@0.2", "temperature": 0.2})
        models.insert(at + 1, cold)
    return tuple(models)


def _budget(rng: np.random.Generator, stages: list[Stage]) -> float:
    """A budget that leaves a share of the configurations affordable, drawn from 5 % to 60 %."""
    costs = [_option_units(stage) for stage in stages]
    total = sum(costs[i][rng.integers(len(costs[i]), size=4096)] for i in range(len(costs)))
    budget = max(float(np.quantile(total, rng.uniform(0.05, 0.6))), 10.0)
    cheapest = sum(float(cost.min()) for cost in costs)
    budget = max(budget, 1.2 * cheapest)
    step = 10.0 ** (math.floor(math.log10(budget)) - 1)
    return math.ceil(budget / step) * step
