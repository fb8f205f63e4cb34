"""Wrong use and failures at the command line: one clear line each, and nothing half written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import run_bench
from simulator.compiling import compile_kernels
from tests.harness.helpers import Run, call, program, refused


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    """On a machine where no search has run yet, the first one says that it compiles."""
    compile_kernels(lambda line: None)


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
        ("budgets = [inf]", "budgets.0: inf is not a finite number"),
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


def test_a_table_in_place_of_results_is_named(tmp_path: Path, table_folder: Path) -> None:
    out = tmp_path / "out"
    run_bench(out=out, tables=[table_folder], agents=["random"], seeds=1, trials=2)
    shutil.copy(table_folder / "scores.parquet", out / "trials.parquet")
    for words in (("report", out), ("compare", out, out)):
        line = refused(*words, status=1)
        assert line == f"{out / 'trials.parquet'} is no file of a bench: it has no column 'agent'"
