"""Tables, agents and command lines that the harness's tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

from harness.cli import cli
from harness.files import TEMPORARY
from simulator import LookupTable, Model, Space, Stage, Task

REAL_TIME = ("agent_seconds", "lookup_seconds", "seconds_per_ask")

AGENTS = '''
import os
import signal
import time

from simulator.errors import SearchAborted, SearchFinished


class Sweep:
    """Asks for the feasible cells in order, from a start that its generator draws."""

    def __init__(self, card, rng, step=1):
        self.cells, self.card = card.feasible_cells, card
        self.at, self.step = int(rng.integers(len(self.cells))), step

    def ask(self):
        self.at = (self.at + self.step) % len(self.cells)
        return self.card.space.configuration(int(self.cells[self.at]))

    def tell(self, trial):
        pass


class Slow(Sweep):
    def ask(self):
        time.sleep(0.01)
        return super().ask()


class Fails(Sweep):
    """Fails on seed-dependent grounds: in about half of the seeds."""

    def tell(self, trial):
        if self.at % 2 and trial.index == 3:
            raise ValueError("something broke\\nin the agent")


class Aborts(Sweep):
    def ask(self):
        raise SearchAborted("no server")


class Masked(Sweep):
    """Runs only where interrupts are held back."""

    def ask(self):
        if signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            raise RuntimeError("an interrupt would come through")
        return super().ask()


class Greedy(Slow):
    """Is killed, as by a machine without memory, once the folder GREEDY holds four files."""

    def tell(self, trial):
        if "GREEDY" in os.environ and len(os.listdir(os.environ["GREEDY"])) >= 4:
            os.kill(os.getpid(), 9)


class Interrupted(Slow):
    """Ctrl-C comes while an object of its is thrown away."""

    class Thrown:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    thrown = False

    def ask(self):
        if not Interrupted.thrown:
            Interrupted.thrown = True
            self.Thrown()
        time.sleep(0.02)
        return super().ask()


class Exits(Sweep):
    def ask(self):
        raise SystemExit(3)


class Guesses(Sweep):
    def ask(self):
        return 5


class Unmade(Sweep):
    def __init__(self, card, rng):
        raise KeyError("x")


class Idle(Sweep):
    def ask(self):
        raise SearchFinished("nothing to ask")


class NoAgent:
    pass
'''


def cells_of(folder: Path) -> dict[str, int]:
    """Cell files and when they were written; not those still being written, which may go."""
    names = [path.name for path in (folder / "cells").iterdir()]
    whole = [name for name in names if not name.startswith(TEMPORARY)]
    return {name: (folder / "cells" / name).stat().st_mtime_ns for name in whole}


def toy_task(name: str, samples: tuple[int, ...] = (1, 2, 4, 8), kind: str = "modelled") -> Task:
    """Two stages of two models."""
    models = (Model(name="small", parameters=3e9), Model(name="large", parameters=70e9))
    return Task.model_validate(
        {
            "name": name,
            "title": f"The table {name}",
            "kind": kind,
            "metric": "score",
            "metrics": ("score", "recall"),
            "default_budget": 1000,
            "stages": tuple(
                Stage(
                    name=stage,
                    models=models,
                    prompt_tokens=128,
                    generated_tokens=64,
                    samples=samples,
                )
                for stage in ("retrieve", "answer")
            ),
        }
    )


def toy_table(name: str = "toy", seed: int = 0, *, outcomes: bool = False) -> LookupTable:
    """A table of 64 cells with random scores, and outcomes of 40 examples if asked for."""
    task = toy_task(name, kind=("modelled", "measured")[seed % 2])
    rng = np.random.default_rng(seed)
    n = Space(task).n_cells
    results = {
        split: {m: (rng.random((n, 40)) < rng.random((n, 1))).astype(float) for m in task.metrics}
        for split in ("train", "test")
    }
    scores = {
        split: {m: values.mean(axis=1) for m, values in by_metric.items()}
        for split, by_metric in results.items()
    }
    return LookupTable.from_arrays(
        task,
        scores,
        seconds={split: 600 + 3000 * rng.random(n) for split in results},
        examples=40,
        outcomes=results if outcomes else None,
    )


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def program(*words: str | Path) -> list[str]:
    """The command line of `agenttts` in this environment."""
    return [sys.executable, "-c", "from harness.cli import main; main()", *map(str, words)]


def start_bench(out: Path, folder: Path, *words: str) -> subprocess.Popen[str]:
    """A bench of a slow agent, in a process group of its own."""
    return subprocess.Popen(
        program("bench", "--tables", str(folder), "--agents", "own_agents:Slow", "--seeds", "12",
                "--trials", "6", "--out", str(out), *words),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def same_results(a: Path, b: Path) -> None:
    """Trials byte for byte; runs and the summary but for real time."""
    assert (a / "trials.parquet").read_bytes() == (b / "trials.parquet").read_bytes()
    for name in ("runs", "summary"):
        left, right = (pl.read_parquet(f / f"{name}.parquet") for f in (a, b))
        assert_frame_equal(
            left.drop(REAL_TIME, strict=False), right.drop(REAL_TIME, strict=False),
            check_exact=True,
        )  # fmt: skip


def call(*words: str | Path) -> Result:
    """Run the program in this process, its two streams apart."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def refused(*words: str | Path, status: int = 2) -> str:
    """The one line that a wrong call prints."""
    result = call(*words)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("agenttts: ")
    return lines[0].removeprefix("agenttts: ")
