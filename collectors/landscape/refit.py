"""The whole refit: every task's coordinates, draw seeds and diagnostics, written to files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from joblib import Parallel, delayed

from collectors.landscape import published
from collectors.landscape.fit import leave_one_out, problem_of, solve
from collectors.landscape.parameters import Fit, fit_text, frame, task_names
from collectors.landscape.seeds import choose

FITS = Path(__file__).parent / "fits"


@dataclass(frozen=True)
class Diagnostics:
    """What only the fit can tell; kept beside it for the report.

    `leave_one_out` predicts each point without its configuration, in the order of the published
    file (empty where there are no operating points); `shrinkage` is the posterior over the prior
    standard deviation of each coordinate; `nuisance` the temperature grid's offset in `OFFSET_SD`.
    """

    leave_one_out: list[float]
    shrinkage: dict[str, float]
    nuisance: list[float]


def refit(source: Path = published.REFERENCE, out: Path = FITS, jobs: int = 2) -> None:
    """Fit every task to the figures in `source`; writes `NAME.toml` and `NAME.json` to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    by_size = sorted(task_names(shipped=False), key=lambda name: -len(frame(name).task.stages))
    Parallel(n_jobs=jobs)(delayed(_refit_one)(name, source, out) for name in by_size)


def _refit_one(name: str, source: Path, out: Path) -> None:
    text, told = fit_task(name, source)
    _write(out / f"{name}.toml", text)
    _write(out / f"{name}.json", json.dumps(asdict(told), indent=1) + "\n")


def fit_task(name: str, source: Path) -> tuple[str, Diagnostics]:
    """The fit of one task as the text of its file, and its diagnostics."""
    this = frame(name)
    problem = problem_of(name, source)
    solution = solve(problem)
    train, test = 0, 0
    held_out: list[float] = []
    if name != "math":
        train, test = choose(this, solution.vector, source)
    if problem.winners:
        held_out = [round(float(x), 5) for x in leave_one_out(problem, solution)]
    shrinkage = {
        _label(c.name, c.stage, c.model): round(float(value), 3)
        for c, value in zip(this.coordinates, solution.posterior_shrinkage, strict=True)
    }
    nuisance = [round(float(x), 4) for x in solution.nuisance]
    text = fit_text(this, Fit(solution.vector, train, test))
    return text, Diagnostics(held_out, shrinkage, nuisance)


def diagnostics(name: str) -> Diagnostics:
    """The committed diagnostics of a task's fit."""
    return Diagnostics(**json.loads((FITS / f"{name}.json").read_text(encoding="utf-8")))


def _label(name: str, stage: int, model: int) -> str:
    return "/".join([name, *(str(n) for n in (stage, model) if n >= 0)])


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
