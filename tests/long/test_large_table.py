"""A table of 8 million cells with outcomes for each of its examples works in 2 GiB of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator import LookupTable, table_io
from simulator.outcomes import Coded, Outcomes
from simulator.space import Space
from simulator.table import SplitTable, toy_task

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("LONG_EXAMPLES", "8"))
USE = """
import sys, time
import numpy as np
from agents import TaskCard, create
from agents.testing import run_trials
from simulator import LookupTable, Simulator
from tests.memory import peak_mib

begin = time.perf_counter()
table = LookupTable.load(sys.argv[1])
print("loaded", round(time.perf_counter() - begin, 1), "s")
simulator = Simulator(table)
assert simulator.optimum.score == np.nanmax(table.scores()[simulator.feasible_cells])
choices = np.random.default_rng(0).integers(0, 2, (100_000, 3, 2)) + [0, 1]
assert np.isfinite(simulator.evaluate_many(choices)).all()
for name in ("random", "hyperband"):
    card = TaskCard.of(simulator, trials=20)
    found = run_trials(create(name, card, 0), simulator.restarted(0), 20)
    assert len(found.trials) == 20
print("peak", int(peak_mib()), "MiB")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task = toy_task({name: list(range(1, 101)) for name in ("plan", "retrieve", "answer")})
    space, rng, splits = Space(task), np.random.default_rng(0), {}
    n = space.n_cells
    assert n == 8_000_000
    for split in ("train", "test"):
        right = rng.random((n, EXAMPLES), dtype=np.float32) < 0.6
        coded = Coded("bits", np.packbits(right, axis=1), np.empty(0))
        outcomes = Outcomes(EXAMPLES, np.arange(n, dtype=np.int32), {"score": coded})
        count = np.full(n, EXAMPLES, dtype=np.int32)
        splits[split] = SplitTable(split, {"score": right.mean(1)}, np.ones(n), count, outcomes)
    where = tmp_path_factory.mktemp("large")
    return table_io.save(LookupTable(task, space, splits), where / "table", card="# Cells")


def test_eight_million_cells_with_outcomes(folder: Path) -> None:
    for when in ("built", "mapped"):
        done = subprocess.run(
            [sys.executable, "-c", USE, str(folder)],
            capture_output=True, text=True, timeout=3000, check=False, cwd=ROOT,
            env={**os.environ, "AGENTTTS_CACHE": str(folder.parent / "cache"), "PYTHONPATH": "."},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        print(when, done.stdout.split("\n"))
        assert int(done.stdout.split()[-2]) < 2048
