"""Choose the best-case settings of each baseline: `python -m tools.tune_baselines`.

Every combination in `CHOICES` searches generated landscapes (development seeds: wholly random ones
and some like each modelled task); the one of the least mean area under the normalised regret, by
which the leaderboard ranks, is taken. Then it and the default search other landscapes: where the
choice is not better there too, it was noise, and the default stands. What stands goes into
`agents/best_case.toml`, the figures into docs/reference/baselines.md. Tables that ship are never
read.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from joblib import Parallel, delayed

from agents.tuning import FILE
from collectors.landscape import DEVELOPMENT_SEEDS, make, task_names
from harness.measures import area, best_so_far, normalised_regret, padded
from harness.search import Problem, search_problem, single_threaded
from simulator.errors import TableError, UsageError

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "baselines.md"
MARKS = ("<!-- best case -->", "<!-- /best case -->")

CHOICES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "gp": {"warm_start": (None, 4, 6, 10), "refit": (1.15, 1.5)},
    "tpe": {
        "warm_start": (10, 5, 20),
        "candidates": (24, 100),
        "multivariate": (True, False),
        "conditional": (False, True),
    },
    "cmaes": {"warm_start": (10, 5, 20), "population": (6, 4, 10), "sigma": (1.0, 0.5, 2.0)},
    "genetic": {
        "warm_start": (10, 5), "population": (6, 4, 10), "mutation": (0.5, 0.3), "eta": (5.0, 15.0),
    },
    "nevergrad": {
        "warm_start": (10, 5),
        "optimizer": ("PortfolioDiscreteOnePlusOne", "NGOpt", "TwoPointsDE", "TBPSA"),
    },
    "smac": {"warm_start": (10, 5), "explore": (0.1, 0.0), "trees": (10, 30)},
    "hyperband": {"eta": (3, 2, 4), "smallest": (1 / 9, 1 / 3, 1 / 27)},
}  # fmt: skip
"""The settings tried; the first of each is the agent's default."""


def combinations(agent: str) -> Iterator[dict[str, Any]]:
    """All of an agent's, its default first; settings at their default are left out."""
    choices = CHOICES[agent]
    for values in itertools.product(*choices.values()):
        pairs = zip(choices.items(), values, strict=True)
        yield {name: value for (name, options), value in pairs if value != options[0]}


def problem(like: str | None, seed: int, trials: int, *, outcomes: bool) -> Problem | None:
    """A landscape at its default budget; None where that affords fewer than twice the trials."""
    try:
        found = Problem.of(make(like, seed, outcomes=outcomes), trials=trials)
    except (TableError, UsageError):
        return None
    return found if len(found.simulator.feasible_cells) >= 2 * trials else None


def regret_area(at: Problem, agent: str, settings: Mapping[str, Any]) -> float:
    """Area under the normalised regret of one search."""
    simulator = at.simulator
    worst = float(simulator.scores[simulator.feasible_cells].min())
    with single_threaded():
        found = search_problem(at, agent, seed=0, settings=settings)
    scores = [
        trial.score if trial.score is not None and trial.examples is None else float("nan")
        for trial in found.trials
    ]
    best = best_so_far(padded([scores], at.card.trials))
    return float(area(normalised_regret(best, simulator.optimum.score, worst))[0])


def areas(
    agent: str, many: Sequence[Mapping[str, Any]], like: str | None, seed: int, trials: int
) -> list[float] | None:
    """Of each settings on one landscape."""
    at = problem(like, seed, trials, outcomes=agent == "hyperband")
    return None if at is None else [regret_area(at, agent, settings) for settings in many]


def mean_areas(
    agent: str, many: Sequence[Mapping[str, Any]], seeds: Sequence[int], trials: int, jobs: int
) -> tuple[np.ndarray, int]:
    """The mean of each settings over landscapes, and over how many."""
    places = [(None, seed) for seed in seeds]
    places += [(like, seed) for like in task_names() for seed in seeds[: max(1, len(seeds) // 7)]]
    with Parallel(n_jobs=jobs) as workers:
        found = workers(delayed(areas)(agent, many, *place, trials) for place in places)
    rows = [row for row in found if row is not None]
    return np.mean(rows, axis=0), len(rows)


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


@click.command()
@click.option(
    "--landscapes", default=21, show_default=True, help="Wholly random ones to choose on."
)
@click.option("--trials", default=50, show_default=True)
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True)
def main(landscapes: int, trials: int, jobs: int) -> None:
    """Write agents/best_case.toml and the table in docs/reference/baselines.md."""
    seeds = list(DEVELOPMENT_SEEDS)
    chosen_on, held_out = seeds[:landscapes], seeds[-landscapes:]
    lines = [
        "# Written by tools/tune_baselines.py; nothing here was chosen on a table that ships.",
        f"# --landscapes {landscapes} --trials {trials}",
    ]
    rows = [
        "| agent | tried | choice | default, held out | choice, held out | best case |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for agent in CHOICES:
        many = list(combinations(agent))
        means, n = mean_areas(agent, many, chosen_on, trials, jobs)
        best = many[int(np.argmin(means))]
        (default, tuned), n_held = mean_areas(agent, [{}, best], held_out, trials, jobs)
        stands = best if tuned < default else {}
        click.echo(f"{agent}: {best} {means.min():.4f}, default {means[0]:.4f} on {n}; "
                   f"held out {tuned:.4f}, default {default:.4f} on {n_held}")  # fmt: skip
        lines += ["", f"[{agent}]", *(f"{name} = {toml(value)}" for name, value in stands.items())]
        shown = ", ".join(f"`{name} = {toml(value)}`" for name, value in best.items())
        verdict = "the choice" if stands else "the default"
        rows.append(
            f"| `{agent}` | {len(many)} | {shown or 'the default'} | {default:.4f} | {tuned:.4f} "
            f"| {verdict} |"
        )
    temporary = FILE.with_suffix(".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(FILE)
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    table = "\n".join(rows)
    note = f"Chosen on {n} landscapes, held against {n_held} others, {trials} trials each."
    tail = rest.partition(MARKS[1])[2]
    PAGE.write_text(f"{head}{MARKS[0]}\n\n{table}\n\n{note}\n\n{MARKS[1]}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
