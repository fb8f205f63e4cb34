"""The command line: what it prints, its exit statuses, and one clear line for bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest

from harness.cli import COMMANDS
from harness.lazy import Lazy, LazyGroup
from simulator.cost import COST_MODELS
from tests.harness.helpers import Run, call, refused

HEAVY = ("numpy", "numba", "polars", "pydantic", "rich", "scipy", "joblib", "jinja2", "simulator")


def json_of(*words: str | Path) -> Any:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("words", [["--help"], ["bench", "--help"], ["search", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom harness.cli import cli\n"
        f"try: cli({words!r})\nexcept SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("Usage: agenttts")
    assert done.stderr.strip() == "[]"


def test_help_lists_every_command() -> None:
    text = call("--help").stdout
    for name, entry in COMMANDS.items():
        assert (f"\n  {name} " in text) == entry.present
    for name in ("list", "show", "verify", "import"):
        assert f"\n  {name} " in call("tables", "--help").stdout


def test_every_listed_command_can_be_loaded() -> None:
    for name, entry in COMMANDS.items():
        if entry.present:
            assert entry.load().name == name


def test_a_command_whose_module_is_absent_is_not_offered() -> None:
    group = LazyGroup("g", lazy={"there": Lazy("nowhere.cli:there", "x", optional=True)})
    assert group.list_commands(click.Context(group)) == []
    assert group.get_command(click.Context(group), "there") is None


def test_help_names_every_cost_model() -> None:
    text = " ".join(call("search", "--help").stdout.split())
    assert all(name in text for name in COST_MODELS)


def test_version() -> None:
    assert re.fullmatch(r"agenttts \d+\.\d+\.\d+\S*\n", call("--version").stdout)


# Listings -----------------------------------------------------------------------------------------


def test_tables_list() -> None:
    rows = json_of("tables", "list", "--json")
    by_name = {row["name"]: row for row in rows}
    assert by_name["math"]["kind"] == "published"
    assert all(row["kind"] in ("measured", "published", "modelled") for row in rows)
    shown = call("tables", "list").stdout
    assert all(row["name"] in shown and row["kind"] in shown for row in rows)


def test_tables_show(table_folder: Path) -> None:
    data = json_of("tables", "show", table_folder, "--json")
    assert (data["name"], data["kind"], data["metric"], data["default_budget"]) == (
        "toy", "modelled", "score", 1000,
    )  # fmt: skip
    assert [stage["name"] for stage in data["stages"]] == ["retrieve", "answer"]
    assert data["stages"][0]["models"] == ["small", "large"]
    assert data["stages"][0]["samples"] == [1, 2, 4, 8]
    from simulator import LookupTable, Simulator

    simulator = Simulator(LookupTable.load(table_folder))
    assert data["optimum"] == simulator.optimum.score
    assert data["within_1_percent"] == simulator.near_optimal(0.01)
    text = call("tables", "show", table_folder).stdout
    for part in ("(modelled)", "Made for tests.", "retrieve", "within 1 %", "optimum"):
        assert part in text


def test_agents() -> None:
    rows = json_of("agents", "--json")
    random = next(row for row in rows if row["name"] == "random")
    assert random["ready"] is True
    assert random["summary"] in call("agents").stdout


# One trial and one search -------------------------------------------------------------------------


def test_replay(table_folder: Path) -> None:
    words = ("replay", table_folder, "--config", "retrieve=small:3,answer=large:1")
    data = json_of(*words, "--json")
    assert data["asked"] == "retrieve=small:3,answer=large:1"
    assert data["answered"] == "retrieve=small:2,answer=large:1"
    assert data["feasible"] is True
    assert set(data["metrics"]) == {"score", "recall"}
    assert data["cost"] == pytest.approx(3 + 68)
    assert data["seconds"] > 0
    assert data["kind"] == "modelled"
    text = call(*words).stdout
    for name in ("asked", "answered", "feasible", "cost", "metrics", "seconds", "modelled"):
        assert name in text


def test_replay_over_the_budget_answers_that_it_is_infeasible(table_folder: Path) -> None:
    words = ("replay", table_folder, "--config", "retrieve=large:8,answer=large:8")
    data = json_of(*words, "--budget", "50", "--json")
    assert (data["feasible"], data["answered"], data["metrics"]) == (False, None, {})
    assert "over the budget" in data["reason"]
    assert "no (over the budget" in call(*words, "--budget", "50").stdout


def test_search(table_folder: Path) -> None:
    words = ("search", table_folder, "--agent", "random", "--trials", "9", "--seed", "3")
    data = json_of(*words, "--json")
    from harness import run_search
    from simulator import LookupTable

    expected = run_search(LookupTable.load(table_folder), "random", trials=9, seed=3)
    assert data["optimum"] == expected.optimum.score
    assert expected.incumbent is not None
    assert data["incumbent"]["configuration"] == str(expected.incumbent.answered)
    assert data["incumbent"]["train_score"] == expected.incumbent.score
    assert data["incumbent"]["test_score"] == expected.test_score
    assert data["trials_to_optimum"] == expected.trials_to_optimum
    assert data["search_hours"] == expected.search_hours
    assert [t["asked"] for t in data["trials"]] == [str(t.asked) for t in expected.trials]
    columns = {"index", "asked", "answered", "feasible", "score", "cost", "seconds", "clock"}
    assert columns <= set(data["trials"][0])
    assert json_of(*words, "--json")["trials"] == data["trials"]
    text = call(*words).stdout
    assert "(modelled)" in text
    assert ("*" in text) == (not expected.reached)


def test_search_takes_settings_of_the_agent(table_folder: Path, own_agents: Path) -> None:
    words = ("search", table_folder, "--agent", "own_agents:Sweep", "--trials", "3", "--json")
    one, three = (json_of(*words, "--set", f"step={n}")["trials"] for n in (1, 3))
    assert one[0]["asked"] != three[0]["asked"]
    assert "did you mean step" in refused(*words, "--set", "stepp=1")
    assert "is not NAME=VALUE" in refused(*words, "--set", "step")


def test_modules_in_the_current_folder_are_found(
    table_folder: Path, own_agents: Path, agenttts: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    done = agenttts("search", table_folder, "--agent", "own_agents:Sweep", cwd=own_agents)
    assert done.returncode == 0, done.stderr


# Verify and import --------------------------------------------------------------------------------


def test_verify_finds_a_changed_byte(table_folder: Path) -> None:
    assert call("tables", "verify", table_folder).stdout.strip().endswith("ok")
    card = table_folder / "CARD.md"
    card.write_text(card.read_text().replace("tests", "texts"))
    result = call("tables", "verify", table_folder)
    assert result.exit_code == 1
    assert "CARD.md" in result.stderr
    rows = json.loads(call("tables", "verify", table_folder, "--json").stdout)
    assert rows[0]["ok"] is False
    assert "CARD.md" in rows[0]["findings"][0]


def test_verify_all_shipped_tables() -> None:
    rows = json_of("tables", "verify", "--json")
    assert {row["name"] for row in rows} == {r["name"] for r in json_of("tables", "list", "--json")}


def test_import_of_a_csv_and_of_a_wrong_one(tmp_path: Path, table_folder: Path) -> None:
    csv, out, task = tmp_path / "s.csv", tmp_path / "made", table_folder / "task.toml"
    frame = pl.read_parquet(table_folder / "scores.parquet")
    frame = frame.cast({pl.Categorical: pl.String, pl.Enum: pl.String})
    frame.write_csv(csv)
    result = call("tables", "import", csv, "--task", task, "--out", out)
    assert result.exit_code == 0, result.output
    assert "toy (modelled)" in result.stdout
    optimum = json_of("tables", "show", out, "--json")["optimum"]
    assert optimum == json_of("tables", "show", table_folder, "--json")["optimum"]
    frame.drop("recall").write_csv(csv)
    line = refused("tables", "import", csv, "--task", task, "--out", tmp_path / "no", status=1)
    assert "recall" in line
    assert not (tmp_path / "no").exists()
    assert refused(
        "tables", "import", tmp_path / "none.csv", "--task", task, "--out", tmp_path / "no"
    )


# Bench and report ---------------------------------------------------------------------------------


def test_bench_and_report(tmp_path: Path, table_folder: Path) -> None:
    suite, out = tmp_path / "suite.toml", tmp_path / "out"
    suite.write_text(
        f'tables = ["{table_folder}"]\nseeds = [3, 5]\ntrials = 6\nagents = ["random"]\n'
    )
    result = call("bench", suite, "--out", out, "--jobs", "1")
    assert result.exit_code == 0, result.output
    for part in ("toy (modelled)", "random", "Overall", "within 1 %", "Again: agenttts bench"):
        assert part in " ".join(result.stdout.split())
    assert "2 cells: 2 run, 0 already there, 0 failed" in result.stderr
    for name in ("trials.parquet", "summary.parquet", "summary.md", "index.html"):
        assert (out / name).is_file()
    assert pl.read_parquet(out / "trials.parquet")["seed"].unique().to_list() == [3, 5]
    for name in ("summary.md", "index.html"):
        (out / name).unlink()
    again = call("report", out)
    assert again.exit_code == 0
    assert "toy (modelled)" in again.stdout
    assert (out / "summary.md").is_file()
    assert (out / "index.html").is_file()
    rows = json_of("report", out, "--json")
    assert (rows[0]["agent"], rows[0]["kind"], rows[0]["seeds"]) == ("random", "modelled", 2)
    overridden = json_of("bench", suite, "--out", out, "--seeds", "1", "--jobs", "1", "--json")
    assert overridden[0]["seeds"] == 1


def test_a_bench_with_failures_says_so_and_ends_with_status_1(
    tmp_path: Path, table_folder: Path, own_agents: Path
) -> None:
    out = tmp_path / "out"
    result = call(
        "bench", "--agents", "own_agents:Aborts,random", "--tables", table_folder, "--seeds", "7",
        "--trials", "4", "--jobs", "1", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "7 of 14 cells failed (five shown); tracebacks in" in result.stderr
    assert (
        "own_agents:Aborts on toy, seed 0: RunError: the agent gave up: no server" in result.stderr
    )
    assert "random" in result.stdout
    assert len(list((out / "failed").iterdir())) == 7
