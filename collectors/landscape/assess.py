"""How well the fits agree with what was published: the figures behind the report and its tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from collectors.landscape import published
from collectors.landscape.draw import draw, outcome_levels
from collectors.landscape.fit import (
    OFFSET_SD,
    affordable,
    at_temperatures,
    problem_of,
    winning_rows,
)
from collectors.landscape.model import Floats, expected_at, expected_scores
from collectors.landscape.parameters import fitted, frame
from collectors.landscape.published import REFERENCE, Point, Row
from collectors.landscape.refit import diagnostics
from collectors.landscape.supply import SERVING
from collectors.serving import configuration_seconds
from simulator import Configuration, Space, Stage

TASKS = ("2wiki", "hotpotqa", "cwq", "webqsp", "taskbench", "chatdev")
"""Tasks with operating points, in the order of the published file."""


@dataclass(frozen=True)
class Agreement:
    """One task's operating points: published, expected, and predicted without the point."""

    name: str
    points: list[Point]
    expected: Floats
    left_out: Floats

    @property
    def reported(self) -> Floats:
        return np.array([point.score for point in self.points])

    @property
    def residuals(self) -> Floats:
        return self.expected - self.reported


def agreement(name: str, folder: Path = REFERENCE) -> Agreement:
    """Agreement of the committed fit of a task."""
    problem = problem_of(name, folder)
    scene = problem.frame.landscape(fitted(name).vector)
    return Agreement(
        name,
        list(problem.points),
        expected_at(scene, problem.rows),
        np.array(diagnostics(name).leave_one_out),
    )


@dataclass(frozen=True)
class Winner:
    """A published best configuration against the best that the model can afford, in expectation."""

    what: str
    row: Row
    expected: float
    optimum: float
    optimum_row: Row

    @property
    def gap(self) -> float:
        return self.optimum - self.expected


def winners(name: str, folder: Path = REFERENCE) -> list[Winner]:
    """AgentTTS' configuration and the best published one of a task."""
    this = frame(name)
    scene = this.landscape(fitted(name).vector)
    scores = expected_scores(scene)
    within = affordable(this.task)
    best = int(np.flatnonzero(within)[np.argmax(scores[within])])
    asked = Space(this.task).asked_of_cells(np.array([best]))[0]
    top: Row = tuple((int(m), int(s)) for m, s in asked)
    rows = [row for row, _ in winning_rows(published.operating_points(folder)[name])]
    expected = expected_at(scene, rows)
    return [
        Winner(what, row, float(value), float(scores[best]), top)
        for what, row, value in zip(("AgentTTS", "best published"), rows, expected, strict=True)
    ]


def describe(name: str, row: Row) -> str:
    """A configuration in words, models without the parts of their names that say nothing here."""
    task = frame(name).task
    parts = []
    for stage, (model, samples) in zip(task.stages, row, strict=True):
        short = stage.models[model].name.replace("-Instruct", "").replace("-AWQ", "")
        parts.append(f"{short}:{samples}")
    return ", ".join(parts)


def configuration(name: str, row: Row) -> Configuration:
    """A row as a configuration."""
    return Space(frame(name).task).from_indices(np.array(row, dtype=np.int64))


@dataclass(frozen=True)
class Temperature:
    """The 2Wiki temperature grid: published, modelled (with the examples' offset)."""

    temperatures: list[float]
    samples: list[int]
    published: Floats
    modelled: Floats
    offset: float


def temperature(folder: Path = REFERENCE) -> Temperature:
    """The published grid beside the committed fit, both of shape (temperatures, samples)."""
    grid = published.temperature_grid(folder)
    samples = sorted({s for s, _, _ in grid})
    temperatures = sorted({t for _, t, _ in grid})
    reported = np.array([[_one(grid, s, t) for s in samples] for t in temperatures])
    scene = at_temperatures(frame("2wiki"), fitted("2wiki").vector, temperatures)
    rows: list[Row] = [((2, 1), (t, s)) for t in range(len(temperatures)) for s in samples]
    offset = OFFSET_SD * diagnostics("2wiki").nuisance[0]
    modelled = expected_at(scene, rows).reshape(reported.shape) + offset
    return Temperature(temperatures, samples, reported, modelled, offset)


def _one(grid: list[tuple[int, float, float]], samples: int, temperature: float) -> float:
    return next(score for s, t, score in grid if (s, t) == (samples, temperature))


def adjacent_differences(folder: Path = REFERENCE, draws: int = 40) -> tuple[float, float]:
    """Root mean square difference of 50-example scores at adjacent sample counts from 10 up.

    On the published temperature grid, and on draws of the committed fit at the same counts.
    """
    told = temperature(folder)
    reported = np.diff(told.published[:, 1:], axis=1)
    scene = at_temperatures(frame("2wiki"), fitted("2wiki").vector, told.temperatures)
    retrieve, answer = scene.task.stages
    stages: tuple[Stage, ...] = (
        retrieve.model_copy(update={"samples": (1,)}),
        answer.model_copy(update={"samples": tuple(told.samples)}),
    )
    scene = replace(scene, task=scene.task.model_copy(update={"stages": stages}))
    squares = []
    for number in range(draws):
        levels = outcome_levels(draw(scene, 50, (number, 99)))[1]
        shape = (len(retrieve.models), len(told.temperatures), len(told.samples), 50)
        means = levels.reshape(shape)[2, :, 1:].mean(axis=-1)
        squares.append(float((np.diff(means, axis=1) ** 2).mean()))
    return float(np.sqrt((reported**2).mean())), float(np.sqrt(np.mean(squares)))


@dataclass(frozen=True)
class SearchTime:
    """Modelled hours of 50 random affordable trials on the training split, beside published hours
    to each method's best trial."""

    name: str
    modelled: float
    batched: float
    published: dict[str, float]

    @property
    def ratio(self) -> float:
        """Modelled hours over the median of the published ones."""
        return self.modelled / float(np.median(list(self.published.values())))


def search_time(name: str, folder: Path = REFERENCE, trials: int = 50) -> SearchTime:
    """Modelled and published search hours of a task."""
    this = frame(name)
    within = affordable(this.task)
    hours = []
    for serving in (SERVING, replace(SERVING, examples_at_once=None)):
        seconds = configuration_seconds(this.task, this.train_examples, serving)
        hours.append(trials * float(seconds[within].mean()) / 3600)
    told = {h.method: h.hours for h in published.search_hours(folder)[name]}
    return SearchTime(name, hours[0], hours[1], told)
