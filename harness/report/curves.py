"""Curves of the page: best score so far by trial and by simulated hour, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness import measures
from harness.measures import Floats

if TYPE_CHECKING:
    import polars as pl

PROBLEM = ("table", "budget", "cost_model")
Key = tuple[str, float, str]

_POINTS = 64
_DRAWS = 1000
_SEED = 20_250_891


@dataclass(frozen=True)
class Runs:
    """All runs of one agent on one problem, seeds ascending, shapes (runs,) or (runs, trials).

    `best` is the table's score of the incumbent (its worst feasible score, `worst`, before there is
    one), so that every curve ascends from the start; `area` is the mean normalised regret over
    trials.
    """

    agent: str
    seeds: tuple[int, ...]
    best: Floats
    clock: Floats
    area: Floats
    trials_to: Floats
    used: NDArray[np.int64]
    worst: float


def gather(trials: pl.DataFrame, runs: pl.DataFrame) -> dict[Key, dict[str, Runs]]:
    """Runs by problem and agent, in the order of `runs.parquet`."""
    import polars as pl

    lists = trials.group_by([*PROBLEM, "agent", "seed"], maintain_order=True).agg(
        pl.col("regret").fill_null(float("nan")), "clock"
    )
    by_run = {row[:5]: row[5:] for row in lists.iter_rows()}
    found: dict[Key, dict[str, Runs]] = {}
    longest = dict[Key, int]()
    for key, (regret, _) in by_run.items():
        problem = (key[0], key[1], key[2])
        longest[problem] = max(longest.get(problem, 1), len(regret))
    for (table, budget, cost, agent), part in runs.sort("seed").group_by(
        [*PROBLEM, "agent"], maintain_order=True
    ):
        problem = (str(table), float(budget), str(cost))
        seeds = part["seed"].to_list()
        held = [by_run.get((*problem, agent, seed), ([], [])) for seed in seeds]
        top, low = float(part["optimum"][0]), float(part["worst"][0])
        regrets = measures.padded([regret for regret, _ in held], longest[problem])
        found.setdefault(problem, {})[str(agent)] = Runs(
            agent=str(agent),
            seeds=tuple(seeds),
            best=np.where(np.isnan(regrets), low, top - regrets),
            clock=measures.padded([clock for _, clock in held], longest[problem]),
            area=measures.area(measures.normalised_regret(top - regrets, top, low)),
            trials_to=part["trials_to_optimum"].cast(float).fill_null(float("nan")).to_numpy(),
            used=part["trials"].to_numpy(),
            worst=low,
        )
    order = runs.select(*PROBLEM).unique(maintain_order=True).iter_rows()
    agents = runs["agent"].unique(maintain_order=True).to_list()
    return {key: {name: found[key][name] for name in agents if name in found[key]} for key in order}


def bands(by_agent: Mapping[str, Runs], number: Mapping[str, int]) -> dict[str, Any]:
    """Mean best score with a 90 % interval, by trial and by hour, for each agent by its number."""
    length = max(runs.best.shape[1] for runs in by_agent.values())
    at = _thinned(length)
    hours = _hours([runs.clock for runs in by_agent.values()])
    drawn: dict[int, measures.Resamples] = {}
    by_trial, by_hour = {}, {}
    for name, runs in by_agent.items():
        n = len(runs.seeds)
        if n not in drawn:
            drawn[n] = measures.Resamples(n, np.random.default_rng((_SEED, n)), _DRAWS)
        by_trial[number[name]] = _band(runs.best[:, at - 1], drawn[n])
        timed = measures.on_time_axis(runs.clock / 3600, runs.best, hours)
        by_hour[number[name]] = _band(np.where(np.isnan(timed), runs.worst, timed), drawn[n])
    return {
        "trials": at.tolist(),
        "hours": rounded(hours),
        "by_trial": by_trial,
        "by_hour": by_hour,
        "reached": {number[n]: _reached(runs) for n, runs in by_agent.items()},
    }


def _band(values: Floats, counts: measures.Counts) -> list[list[float | None]]:
    low, high = measures.bootstrap_curve(values, counts)
    return [rounded(values.mean(axis=0)), rounded(low), rounded(high)]


def _reached(runs: Runs) -> list[int | None]:
    return [None if np.isnan(value) else int(value) for value in runs.trials_to]


def _thinned(length: int) -> NDArray[np.int64]:
    """Trial numbers from 1: all of them, or the first ones and then ever fewer."""
    if length <= _POINTS:
        return np.arange(1, length + 1)
    spread = np.round(np.geomspace(1, length, _POINTS)).astype(np.int64)
    return np.unique(np.concatenate([spread, np.arange(1, 17)]))


def _hours(clocks: Sequence[Floats]) -> Floats:
    """Points of simulated time, from the first trial's end of any run to the last of all."""
    every = np.concatenate([clock.ravel() for clock in clocks]) / 3600
    every = every[~np.isnan(every)]
    positive = every[every > 0]
    if not positive.size:
        return np.zeros(1)
    first, last = float(positive.min()), float(positive.max())
    return np.geomspace(first, last, 48) if last > first else np.array([last])


def rounded(values: Any, digits: int = 4) -> list[float | None]:
    """Plain numbers of so many significant digits for JSON, None for what is not finite."""
    return [significant(value, digits) for value in np.asarray(values, dtype=float).tolist()]


def significant(value: float | None, digits: int = 4) -> float | None:
    """One such number."""
    if value is None or not np.isfinite(value):
        return None
    number = float(f"{value:.{digits}g}")
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
