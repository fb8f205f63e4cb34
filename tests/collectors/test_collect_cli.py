"""`agenttts collect` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collectors.cli import collect
from simulator import LookupTable
from simulator.errors import AgentTTSError, UsageError

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from harness.cli import main; main()"]
SWEEP = """
task = "synthetic"
seed = 2
[data]
train_examples = 4
test_examples = 4
[engine]
kind = "scripted"
function = "cli_script:answer"
[plan]
chunk_samples = 8
[[models]]
name = "one"
source = "one"
parameters = 1e9
[[models]]
name = "[red]two"
source = "two"
parameters = 2e9
[[stages]]
name = "solve"
models = ["one", "[red]two"]
samples = [1, 2, 4]
"""
SCRIPT = """
import random
broken = False
def answer(model, prompt, n, seed):
    if broken and model == "one":
        return []
    return [str(random.Random(f"{model}{prompt}{seed + k}").randint(0, 99)) for k in range(n)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sweep.toml").write_text(SWEEP)
    (tmp_path / "cli_script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "cli_script", raising=False)
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(collect, words)


def data(*words: str) -> Any:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("folder")
def test_plan_run_status_merge(folder: Path) -> None:
    planned = data("plan", "sweep.toml")
    assert planned["configurations"] == 6
    assert planned["saving"] > 1
    text = call("plan", "sweep.toml").stdout
    assert "6 configurations on 8 examples" in text
    assert "Saving:" in text
    ran = data("run", "sweep.toml", "--out", "out")
    assert ran["complete"]
    assert ran["planned"]["requests"] == 16
    assert ran["naive"]["requests"] == 48
    assert ran["saving"] == pytest.approx(ran["naive"]["tokens"] / ran["planned"]["tokens"])
    status = data("status", "out")
    assert status["complete"]
    assert [(r["done"], r["known"]) for r in status["requests"]] == [(8, 8), (8, 8)]
    shown = call("status", "out").stdout
    assert "[red]two" in shown
    assert "collect merge makes the table" in shown
    merged = data("merge", "out", "--out", "table")
    assert merged["configurations"] == 6
    assert LookupTable.load(folder / "table").name == "synthetic"
    again = call("run", "sweep.toml", "--out", "out").stdout
    assert "Complete: 0 requests now, 16 in all" in again
    assert "Saving, measured:" in again


def test_what_an_engine_prints_stays_out_of_the_report(folder: Path) -> None:
    noisy = "import os, subprocess\n" + SCRIPT.replace(
        "    if broken",
        "    print('chatter')\n    os.write(1, b'chatter\\n')\n"
        "    subprocess.run(['echo', 'chatter'], check=True)\n    if broken",
    )
    (folder / "cli_script.py").write_text(noisy)
    done = subprocess.run(
        [*PROGRAM, "collect", "run", "sweep.toml", "--out", "out", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert json.loads(done.stdout)["complete"]
    assert done.stderr.count("chatter") >= 3


@pytest.mark.usefixtures("folder")
def test_failures_end_with_a_line_and_what_was_drawn_stays() -> None:
    call("run", "sweep.toml", "--out", "warm")
    sys.modules["cli_script"].broken = True  # type: ignore[attr-defined]
    result = call("run", "sweep.toml", "--out", "out")
    assert isinstance(result.exception, AgentTTSError)
    assert "0 of 4 samples came back" in str(result.exception)
    status = call("status", "out").stdout
    assert "Errors noted: 2" in status
    merged = call("merge", "out", "--out", "t")
    assert "incomplete" in str(merged.exception)
    sys.modules["cli_script"].broken = False  # type: ignore[attr-defined]
    assert data("run", "sweep.toml", "--out", "out")["complete"]


@pytest.mark.usefixtures("folder")
def test_a_damaged_shard_is_named_and_drawn_again(folder: Path) -> None:
    call("run", "sweep.toml", "--out", "out")
    shard = min((folder / "out").rglob("[0-9]*.parquet"))
    shard.write_bytes(b"")
    result = call("run", "sweep.toml", "--out", "out")
    assert "damaged, set aside and drawn again: shards/solve/" in result.stderr
    assert "Complete: 2 requests now, 16 in all" in result.stdout


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "none.toml"), "no such file"),
        (("plan", "."), ". is a folder; a sweep is a TOML file"),
        (("run", "none.toml", "--out", "o"), "no such file"),
        (("status", "nowhere"), "holds no sweep"),
        (("merge", "nowhere", "--out", "t"), "holds no sweep"),
    ],
)
def test_wrong_use_gets_one_line(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert isinstance(result.exception, AgentTTSError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ('{kind="vllm"}', "the engine 'vllm' needs vLLM: pip install vllm"),
        ('{kind="none"}', "no engine named 'none'"),
        ('{kind="scripted", function="gone:answer"}', "no module named 'gone'"),
    ],
)
def test_an_engine_that_cannot_be_leaves_no_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, engine: str, message: str
) -> None:
    def none() -> str:
        raise PackageNotFoundError("vllm")

    monkeypatch.setattr("collectors.engines.vllm_offline._version", none)
    result = call("run", "sweep.toml", "--set", f"engine={engine}", "--out", "out")
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert not (folder / "out").exists()
    assert call("run", "sweep.toml", "--out", "out").exit_code == 0


def test_a_file_in_place_of_the_folder_is_wrong_use(folder: Path) -> None:
    (folder / "out").write_text("")
    for words in (("run", "sweep.toml"), ("merge", "sweep")):
        result = call(*words, "--out", "out")
        assert result.exit_code == 2
        assert "'out' is a file" in result.stderr
    assert (folder / "out").read_text() == ""
