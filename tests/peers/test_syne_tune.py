"""A shipped table as Syne Tune holds it: score for score, and the example that searches it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lookup_tables import load
from simulator import Configuration, Simulator

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
ENOUGH = 1e12
EXAMPLE = ROOT / "examples" / "syne_tune_blackbox.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("syne_tune_blackbox", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["2wiki", "2wiki-cpu", "math"])
def test_every_cell_has_the_same_score_and_seconds(example: ModuleType, name: str) -> None:
    table = load(name)
    box = example.blackbox_of(table)
    simulator = Simulator(table, budget=ENOUGH)
    cells = np.flatnonzero(table.present("train"))
    assert len(cells) == len(box.hyperparameters)
    for cell in cells:
        configuration = table.space.configuration(int(cell))
        theirs = box.objective_function(example.settings_of(configuration), fidelity={"epoch": 1})
        ours = simulator.evaluate(configuration)
        assert ours.answered == configuration
        assert theirs["score"] == ours.score
        assert theirs["elapsed"] == pytest.approx(ours.seconds, rel=1e-6)


def test_a_search_on_its_backend_reports_the_tables_scores(example: ModuleType) -> None:
    table = load("2wiki")
    trials = example.search(example.blackbox_of(table), trials=12)
    assert len(trials) >= 12
    simulator = Simulator(table, budget=ENOUGH)
    for row in trials.to_dict("records"):
        asked = ",".join(
            f"{stage.name}={row[f'{stage.name}_model']}:{row[f'{stage.name}_samples']}"
            for stage in table.task.stages
        )
        assert simulator.evaluate(Configuration.parse(asked)).score == row["score"]


def run_example(table: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE), table],
        capture_output=True, text=True, timeout=600, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_the_example_runs() -> None:
    done = run_example("2wiki-cpu")
    assert done.returncode == 0, done.stderr[-2000:]
    first, second, *rows = done.stdout.splitlines()
    score = f"{Simulator(load('2wiki-cpu')).optimum.score:.4f}"
    assert first == f"optimum within the budget {score}, in the blackbox {score}"
    assert second.lstrip("0123456789").startswith(" trials of Syne Tune's random search")
    assert len(rows) == 4


def test_the_example_says_what_a_table_with_holes_lacks() -> None:
    done = run_example("math")
    assert done.returncode == 1
    assert done.stderr.startswith("math has holes")
