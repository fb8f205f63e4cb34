"""The published figures that landscapes are fitted to, read from a folder of CSV files.

The folder is `lookup_tables/reference` unless told otherwise; its README has their sources.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.landscape.parameters import frame
from simulator import Task
from simulator.errors import TableError

REFERENCE = Path(__file__).parents[2] / "lookup_tables" / "reference"

Row = tuple[tuple[int, int], ...]
"""A configuration: a (model index, samples) pair a stage."""


@dataclass(frozen=True)
class Point:
    """One published score of one configuration; `who` is the method that chose it."""

    who: str
    row: Row
    score: float


@dataclass(frozen=True)
class Hours:
    """Published search hours of one method; `found` whether it found the best trial."""

    method: str
    hours: float
    found: bool
    test_score: float


def _rows(folder: Path, name: str) -> list[Mapping[str, str]]:
    path = folder / name
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from None


def _model(task: Task, stage: int, name: str, where: str) -> int:
    names = [model.name for model in task.stages[stage].models]
    if name not in names:
        raise TableError(f"{where}: no model {name!r} in stage {task.stages[stage].name!r}")
    return names.index(name)


def operating_points(folder: Path = REFERENCE) -> dict[str, list[Point]]:
    """Test scores of configurations, by task, in the order of the file."""
    out: dict[str, list[Point]] = {}
    for entry in _rows(folder, "operating_points.csv"):
        name = entry["task"]
        task = frame(name).task
        row = tuple(
            (
                _model(task, i, entry[f"stage_{i + 1}_model"], "operating_points.csv"),
                int(entry[f"stage_{i + 1}_samples"]),
            )
            for i in range(len(task.stages))
        )
        out.setdefault(name, []).append(Point(entry["method"], row, float(entry["test_score"])))
    return out


def search_hours(folder: Path = REFERENCE) -> dict[str, list[Hours]]:
    """Search hours by task; TextVQA's scores are those of the search, not of a test split."""
    out: dict[str, list[Hours]] = {}
    for entry in _rows(folder, "search_comparison.csv"):
        out.setdefault(entry["task"], []).append(
            Hours(
                entry["method"],
                float(entry["search_hours"]),
                entry["found_best"] == "true",
                float(entry["test_score"]),
            )
        )
    for entry in _rows(folder, "textvqa_search.csv"):
        out.setdefault("textvqa", []).append(
            Hours(
                entry["method"],
                float(entry["search_hours"]),
                entry["found_best"] == "true",
                float(entry["performance"]),
            )
        )
    return out


@dataclass(frozen=True)
class CurvePoint:
    """One published score of one stage's option, the other stages unknown."""

    stage: int
    model: int
    samples: int
    score: float


def textvqa_curves(folder: Path = REFERENCE) -> list[CurvePoint]:
    """The two stages of TextVQA, each measured apart."""
    task = frame("textvqa").task
    stages = [stage.name for stage in task.stages]
    out = []
    for entry in _rows(folder, "textvqa_stage_curves.csv"):
        stage = stages.index(entry["stage"])
        model = _model(task, stage, entry["model"], "textvqa_stage_curves.csv")
        out.append(CurvePoint(stage, model, int(entry["samples"]), float(entry["accuracy"])))
    return out


def math_curves(folder: Path = REFERENCE) -> list[Point]:
    """Best-of-N on MATH."""
    task = frame("math").task
    return [
        Point(
            entry["model"],
            ((_model(task, 0, entry["model"], "math_best_of_n.csv"), int(entry["samples"])),),
            float(entry["accuracy"]),
        )
        for entry in _rows(folder, "math_best_of_n.csv")
    ]


def temperature_grid(folder: Path = REFERENCE) -> list[tuple[int, float, float]]:
    """2Wiki behind one retrieval: (samples, temperature of the answering model, exact match)."""
    return [
        (int(entry["samples"]), float(entry["temperature"]), float(entry["exact_match"]))
        for entry in _rows(folder, "2wiki_temperature.csv")
    ]
