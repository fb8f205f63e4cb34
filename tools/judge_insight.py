"""Judge the insight planner on landscapes that nobody tuned on: `python -m tools.judge_insight`.

Landscapes of the judging seeds, wholly random ones (one to six stages) and some like each modelled
task, every second one at another budget than its own; then the same with one insight made false:

- `models`: in every stage the models' scores are shuffled among them, so size tells nothing;
- `samples`: in every stage the scores are shuffled along the samples, so no curve has one peak;
- `stages`: all affordable scores are shuffled, so nothing learnt of one stage tells of another.

Writes docs/insight.md: trials to within 1 % of the optimum, for every agent that needs no language
model. Nothing may be changed on the strength of these figures but what is found broken: to try a
change, take other seeds and another file (`--first-seed 200 --agents insight,gp --out tried.md`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
from joblib import Parallel, delayed

from agents import create
from collectors.landscape import JUDGING_SEEDS, make, task_names
from harness.measures import (
    best_so_far,
    expected_running_time,
    first_within,
    median_trials,
    padded,
    resamples,
    success_rate,
)
from harness.search import Problem, search_problem, single_threaded
from simulator import LookupTable, SplitTable

PAGE = Path(__file__).parent.parent / "docs" / "insight.md"
AGENTS = ("insight", "gp", "tpe", "smac", "cmaes", "genetic", "nevergrad", "random")
INTACT, DENIALS = "", ("models", "samples", "stages")
LEAST = 100
"""Landscapes that afford fewer configurations are left out: there all agents look alike. Those of
one stage, which never afford as many, have a row of their own, from `LEAST_OF_ONE_STAGE` on."""

LEAST_OF_ONE_STAGE = 5

DRAWS = 10_000

HEAD = """\
| landscapes | number | `insight` reaches it | median | expected | best other | its median \
| its expected | ratio | 90 % interval | `tpe` expected |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""

PAGE_TEXT = f"""\
# The insight planner on landscapes that it has never seen

Everything here is **modelled**: generated landscapes (`agenttts tables make`) of seeds that are
{{seeds}} It says how well agents search such
landscapes, and nothing about a real pipeline.

Trials until within 1 % of the optimum, of {{trials}} allowed. *Expected* is the expected running
time: all trials spent, over the searches that got there; *ratio* is that of `insight` over that of
the best other agent, the best in hindsight and in each row anew. The interval is over landscapes
({DRAWS} bootstrap draws of them, against that same agent): where they are few it is wide.

{HEAD}
{{rows}}

Landscapes of one stage afford few configurations, from {LEAST_OF_ONE_STAGE} on, and are in no other
row; the others afford {LEAST} or more.

Where one insight is made false by shuffling scores (`tools/judge_insight.py` says how):

{HEAD}
{{denied}}

With `stages` denied all scores are shuffled: there is nothing to learn, every agent gets there by
chance, and these figures are mostly that.

All agents on all landscapes whose insights hold:

| agent | reaches it | median | expected |
| --- | --- | --- | --- |
{{every}}

Measured {{date}} by `{{command}}`.
"""

SEEDS = {
    True: "kept for judging, on which nothing was fitted or tuned.",
    False: "**not** kept for judging: changes may have been tried on them.",
}
"""What the page says of the judging seeds, and of others."""


@dataclass(frozen=True)
class Place:
    """A landscape to search: which, and the insight that is made false on it."""

    like: str | None
    seed: int
    denied: str = INTACT


@dataclass(frozen=True)
class Found:
    """Trials to within 1 % of the optimum for each agent (nan where missed), and of what."""

    place: Place
    stages: int
    trials_to: Mapping[str, Sequence[float]]


def shuffled(table: LookupTable, denied: str, rng: np.random.Generator) -> LookupTable:
    """The table's training scores with one insight made false; everything else stays."""
    split, space = table.split("train"), table.space
    score = np.array(split.metrics[table.task.metric])
    if denied == "stages":
        order = rng.permutation(space.n_cells)
    else:
        options = space.options(np.arange(space.n_cells))
        for i, (models, grid) in enumerate(zip(space.n_models, space.grids, strict=True)):
            moved = np.arange(models * len(grid)).reshape(models, len(grid))
            moved = moved[rng.permutation(models)] if denied == "models" else moved
            moved = moved[:, rng.permutation(len(grid))] if denied == "samples" else moved
            options[:, i] = moved.ravel()[options[:, i]]
        order = options @ space.strides
    metrics = {**split.metrics, table.task.metric: score[order]}
    train = SplitTable("train", metrics, split.seconds, split.examples, None)
    return LookupTable(table.task, space, {"train": train})


def problem_at(place: Place, trials: int) -> Problem | None:
    """The landscape at its own budget, or at one that affords 3 to 80 % of its configurations."""
    table = make(place.like, place.seed, outcomes=False)
    rng = np.random.default_rng((place.seed, 41))
    if place.denied:
        table = shuffled(table, place.denied, rng)
    problem = Problem.of(table, trials=trials)
    if place.seed % 2:
        share = float(np.exp(rng.uniform(np.log(0.03), np.log(0.8))))
        budget = float(np.quantile(problem.simulator.cell_costs, share))
        problem = Problem.of(table, budget=budget, trials=trials)
    least = LEAST_OF_ONE_STAGE if len(problem.card.stages) == 1 else LEAST
    return problem if len(problem.simulator.feasible_cells) >= least else None


def judge(place: Place, agents: Sequence[str], seeds: int, trials: int) -> Found | None:
    """Search one landscape with every agent."""
    problem = problem_at(place, trials)
    if problem is None:
        return None
    best = problem.simulator.optimum.score
    found = {}
    for agent in agents:
        # An agent that draws nothing at random does the same with every seed.
        still = getattr(type(create(agent, problem.card, 0)), "deterministic", False)
        rows = []
        for seed in range(1 if still else seeds):
            with single_threaded():
                result = search_problem(problem, agent, seed=seed)
            rows.append([np.nan if t.score is None else t.score for t in result.trials])
        curves = best_so_far(padded(rows, trials))
        found[agent] = first_within(curves, best - 0.01 * abs(best)).tolist()
    return Found(place, len(problem.card.stages), found)


def figures(found: Sequence[Found], agent: str, trials: int) -> tuple[float, float, float]:
    """Success rate, median and expected running time, every landscape counted alike."""
    seeds = max(len(f.trials_to[agent]) for f in found)
    to = np.concatenate([np.resize(f.trials_to[agent], seeds) for f in found])
    return success_rate(to), median_trials(to), expected_running_time(to, np.full(len(to), trials))


def interval(found: Sequence[Found], other: str, trials: int) -> tuple[float, float]:
    """90 % interval of the ratio of expected running times, by a bootstrap over landscapes."""
    sums = np.array([
        [value for agent in ("insight", other) for value in _spent_and_hits(f, agent, trials)]
        for f in found
    ])  # fmt: skip
    times = resamples(len(found), np.random.default_rng(0), DRAWS)
    spent, hits, its_spent, its_hits = (times @ sums).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = spent * its_hits / (its_spent * hits)
    ratios = ratios[~np.isnan(ratios)]  # no search got anywhere
    if not len(ratios):
        return np.nan, np.nan
    low, high = np.quantile(ratios, (0.05, 0.95), method="inverted_cdf")
    return float(low), float(high)


def _spent_and_hits(found: Found, agent: str, trials: int) -> tuple[float, float]:
    """Mean trials spent in a search of this landscape, and the share that got there."""
    to = np.array(found.trials_to[agent])
    return float(np.where(np.isnan(to), trials, to).mean()), success_rate(to)


def row(label: str, found: Sequence[Found], agents: Sequence[str], trials: int) -> str:
    """One line: `insight`, the best other agent by expected running time, and TPE."""
    mine = figures(found, "insight", trials)
    others = {a: figures(found, a, trials) for a in agents if a != "insight"}
    best = min(others, key=lambda a: others[a][2])
    low, high = interval(found, best, trials)
    cells = [
        label, str(len(found)), f"{mine[0]:.0%}", f"{mine[1]:.4g}", f"{mine[2]:.1f}",
        f"`{best}`", f"{others[best][1]:.4g}", f"{others[best][2]:.1f}",
        f"**{mine[2] / others[best][2]:.2f}**", f"{low:.2f} to {high:.2f}",
        f"{others['tpe'][2]:.1f}" if "tpe" in others else "",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def page(found: Sequence[Found], agents: Sequence[str], trials: int, command: str) -> str:
    """The document."""
    single = [f for f in found if f.stages == 1 and not f.place.denied]
    found = [f for f in found if f.stages > 1]
    intact = [f for f in found if not f.place.denied]
    wild = [f for f in intact if f.place.like is None]
    like = [f for f in intact if f.place.like is not None]
    groups: list[tuple[str, list[Found]]] = [
        ("wholly random", wild),
        *((f"... of {n} stages", [f for f in wild if f.stages == n])
          for n in range(2, 7)),
        ("like a modelled task", like),
        ("at their own budget", [f for f in intact if f.place.seed % 2 == 0]),
        ("at another budget", [f for f in intact if f.place.seed % 2 == 1]),
        ("of 1 stage", single),
    ]  # fmt: skip
    denied = [(f"`{d}` denied", [f for f in found if f.place.denied == d]) for d in DENIALS]
    every = [
        f"| `{a}` | {r:.0%} | {m:.4g} | {e:.1f} |"
        for a, (r, m, e) in ((a, figures(intact, a, trials)) for a in agents)
    ]
    return PAGE_TEXT.format(
        trials=trials,
        seeds=SEEDS[all(f.place.seed in JUDGING_SEEDS for f in found)],
        rows="\n".join(row(label, some, agents, trials) for label, some in groups if some),
        denied="\n".join(row(label, some, agents, trials) for label, some in denied if some),
        every="\n".join(every),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        command=command,
    )


@click.command()
@click.option("--random", "n_random", default=48, show_default=True, help="Wholly random ones.")
@click.option("--per-task", default=6, show_default=True, help="Ones like each modelled task.")
@click.option("--denied", default=16, show_default=True, help="Random ones for each denial.")
@click.option("--seeds", default=3, show_default=True, help="Searches by each random agent.")
@click.option("--trials", default=50, show_default=True)
@click.option("--agents", default=",".join(AGENTS), show_default=True)
@click.option("--first-seed", default=JUDGING_SEEDS.start, show_default=True)
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=PAGE, show_default=False)
def main(
    n_random: int, per_task: int, denied: int, seeds: int, trials: int, agents: str,
    first_seed: int, jobs: int, out: Path,
) -> None:  # fmt: skip
    """Search the judging landscapes and write docs/insight.md."""
    names = agents.split(",")
    judging = first_seed in JUDGING_SEEDS
    if not judging and out == PAGE:
        raise click.UsageError("the page is of the judging seeds: name another file with --out")
    numbers = range(first_seed, first_seed + max(n_random + denied, per_task))
    places = [Place(None, seed) for seed in numbers[:n_random]]
    places += [Place(like, seed) for like in task_names() for seed in numbers[:per_task]]
    places += [Place(None, s, d) for d in DENIALS for s in numbers[n_random : n_random + denied]]
    with Parallel(n_jobs=jobs, return_as="generator_unordered") as workers:
        found = []
        for done in workers(delayed(judge)(place, names, seeds, trials) for place in places):
            found += [done] if done is not None else []
            click.echo(f"\r{len(found)} of {len(places)} landscapes", nl=False, err=True)
    click.echo(err=True)
    if not any(f.stages > 1 and not f.place.denied for f in found):
        raise click.ClickException(
            f"no intact landscape of two stages or more affords {LEAST} configurations"
        )
    found.sort(key=lambda f: (f.place.denied, str(f.place.like), f.place.seed))
    command = (
        f"python -m tools.judge_insight --random {n_random} --per-task {per_task} "
        f"--denied {denied} --seeds {seeds} --trials {trials}"
        + (f" --agents {agents}" if agents != ",".join(AGENTS) else "")
        + (f" --first-seed {first_seed}" if first_seed != JUDGING_SEEDS.start else "")
    )
    text = page(found, names, trials, command)
    temporary = out.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(out)
    click.echo(text)


if __name__ == "__main__":
    main()
