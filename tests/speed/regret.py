"""Regret of the agent `gp` and its peers over many seeds, one line for each search as it ends.

    python -m tests.speed.regret 50 [.venv-speed/regret.jsonl]

Takes an hour, and goes on where it was stopped: a search that the same version of a peer has made
is not made again, while `gp` is searched anew. `tests/speed/report.py` puts what is there into the
speed page. Seconds are for `test_gp.py` to take.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harness.search import Problem
from tests.speed.gp_peers import BUDGET, SEARCHES, rise_and_fall

TRIALS = 50
FILE = Path(".venv-speed/regret.jsonl")
PACKAGE = {
    "gp": "agenttts",
    "Optuna's GPSampler": "optuna",
    "scikit-optimize": "scikit-optimize",
}


def noted(file: Path) -> list[dict[str, Any]]:
    """The searches noted so far; a last line that was cut short is left out."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def key(agent: str, seed: int) -> dict[str, Any]:
    return {"agent": agent, "version": version(PACKAGE[agent]), "trials": TRIALS, "seed": seed}


def missing(seeds: int, done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Seed by seed, so that all agents have the same seeds whenever it is stopped."""
    known = [{name: line[name] for name in key("gp", 0)} for line in done]
    for seed in range(seeds):
        yield from (k for agent in SEARCHES if (k := key(agent, seed)) not in known)


def main(seeds: int, file: Path) -> None:
    problem = Problem.of(rise_and_fall(), budget=BUDGET, trials=TRIALS)
    optimum = problem.simulator.optimum.score
    done = [line for line in noted(file) if line["agent"] != "gp"]
    file.write_text("".join(json.dumps(line) + "\n" for line in done), encoding="utf-8")
    for search in missing(seeds, done):
        best = SEARCHES[search["agent"]](problem, search["seed"])
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(search | {"regret": float(np.round(optimum - best, 12))}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else FILE)
