"""Coordinates of a landscape: the numbers that are fitted and drawn, their prior, and their files.

A landscape of a given task is one point: a vector of coordinates, each with a normal prior
(`prior.toml`, where their meaning stands). Per stage and model, with z the decades by which the
model is smaller than the stage's largest:

    ability     = ability + ability_decade * z + ability_own
    reliance    = exp(log_reliance + log_reliance_decade * z)
    diversity   = exp(log_diversity + log_diversity_own), at most 1
    redundancy  = exp(log_redundancy + log_redundancy_own)
    window      = exp(log_window + log_window_decade * z + log_window_own)
    difficulty, correlation   from their logarithm and log-odds

A model at another temperature than its stage's loses `temperature_loss` log-odds a unit and gains
`temperature_gain` in log(diversity): the first moves a single sample, the second what more samples
add.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.special import expit

from collectors.landscape.model import Floats, Landscape, Noise, Reported, StageParameters
from simulator import Task
from simulator.errors import UnknownName

_PER_STAGE = (
    "ability",
    "ability_decade",
    "log_difficulty",
    "log_reliance",
    "log_reliance_decade",
    "log_diversity",
    "log_redundancy",
    "log_window",
    "log_window_decade",
)
_PER_MODEL = ("ability_own", "log_diversity_own", "log_redundancy_own", "log_window_own")
_PER_TASK = ("logit_correlation", "temperature_loss", "temperature_gain")
_OF_INPUT = ("log_reliance", "log_reliance_decade")


@dataclass(frozen=True)
class Coordinate:
    """One number of a landscape with its normal prior; `stage` is -1 for the task's, `model` -1
    for the stage's."""

    name: str
    stage: int
    model: int
    mean: float
    sd: float


@dataclass(frozen=True)
class StageShape:
    """What is taken as given of a stage's outcome: see `tasks.toml`."""

    levels: int
    spread: float
    metric: str | None
    low: float = 0.0
    high: float = 1.0
    temperature: float | None = None


@dataclass(frozen=True)
class Frame:
    """A task with everything about it that is not fitted."""

    task: Task
    shapes: tuple[StageShape, ...]
    noise: Noise
    train_examples: int
    test_examples: int

    @cached_property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Every coordinate of this task, in the order of its vectors."""
        stage_prior, task_prior = prior()["stage"], prior()["task"]
        out = []
        for i, stage in enumerate(self.task.stages):
            names = [name for name in _PER_STAGE if i > 0 or name not in _OF_INPUT]
            out += [Coordinate(name, i, -1, **stage_prior[name]) for name in names]
            models = range(len(stage.models))
            out += [
                Coordinate(name, i, m, **stage_prior[name]) for name in _PER_MODEL for m in models
            ]
        out += [Coordinate(name, -1, -1, **task_prior[name]) for name in _PER_TASK]
        return tuple(out)

    @cached_property
    def means(self) -> Floats:
        return np.array([c.mean for c in self.coordinates])

    @cached_property
    def deviations(self) -> Floats:
        return np.array([c.sd for c in self.coordinates])

    @cached_property
    def _places(self) -> dict[tuple[str, int], slice]:
        """Where the coordinates of one name and stage lie in a vector."""
        places: dict[tuple[str, int], slice] = {}
        for at, c in enumerate(self.coordinates):
            start = places[c.name, c.stage].start if (c.name, c.stage) in places else at
            places[c.name, c.stage] = slice(start, at + 1)
        return places

    def landscape(self, vector: Floats) -> Landscape:
        """The landscape at a point."""

        def of(name: str, stage: int) -> Floats:
            return vector[self._places[name, stage]]

        stages = []
        for i, (spec, shape) in enumerate(zip(self.task.stages, self.shapes, strict=True)):
            sizes = np.array([model.parameters for model in spec.models])
            z = np.log10(sizes.max() / sizes)
            reliance = (
                np.zeros(len(z))
                if i == 0
                else np.exp(of("log_reliance", i) + of("log_reliance_decade", i) * z)
            )
            ability = of("ability", i) + of("ability_decade", i) * z + of("ability_own", i)
            diversity = np.exp(of("log_diversity", i) + of("log_diversity_own", i))
            window = of("log_window", i) + of("log_window_decade", i) * z + of("log_window_own", i)
            if shape.temperature is not None:
                away = np.array(
                    [0.0 if m.temperature is None else m.temperature - shape.temperature
                     for m in spec.models]
                )  # fmt: skip
                ability = ability - of("temperature_loss", -1) * away
                diversity = diversity * np.exp(of("temperature_gain", -1) * away)
            stages.append(
                StageParameters(
                    ability=ability,
                    difficulty=float(np.exp(of("log_difficulty", i)[0])),
                    reliance=reliance,
                    diversity=np.minimum(diversity, 1.0),
                    redundancy=np.exp(of("log_redundancy", i) + of("log_redundancy_own", i)),
                    window=np.exp(window),
                    levels=shape.levels,
                    spread=shape.spread,
                )
            )
        reported = tuple(
            Reported(shape.metric, i, shape.low, shape.high)
            for i, shape in enumerate(self.shapes)
            if shape.metric is not None
        )
        by_name = {metric.name: metric for metric in reported}
        return Landscape(
            self.task,
            tuple(stages),
            float(expit(of("logit_correlation", -1)[0])),
            self.noise,
            tuple(by_name[name] for name in self.task.metrics),
            self.train_examples,
            self.test_examples,
        )


@dataclass(frozen=True)
class Fit:
    """A fitted point of a task, and the seeds of the draw that ships."""

    vector: Floats
    train_seed: int
    test_seed: int


def _data(name: str) -> Mapping[str, Any]:
    return tomllib.loads(files("collectors.landscape").joinpath(name).read_text(encoding="utf-8"))


@cache
def prior() -> Mapping[str, Any]:
    """The content of `prior.toml`."""
    return _data("prior.toml")


def noise() -> Noise:
    """The shares of luck in `prior.toml`."""
    return Noise(**prior()["noise"])


def task_names(*, shipped: bool = True) -> tuple[str, ...]:
    """Names of the modelled tasks; with `shipped` false, those too that become no table."""
    tasks = _data("tasks.toml")["tasks"]
    return tuple(name for name, task in tasks.items() if not shipped or task.get("shipped", True))


@cache
def frame(name: str) -> Frame:
    """A modelled task's frame; raises `UnknownName`."""
    data = _data("tasks.toml")
    tasks = data["tasks"]
    if name not in tasks:
        raise UnknownName("modelled task", name, tasks)
    entry = tasks[name]
    if "same_as" in entry:
        entry = {**tasks[entry["same_as"]], **entry}
    stages, shapes = [], []
    for stage in entry["stages"]:
        stages.append(
            {
                "name": stage["name"],
                "description": stage["description"],
                "prompt_tokens": stage["prompt_tokens"],
                "generated_tokens": stage["generated_tokens"],
                "samples": tuple(data["samples"]),
                "models": tuple(
                    {
                        "name": model,
                        "parameters": data["models"][model],
                        "temperature": stage.get("temperature"),
                    }
                    for model in stage["models"]
                ),
            }
        )
        shapes.append(
            StageShape(
                stage["levels"],
                stage.get("spread", 0.0),
                stage.get("metric"),
                stage.get("low", 0.0),
                stage.get("high", 1.0),
                stage.get("temperature"),
            )
        )
    metrics = [shape.metric for shape in reversed(shapes) if shape.metric is not None]
    task = Task.from_mapping(
        {
            "name": name,
            "title": entry["title"],
            "description": entry["description"],
            "kind": "modelled",
            "metric": entry["metric"],
            "metrics": tuple(metrics),
            "default_budget": entry["default_budget"],
            "stages": tuple(stages),
        },
        source=f"tasks.toml: {name}",
    )
    return Frame(task, tuple(shapes), noise(), entry["train_examples"], entry["test_examples"])


@cache
def fitted(name: str) -> Fit:
    """The committed fit of a task, `fits/NAME.toml`."""
    this = frame(name)
    data = _data(f"fits/{name}.toml")
    by_stage = {stage["name"]: stage for stage in data["stages"]}
    values = []
    for c in this.coordinates:
        if c.stage < 0:
            values.append(data["task"][c.name])
            continue
        entry = by_stage[this.task.stages[c.stage].name][c.name]
        values.append(entry if c.model < 0 else entry[c.model])
    draw = data["draw"]
    return Fit(np.array(values, dtype=np.float64), draw["train_seed"], draw["test_seed"])


def fit_text(this: Frame, fit: Fit) -> str:
    """The text of `fits/NAME.toml`."""
    lines = [
        f"# Fitted coordinates of {this.task.name}, by `python -m collectors.landscape fit`.",
        "# prior.toml says what each is, parameters.py how they become the model's parameters.",
        "",
        "[draw]",
        f"train_seed = {fit.train_seed}",
        f"test_seed = {fit.test_seed}",
        "",
        "[task]",
    ]
    grouped: dict[int, dict[str, list[float]]] = {}
    for c, value in zip(this.coordinates, fit.vector, strict=True):
        grouped.setdefault(c.stage, {}).setdefault(c.name, []).append(round(float(value), 5))
    lines += [f"{name} = {values[0]!r}" for name, values in grouped[-1].items()]
    for i, stage in enumerate(this.task.stages):
        models = ", ".join(model.name for model in stage.models)
        lines += ["", "[[stages]]", f'name = "{stage.name}"  # {models}']
        for name, values in grouped[i].items():
            per_model = name in _PER_MODEL
            lines.append(f"{name} = {values if per_model else values[0]!r}")
    return "\n".join(lines) + "\n"
