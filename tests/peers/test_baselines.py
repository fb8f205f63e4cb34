"""No straw men: each wrapped optimiser does no worse than its own library used plainly.

Fifty seeds of thirty trials, on a shipped table and on generated landscapes; each seed is a pair.
A test fails where the agent's regret is worse by more than chance: where even the lower end of the
95 % interval of the mean difference (a bootstrap over pairs) is above nothing. Prints what it
found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import TaskCard, create
from agents.testing import run_trials
from harness import statistics
from lookup_tables import load
from simulator import Simulator
from tests.agents.test_quality import landscape
from tests.peers import plain

pytestmark = pytest.mark.peers

TRIALS = 30
SEEDS = int(os.environ.get("PEER_SEEDS", "50"))


@cache
def problem(name: str, seed: int) -> Simulator:
    """2wiki at its own budget, the same for all seeds, or a landscape of the seed's own."""
    if name != "landscapes":
        return table(name)
    made, budget = landscape(1000 + seed)
    return Simulator(made, budget)


@cache
def table(name: str) -> Simulator:
    return Simulator(load(name))


@cache
def regrets_of_agent(agent: str, name: str) -> np.ndarray:
    found = []
    for seed in range(SEEDS):
        simulator = problem(name, seed).restarted(seed)
        card = TaskCard.of(simulator, trials=TRIALS)
        searched = run_trials(create(agent, card, seed), simulator, TRIALS)
        found.append(simulator.optimum.score - max(searched.best, plain.WORST))
    return np.array(found)


def regrets_of_library(search: plain.Search, name: str) -> np.ndarray:
    found = []
    for seed in range(SEEDS):
        simulator = problem(name, seed)
        best = search(simulator, seed, TRIALS)
        found.append(simulator.optimum.score - max(best, plain.WORST))
    return np.array(found)


def no_worse(agent: str, library: str, search: plain.Search, name: str) -> None:
    ours, theirs = regrets_of_agent(agent, name), regrets_of_library(search, name)
    found = statistics.paired_difference(
        theirs, ours, np.random.default_rng(0), draws=10_000, level=0.90
    )
    line: dict[str, Any] = {
        "agent": agent, "library": library, "problem": name, "seeds": SEEDS,
        "ours": round(float(ours.mean()), 4), "theirs": round(float(theirs.mean()), 4),
        "difference": round(found.mean, 4), "low": round(found.low, 4),
        "high": round(found.high, 4), "p": round(found.p, 4),
    }  # fmt: skip
    print(json.dumps(line))
    log = os.environ.get("PEER_LOG")
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    assert found.low <= 0, line


def optuna_sampler(name: str, *, log: bool) -> plain.Search:
    def make(seed: int) -> Any:
        import optuna

        with plain.hushed():
            return getattr(optuna.samplers, name)(seed=seed)

    return plain.optuna_sampler(make, log=log)


LIBRARIES: dict[str, tuple[str, Callable[[], plain.Search]]] = {
    "tpe": ("tpe", lambda: optuna_sampler("TPESampler", log=False)),
    "tpe-log": ("tpe", lambda: optuna_sampler("TPESampler", log=True)),
    "genetic": ("genetic", lambda: optuna_sampler("NSGAIISampler", log=False)),
    "genetic-log": ("genetic", lambda: optuna_sampler("NSGAIISampler", log=True)),
    "cmaes": ("cmaes", lambda: plain.cmaes_package),
    "nevergrad": ("nevergrad", lambda: plain.nevergrad_package),
    "smac": ("smac", lambda: plain.smac_package),
    "gp-skopt": ("gp", lambda: plain.skopt_package),
    "gp-optuna": ("gp", lambda: optuna_sampler("GPSampler", log=True)),
}


@pytest.mark.parametrize("name", ["2wiki", "landscapes"])
@pytest.mark.parametrize("which", LIBRARIES)
def test_no_worse_than_the_library_plainly(which: str, name: str) -> None:
    agent, search = LIBRARIES[which]
    no_worse(agent, which, search(), name)


def test_hyperband_no_worse_than_optunas() -> None:
    no_worse("hyperband", "hyperband", plain.optuna_hyperband, "2wiki")
