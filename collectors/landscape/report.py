"""The fit report: a page that puts every published figure beside the modelled one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from collectors.landscape import assess, published
from collectors.landscape.fit import affordable, contradictions, problem_of
from collectors.landscape.model import Floats, expected_at
from collectors.landscape.parameters import fitted, frame, task_names
from collectors.landscape.published import REFERENCE
from collectors.landscape.refit import diagnostics
from collectors.landscape.seeds import TRIED
from collectors.landscape.tables import make_shipped
from simulator import Task

DOCS = Path(__file__).parents[2] / "docs"
SILENT = 0.95
"""Posterior over prior standard deviation from which on the figures are said to tell nothing."""


def write_report(folder: Path | None = None, source: Path = REFERENCE) -> Path:
    """Write `fit_report.md` and its plots; returns the page."""
    from collectors.landscape.plots import write_plots

    folder = folder or DOCS
    write_plots(folder / "figures", source)
    page = folder / "fit_report.md"
    page.write_text(report_text(source), encoding="utf-8")
    return page


def report_text(source: Path = REFERENCE) -> str:
    """The page as Markdown."""
    from jinja2 import Environment, StrictUndefined

    text = files("collectors.landscape").joinpath("report.md.j2").read_text(encoding="utf-8")
    markdown = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    return markdown.from_string(text).render(
        summary=_summary(source),
        operating=[(name, _points(name, source)) for name in assess.TASKS],
        neighbours=_neighbours(source),
        differing=_differing(source),
        winners=_winners(source),
        tried=TRIED,
        draws=_draws(source),
        offset=f"{assess.temperature(source).offset:+.3f}",
        curves=_curves(source),
        silent=SILENT,
        identified=_identified(),
        noise=_noise(source),
        hours=_hours(source),
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _number(value: float) -> str:
    return f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _summary(source: Path) -> str:
    every = [assess.agreement(name, source) for name in assess.TASKS]
    residuals = np.abs(np.concatenate([one.residuals for one in every]))
    left_out = np.abs(np.concatenate([one.left_out - one.reported for one in every]))
    best = {name: assess.winners(name, source) for name in assess.TASKS}
    gaps = [max(winner.gap for winner in pair) for pair in best.values()]
    rows = [
        ["operating points", f"{len(residuals)}", ""],
        ["mean absolute error, in expectation", _number(residuals.mean()), "0.005"],
        ["largest absolute error", _number(residuals.max()), "0.015"],
        ["errors over 0.015", str(int((residuals > 0.015).sum())), "0"],
        ["mean absolute error of a configuration left out", _number(left_out.mean()), "0.02"],
        ["largest of these", _number(left_out.max()), ""],
        ["largest gap of a published best to the modelled optimum", _number(max(gaps)), "0.01"],
    ]
    return table(["", "value", "aim"], rows)


def _points(name: str, source: Path) -> str:
    one = assess.agreement(name, source)
    rows = [
        [
            point.who,
            assess.describe(name, point.row),
            f"{point.score:g}",
            _number(modelled),
            _signed(modelled - point.score),
            _signed(held - point.score),
        ]
        for point, modelled, held in zip(one.points, one.expected, one.left_out, strict=True)
    ]
    header = ["method", "configuration", "published", "modelled", "residual", "left out"]
    return table(header, rows)


def _neighbours(source: Path) -> str:
    points = published.operating_points(source)
    lines = [
        f"- {name}: {assess.describe(name, a.row)} scored {a.score:g}, "
        f"{assess.describe(name, b.row)} scored {b.score:g}."
        for name in assess.TASKS
        for a, b in contradictions(points[name])
    ]
    return "\n".join(dict.fromkeys(lines))


def _differing(source: Path) -> str:
    points, hours = published.operating_points(source), published.search_hours(source)
    lines = []
    for name in assess.TASKS:
        told = {("AgentTTS" if h.method == "Ours" else h.method): h.test_score for h in hours[name]}
        lines += [
            f"- {name}, {p.who}: {p.score:g} as operating point, {told[p.who]:g} in the table."
            for p in points[name]
            if abs(told[p.who] - p.score) > 0.0051
        ]
    return "\n".join(lines)


def _winners(source: Path) -> str:
    rows = [
        [
            name,
            w.what,
            assess.describe(name, w.row),
            _number(w.expected),
            _number(w.optimum),
            assess.describe(name, w.optimum_row),
            _number(w.gap),
        ]
        for name in assess.TASKS
        for w in assess.winners(name, source)
    ]
    header = ["task", "which", "configuration", "modelled", "optimum", "at", "gap"]
    return table(header, rows)


def _draws(source: Path) -> str:
    rows = []
    for name in assess.TASKS:
        drawn, fit = make_shipped(name), fitted(name)
        points = published.operating_points(source)[name]
        cells = [drawn.space.cell(assess.configuration(name, p.row)) for p in points]
        test, train = drawn.scores("test"), drawn.scores("train")
        error = np.abs(test[cells] - [p.score for p in points])
        within = affordable(drawn.task)
        winner = drawn.space.cell(assess.configuration(name, assess.winners(name, source)[0].row))
        figures = (
            error.mean(), error.max(), train[winner], train[within].max(), test[winner],
            test[within].max(),
        )  # fmt: skip
        seeds = [str(fit.train_seed), str(fit.test_seed)]
        rows.append([name, *seeds, *(_number(float(figure)) for figure in figures)])
    header = [
        "task", "train draw", "test draw", "mean error", "largest", "winner, train",
        "optimum, train", "winner, test", "best, test",
    ]  # fmt: skip
    return table(header, rows)


def _curves(source: Path) -> list[tuple[str, str]]:
    """Headings and tables of the curves, point by point."""
    out = []
    header = ["curve", "configuration", "published", "modelled", "residual"]
    for name in ("textvqa", "math"):
        problem = problem_of(name, source)
        scene = problem.frame.landscape(fitted(name).vector)
        modelled = expected_at(scene, problem.rows)
        rows = [
            [point.who, assess.describe(name, point.row), *_pair(point.score, value)]
            for point, value in zip(problem.points, modelled, strict=True)
        ]
        out.append((_heading(name, modelled - problem.scores), table(header, rows)))
    grid = assess.temperature(source)
    rows = [
        [f"T = {t:g}", f"3B:{s}", *_pair(grid.published[i, j], grid.modelled[i, j])]
        for i, t in enumerate(grid.temperatures)
        for j, s in enumerate(grid.samples)
    ]
    heading = _heading("2wiki temperature grid", (grid.modelled - grid.published).ravel())
    return [*out, (heading, table(header, rows))]


def _pair(reported: float, modelled: float) -> list[str]:
    return [f"{reported:g}", _number(modelled), _signed(modelled - reported)]


def _heading(name: str, residuals: Floats) -> str:
    error = np.abs(residuals)
    return (
        f"{name}: {len(error)} points, mean absolute error {error.mean():.4f}, "
        f"largest {error.max():.4f}"
    )


def _identified() -> str:
    rows = []
    for name in task_names():
        task, shrunk = frame(name).task, diagnostics(name).shrinkage
        known = sorted((share, label) for label, share in shrunk.items() if share < 0.8)[:8]
        told = [f"{_readable(task, label)} ({share:.2f})" for share, label in known]
        silent = sum(share >= SILENT for share in shrunk.values())
        rows.append([name, str(len(shrunk)), str(silent), ", ".join(told)])
    return table(["task", "coordinates", "prior alone", "best known (ratio)"], rows)


def _readable(task: Task, label: str) -> str:
    name, *where = label.split("/")
    if not where:
        return name
    stage = task.stages[int(where[0])]
    if len(where) == 1:
        return f"{name} of {stage.name}"
    return f"{name} of {stage.models[int(where[1])].name} in {stage.name}"


def _noise(source: Path) -> dict[str, str]:
    reported, modelled = assess.adjacent_differences(source)
    value = assess.winners("2wiki", source)[0].expected
    error = float(np.sqrt(value * (1 - value) / 500))
    return {
        "published": _number(reported),
        "modelled": _number(modelled),
        "score": f"{value:.2f}",
        "error": f"{error:.3f}",
        "interval": f"{1.645 * error:.3f}",
    }


def _hours(source: Path) -> str:
    rows = []
    for name in task_names():
        one = assess.search_time(name, source)
        told = ", ".join(f"{method} {hours:g}" for method, hours in one.published.items())
        rows.append([name, f"{one.modelled:.1f}", f"{one.batched:.1f}", told, f"{one.ratio:.2f}"])
    return table(["task", "modelled", "all batched", "published", "ratio"], rows)
