"""Every example is run as its header says, and what it prints and leaves is looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lookup_tables import load
from simulator import Configuration, Simulator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
IN_PEERS = {"syne_tune_blackbox.py"}
"""Those that need more than `.venv` holds: tests/peers/test_syne_tune.py runs them."""


def run(
    name: str, *words: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, words)],
        capture_output=True, text=True, timeout=600, check=False, cwd=ROOT,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


def figure(text: str, before: str) -> float:
    found = re.search(rf"{before} (\d+\.\d+)", text)
    assert found, text
    return float(found[1])


def test_every_script_is_run_and_listed() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    tested = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{name}"' in tested for name in scripts)
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert scripts == set(re.findall(r"`(\w+\.py)`", listed))
    for name in scripts:
        head = (EXAMPLES / name).read_text(encoding="utf-8")
        assert f"    python examples/{name}" in head, "the header says how to run it"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("optuna")
    where = tmp_path_factory.mktemp("study") / "new" / "study.journal"
    done = run("optuna_study.py", where, "12")
    assert done.returncode == 0, done.stderr
    assert "12 trials" in done.stdout
    optimum = Simulator(load("2wiki")).optimum.score
    assert figure(done.stdout, "optimum is") == pytest.approx(optimum, abs=1e-4)
    assert 0 < figure(done.stdout, "best") <= optimum
    return where


def test_an_optuna_study_says_what_the_table_says(journal: Path) -> None:
    optuna = pytest.importorskip("optuna")
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    study = optuna.load_study(
        study_name="tpe-halving-0", storage=optuna.storages.JournalStorage(backend)
    )
    simulator, complete, pruned_early = Simulator(load("2wiki")), 0, 0
    for trial in study.trials:
        asked = Configuration.parse(
            ",".join(
                f"{s.name}={trial.params[f'{s.name}_model']}:{trial.params[f'{s.name}_samples']}"
                for s in simulator.task.stages
            )
        )
        if trial.state == optuna.trial.TrialState.COMPLETE:
            complete += 1
            assert trial.value == simulator.score(asked)
        else:
            pruned_early += bool(trial.intermediate_values)
            assert trial.intermediate_values or simulator.score(asked) is None
    assert complete
    assert pruned_early


def test_a_study_stands_on_the_leaderboard(journal: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    done = run("import_study.py", journal, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    summary = pl.read_parquet(tmp_path / "out" / "summary.parquet")
    assert set(summary["agent"]) == {"random", "gp", "my study (imported)"}
    assert "my study (imported)" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    trials = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    mine = trials.filter(pl.col("agent") == "my study (imported)")
    assert mine["why"].str.starts_with("trial ").all()
    assert mine["examples"].drop_nulls().n_unique() == 2


def test_a_space_of_configspace() -> None:
    pytest.importorskip("ConfigSpace")
    done = run("configspace_space.py", "2wiki")
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"^best (\d\.\d+) \(modelled\) at (\S+), cost (\d+)$", done.stdout, re.MULTILINE
    )
    assert found, done.stdout
    trial = Simulator(load("2wiki")).evaluate(Configuration.parse(found[2]))
    assert trial.score == pytest.approx(float(found[1]), abs=1e-4)
    assert trial.cost == pytest.approx(float(found[3]), abs=0.5)


def test_trials_as_frames(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    done = run("data_frames.py", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {"grid", "random", "2wiki", "math"} <= set(done.stdout.split())
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(tmp_path / "out" / "trials.parquet")
    whole = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    assert len(frame) == whole.height == 2 * 2 * 3 * 20
    assert frame["score"].max() == whole["score"].max()


AGENT = EXAMPLES / "my_agent"


def in_template(*words: str | Path, path: Path = AGENT) -> subprocess.CompletedProcess[str]:
    """The program as one who works in a copy of the template calls it."""
    return subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *map(str, words)],
        capture_output=True, text=True, timeout=600, check=False, cwd=path,
    )  # fmt: skip


def test_the_template_is_about_twenty_lines() -> None:
    source = (AGENT / "my_agent" / "__init__.py").read_text(encoding="utf-8")
    body = source.partition("class MyAgent")[2].splitlines()
    lines = [line for line in body if line.strip() and not line.strip().startswith(('"', "#"))]
    assert len(lines) <= 25


def test_the_template_runs_by_module_and_class(tmp_path: Path) -> None:
    done = in_template("search", "math", "--agent", "my_agent:MyAgent", "--json", "--trials", 15)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["trials"]) == 15
    assert {trial["why"] for trial in found["trials"]} == {
        "drawn at random", "near the best so far"
    }  # fmt: skip
    done = in_template(
        "bench", "--agents", "my_agent:MyAgent,random", "--tables", "math", "--seeds", 3,
        "--trials", 10, "--jobs", 2, "--quiet", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = pl.read_parquet(tmp_path / "out" / "summary.parquet")
    assert set(summary["agent"]) == {"my_agent:MyAgent", "random"}


def test_the_template_keeps_the_contract() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "tests"],
        capture_output=True, text=True, timeout=600, check=False, cwd=AGENT,
        env={**os.environ, "PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    found = re.search(r"(\d+) passed", done.stdout)
    assert found, done.stdout
    assert int(found[1]) >= 15
