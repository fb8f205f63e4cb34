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
from click.testing import CliRunner, Result

from harness.cli import COMMANDS, cli
from harness.lazy import Lazy, LazyGroup
from simulator.cost import COST_MODELS
from tests.harness.helpers import Run, program

HEAVY = ("numpy", "numba", "polars", "pydantic", "rich", "scipy", "joblib", "jinja2", "simulator")


def call(*words: str | Path) -> Result:
    """Run the program in this process, its two streams apart."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def json_of(*words: str | Path) -> Any:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*words: str | Path, status: int = 2) -> str:
    """The one line that a wrong call prints."""
    result = call(*words)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("agenttts: ")
    return lines[0].removeprefix("agenttts: ")


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


# Bad input ----------------------------------------------------------------------------------------

CONFIG = ("--config", "retrieve=small:1,answer=small:1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serch"], "no command named 'serch'; did you mean search"),
        (["tables", "shwo"], "no command named 'shwo'; did you mean show"),
        (["search", "maths", "--agent", "random"], "no table named 'maths'; did you mean math"),
        (["search", "TABLE", "--agent", "randon"], "no agent named 'randon'; did you mean random"),
        (["search", "TABLE", "--agent", "no.such:Agent"], "no module named 'no'"),
        (["search", "TABLE", "--agent", ":Agent"], "':Agent' is not module:Class"),
        (["search", "TABLE", "--agent", "json:"], "'json:' is not module:Class"),
        (["search", "TABLE", "--agent", "json:JSONDecoder"], "it needs ask() and tell()"),
        (["search", "math", "--agent", "random", "--noise", "bootstrap"], "no per-example outcom"),
        (["search", "TABLE", "--agent", "random", "--replay", "x.jsonl"], "--replay is of no use"),
        (["search", "TABLE", "--agent", "grid", "--max-tokens", "9"], "--max-tokens is of no use"),
        (["search", "", "--agent", "random"], "no table named ''"),
        (["search", "TABLE"], "Missing option '--agent'"),
        (["search", "TABLE", "--agent", "random", "--trials", "0"], "'--trials': 0 is not in"),
        (["search", "TABLE", "--agent", "random", "--workers", "0"], "'--workers': 0 is not in"),
        (["search", "TABLE", "--agent", "random", "--seed", "-1"], "'--seed': -1 is not in"),
        (["search", "TABLE", "--agent", "random", "--budget", "-5"], "costs 2 units"),
        (["search", "TABLE", "--agent", "random", "--budget", "1"], "budget 1 is under"),
        (["search", "TABLE", "--agent", "random", "--budget", "nan"], "finite"),
        (["search", "TABLE", "--agent", "random", "--budget", "lots"], "'lots' is not a"),
        (["search", "TABLE", "--agent", "random", "--budget", "inf"], "finite"),
        (["search", "TABLE", "--agent", "random", "--cost", "euros"], "there are dollars, flops"),
        (["search", "TABLE", "--agent", "random", "--cost", "flop"], "did you mean flops"),
        (["search", "TABLE", "--agent", "random", "--cost", "tokens"], "must be given"),
        (["search", "TABLE", "--agent", "random", "--match", "near"], "did you mean nearest"),
        (["search", "TABLE", "--agent", "random", "--noise", "some"], "no noise named 'some'"),
        (["search", "TABLE", "--agent", "random", "--duplicates", "fre"], "did you mean free"),
        (["replay", "TABLE"], "Missing option '--config'"),
        (["replay", "TABLE", "--config", "retrieve=small"], "is not stage=MODEL:SAMPLES"),
        (["replay", "TABLE", "--config", "retrieve=small:1"], "stage 'answer' is missing"),
        (["replay", "TABLE", "--config", "retrieve=smal:1,answer=small:1"], "did you mean small"),
        (["replay", "TABLE", "--config", "retrive=small:1,answer=small:1"], "mean retrieve"),
        (["replay", "TABLE", "--config", "retrieve=small:0,answer=small:1"], "at least 1, not 0"),
        (["replay", "TABLE", "--config", "retrieve=small:-2,answer=small:1"], "at least 1, not -2"),
        (["replay", "TABLE", "--config", "retrieve=small:1.5,answer=small:1"], "whole number"),
        (["replay", "TABLE", "--config", "retrieve=small:99,answer=small:1"], "1 to 8, not 99"),
        (
            ["replay", "TABLE", "--config", "retrieve=small:1000000000,answer=small:1"],
            "a whole number from 1 to 999999999, not '1000000000'",
        ),
        (
            ["replay", "TABLE", "--config", "retrieve=small:1,retrieve=small:1,answer=small:1"],
            "stage 'retrieve' is given twice",
        ),
        (["replay", "TABLE", *CONFIG, "--split", "tset"], "did you mean test"),
        (
            ["replay", "TABLE", "--config", "retrieve=small:3,answer=small:1", "--match", "exact"],
            "nearest: retrieve=small:2,answer=small:1",
        ),
        (["bench"], "Missing option '--out'"),
        (["bench", "none.toml", "--out", "OUT"], "none.toml: no such suite"),
        (["bench", "--jobs", "0", "--out", "OUT"], "'--jobs': 0 is not in"),
        (["bench", "--seeds", "0", "--out", "OUT"], "'--seeds': 0 is not in"),
        (["bench", "--trials", "0", "--out", "OUT"], "'--trials': 0 is not in"),
        (["bench", "--agents", "random,,", "--out", "OUT"], "holds an empty name"),
        (["bench", "--agents", "tpee,random", "--out", "OUT"], "no agent named 'tpee'"),
        (["bench", "--tables", "mth", "--out", "OUT"], "no table named 'mth'; did you mean math"),
        (["bench", "--tables", "TABLE", "--budget", "-1", "--out", "OUT"], "costs 2 units"),
        (["bench", "--backend", "slurm", "--out", "OUT"], "no backend named 'slurm'"),
        (["bench", "--tables", "TABLE", "--out", ""], "name of the folder is empty"),
        (["bench", "--tables", "TABLE", "--out", "TABLE"], "holds a lookup table: name another"),
        (["bench", "--tables", "TABLE", "--out", "FILE"], "is a file"),
        (["bench", "--trials", "99999999999", "--out", "OUT"], "trials: it should be less than or"),
        (["bench", ".", "--out", "OUT"], ". is a folder; a suite is a TOML file"),
        (["bench", "FILE", "--out", "OUT"], "is no TOML file: it is not UTF-8 text"),
        (["import-trials", "FILE", "--table", "TABLE", "--out", "OUT"], "neither an Optuna study"),
        (["import-trials", "x.csv", "--table", "TABLE", "--out", "TABLE"], "x.csv: no such file"),
        (["compare", "OUT", "OUT"], "out: no such folder"),
        (["bench", "--nonsense", "--out", "OUT"], "No such option '--nonsense'"),
        (["report", "nowhere"], "nowhere: no such folder"),
        (["report", "."], "holds no results of a bench"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_status_2(
    words: list[str],
    message: str,
    tmp_path: Path,
    table_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"\xff\xfe\x00")
    given = {
        "TABLE": str(table_folder), "OUT": str(tmp_path / "out"), "FILE": str(tmp_path / "file")
    }  # fmt: skip
    held = sorted(table_folder.iterdir())
    assert message.lower() in refused(*(given.get(word, word) for word in words)).lower()
    assert not (tmp_path / "out").exists()
    assert sorted(table_folder.iterdir()) == held


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trials = 0", "suite.toml: trials: it should be greater than or equal to 1, not 0"),
        ("trials = 'many'", "trials: it should be a valid integer"),
        ("seeds = 1.5", "suite.toml: seeds: must be a count or a list, not 1.5"),
        ("seeds = true", "suite.toml: seeds: must be a count or a list, not True"),
        ("seeds = []", "suite.toml: seeds: must not be empty"),
        ("tables = 'math'", "suite.toml: tables: must be a list, not 'math'"),
        ("budgets = [inf]", "budgets.0: it should be a finite number, not inf"),
        ("trails = 5", "no setting of a suite (in "),
        ("agents = [{ name = 'random', color = 1 }]", "no setting of an agent (in "),
        ("agents = [{ name = 'random', setings = {} }]", "named 'setings'; did you mean settings"),
        ("trials = ", "suite.toml: "),
        ("agents = ['random', 'random']", "two agents are called 'random': give one a label"),
    ],
)
def test_a_wrong_suite_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(text)
    assert message in refused("bench", suite, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_parquet_file_fails(table_folder: Path) -> None:
    scores = table_folder / "scores.parquet"
    scores.write_bytes(scores.read_bytes()[:100])
    line = refused("search", table_folder, "--agent", "random", status=1)
    assert "scores.parquet" in line
    assert refused("tables", "show", table_folder, status=1)


def test_a_folder_that_is_no_table_fails(tmp_path: Path) -> None:
    assert "task.toml" in refused("tables", "show", tmp_path, status=1)


def test_an_unwritable_out_fails(tmp_path: Path, table_folder: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused("bench", "--tables", table_folder, "--agents", "random", "--seeds", "1",
                   "--quiet", "--out", tmp_path / "file" / "out", status=1)  # fmt: skip
    assert line.startswith(f"cannot write to {tmp_path / 'file' / 'out'}")


def test_an_error_inside_an_agent_is_one_line(table_folder: Path, own_agents: Path) -> None:
    words = ("search", table_folder, "--agent", "own_agents:Fails", "--seed")
    lines = [call(*words, seed).stderr for seed in range(6)]
    told = (
        "agenttts: agent 'own_agents:Fails' failed in tell() of trial 4: ValueError: something "
        "broke in the agent (--debug shows where)\n"
    )
    assert told in lines
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("Exits", 1, "agent 'own_agents:Exits' ended the program in ask() of trial 1"),
        ("Guesses", 1, "agent 'own_agents:Guesses': ask() gave int, not a Configuration or an Ask"),
        ("Unmade", 1, "agent 'own_agents:Unmade' failed when it was made: KeyError: 'x'"),
    ],
)
def test_an_agent_that_does_what_it_must_not_is_named(
    name: str, status: int, message: str, table_folder: Path, own_agents: Path
) -> None:
    line = refused("search", table_folder, "--agent", f"own_agents:{name}", status=status)
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('boom\\nat import')", "RuntimeError: boom at import"),
        ("def (", "SyntaxError: invalid syntax"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("import no_such_package", "no module named 'no_such_package'"),
    ],
)
def test_a_module_that_fails_at_import_is_named(
    source: str, message: str, own_agents: Path, table_folder: Path, tmp_path: Path
) -> None:
    (own_agents / "broken.py").write_text(source)
    for words in (
        ("search", table_folder, "--agent", "broken:Agent"),
        ("bench", "--agents", "broken:Agent", "--tables", table_folder, "--out", tmp_path / "out"),
    ):
        line = refused(*words)
        assert line.startswith("agent 'broken:Agent': ")
        assert message in line
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_traceback(agenttts: Run) -> None:
    wrong = ("tables", "show", "no-such-table")
    plain, debug = agenttts(*wrong), agenttts("--debug", *wrong)
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    assert debug.returncode != 0
    assert "Traceback" in debug.stderr


def test_statuses_and_streams_of_the_real_program(agenttts: Run, table_folder: Path) -> None:
    assert agenttts("tables", "list", "--json").returncode == 0
    assert agenttts("bench").returncode == 2
    (table_folder / "scores.parquet").unlink()
    failed = agenttts("tables", "verify", table_folder)
    assert failed.returncode == 1
    assert failed.stdout == ""


def test_a_closed_pipe_says_nothing() -> None:
    process = subprocess.Popen(
        program("tables", "show", "math"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(30) == 1


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
