"""Plots of the fit report, SVG: published scores as marks over modelled curves.

Needs matplotlib, which the extra `report` brings. The same fits give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from collectors.landscape import assess, published
from collectors.landscape.fit import HELD
from collectors.landscape.model import expected_at
from collectors.landscape.parameters import fitted, frame
from collectors.landscape.published import REFERENCE, Row
from simulator.errors import MissingExtra

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of Okabe and Ito, told apart by readers with any colour vision."""

CURVE = np.unique(np.round(np.geomspace(1, 100, 40)).astype(int))


def write_plots(folder: Path, source: Path = REFERENCE) -> list[Path]:
    """Write every plot to `folder`; raises `MissingExtra` without matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise MissingExtra("matplotlib", "report", "plotting the fit report") from None
    matplotlib.use("svg")
    settings: dict[Any, Any] = {
        "svg.hashsalt": "agenttts", "svg.fonttype": "none", "font.size": 8, "axes.grid": True,
        "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False,
        "path.simplify_threshold": 0.2, "figure.constrained_layout.use": True,
    }  # fmt: skip
    drawings: dict[str, Callable[[Any, Path], Any]] = {
        "fit_points.svg": _points,
        "fit_questions.svg": _questions,
        "fit_textvqa.svg": _textvqa,
        "fit_math_temperature.svg": _math_and_temperature,
    }
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    with matplotlib.rc_context(settings):
        import matplotlib.pyplot as plt

        for name, drawing in drawings.items():
            figure = drawing(plt, source)
            figure.savefig(folder / name, metadata={"Date": None})
            plt.close(figure)
            text = (folder / name).read_text(encoding="utf-8")
            lines = [line.rstrip() for line in text.splitlines()]
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
            out.append(folder / name)
    return out


def _points(plt: Any, source: Path) -> Any:
    """Reported against modelled, all operating points."""
    figure, axes = plt.subplots(figsize=(4.6, 4.2))
    for colour, name in zip(COLOURS, assess.TASKS, strict=True):
        one = assess.agreement(name, source)
        axes.plot(one.reported, one.expected, "o", ms=5, color=colour, alpha=0.75, label=name)
        axes.plot(one.reported, one.left_out, "x", ms=4, color=colour, alpha=0.6)
    ends = [0.38, 0.92]
    axes.plot(ends, ends, color="0.5", lw=0.8)
    axes.set(xlabel="published", ylabel="modelled (x: predicted without it)", xlim=ends, ylim=ends)
    axes.legend(frameon=False)
    return figure


def _questions(plt: Any, source: Path) -> Any:
    """The question-answering tasks: score over the samples of the last stage."""
    figure, grid = plt.subplots(2, 2, figsize=(7.4, 5.4))
    for axes, name in zip(grid.flat, assess.TASKS[:4], strict=True):
        scene = frame(name).landscape(fitted(name).vector)
        seen: dict[tuple[tuple[int, int], int], str] = {}
        for point in published.operating_points(source)[name]:
            key = (point.row[0], point.row[1][0])
            if key not in seen:
                seen[key] = COLOURS[len(seen)]
                rows: list[Row] = [(key[0], (key[1], int(s))) for s in CURVE]
                label = assess.describe(name, point.row).rpartition(":")[0]
                axes.plot(CURVE, expected_at(scene, rows), color=seen[key], lw=1.2, label=label)
            axes.plot(point.row[1][1], point.score, "o", ms=4, color=seen[key])
        axes.set(xscale="log", title=name, xlabel="samples of the answer", ylabel="exact match")
        axes.legend(frameon=False, fontsize=6)
    return figure


def _textvqa(plt: Any, source: Path) -> Any:
    """Each stage of TextVQA."""
    this = frame("textvqa")
    scene = this.landscape(fitted("textvqa").vector)
    figure, both = plt.subplots(1, 2, figsize=(7.4, 3.0), sharey=True)
    curves = published.textvqa_curves(source)
    for i, (axes, stage) in enumerate(zip(both, this.task.stages, strict=True)):
        for m, model in enumerate(stage.models):
            rows: list[Row] = [
                tuple((m, int(s)) if j == i else HELD[j] for j in range(2)) for s in CURVE
            ]
            axes.plot(CURVE, expected_at(scene, rows), color=COLOURS[m], lw=1.2, label=model.name)
            told = [c for c in curves if (c.stage, c.model) == (i, m)]
            samples, scores = [c.samples for c in told], [c.score for c in told]
            axes.plot(samples, scores, "o", ms=3.5, color=COLOURS[m])
        axes.set(xscale="log", title=stage.name, xlabel="samples", ylabel="accuracy")
        axes.legend(frameon=False, fontsize=6)
    return figure


def _math_and_temperature(plt: Any, source: Path) -> Any:
    """MATH, and the temperature grid of 2Wiki."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.0))
    this = frame("math")
    scene = this.landscape(fitted("math").vector)
    points = published.math_curves(source)
    for m, model in enumerate(this.task.stages[0].models):
        rows: list[Row] = [((m, int(s)),) for s in CURVE]
        left.plot(CURVE, expected_at(scene, rows), color=COLOURS[m], lw=1.2, label=model.name)
        told = [p for p in points if p.row[0][0] == m]
        samples, scores = [p.row[0][1] for p in told], [p.score for p in told]
        left.plot(samples, scores, "o", ms=3.5, color=COLOURS[m])
    left.set(xscale="log", title="MATH, Best-of-N", xlabel="samples", ylabel="accuracy")
    left.legend(frameon=False, fontsize=6)
    grid = assess.temperature(source)
    for t, value in enumerate(grid.temperatures):
        right.plot(grid.samples, grid.modelled[t], color=COLOURS[t], lw=1.2, label=f"T = {value:g}")
        right.plot(grid.samples, grid.published[t], "o", ms=3.5, color=COLOURS[t])
    right.set(xscale="log", title="2Wiki, training examples", xlabel="samples of the answer")
    right.set(ylabel="exact match")
    right.legend(frameon=False, fontsize=6)
    return figure
