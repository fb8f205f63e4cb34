"""Keys of the environment stay out of whatever a bench or a search leaves or prints."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from simulator.scrub import held_secrets, hidden, scrub
from tests.harness.helpers import Run

KEY = "an0ddKey/of+no-known=form"
LITERAL = "sk-0123456789abcdefINSOURCE"

LEAKY = f'''
import os

from agents import Agent
from simulator import Ask
from simulator.errors import SearchFinished


class Talks(Agent):
    """Puts the key into its reasons."""

    def __init__(self, card, rng):
        self.card, self.rng, self.told = card, rng, 0

    def ask(self):
        if self.told == 5:
            raise SearchFinished("done with " + os.environ["AGENTTTS_API_KEY"])
        cell = int(self.rng.choice(self.card.feasible_cells))
        return Ask(self.card.space.configuration(cell), why="key " + os.environ["AGENTTTS_API_KEY"])

    def tell(self, trial):
        self.told += 1


class Breaks(Talks):
    """Fails with the key in its message, and with another in the line that fails."""

    def tell(self, trial):
        raise ValueError("boom " + os.environ["AGENTTTS_API_KEY"])  # {LITERAL}
'''


@pytest.fixture
def leaky(own_agents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_agents / "leaky.py").write_text(LEAKY)
    monkeypatch.setenv("AGENTTTS_API_KEY", KEY)


def bench(agenttts: Run, table: Path, out: Path, agents: str, *words: str) -> str:
    """Run two seeds; all that was printed."""
    done = agenttts(
        "bench", "--agents", agents, "--tables", table, "--seeds", "2", "--trials", "8",
        "--out", out, *words,
    )  # fmt: skip
    assert done.returncode == (1 if "Breaks" in agents else 0), done.stderr
    return done.stdout + done.stderr


def everything(folder: Path) -> str:
    """All that a results folder holds, tables of Parquet as text."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            texts.append(json.dumps(pl.read_parquet(path).to_dicts(), default=str))
        elif path.is_file():
            texts.append(path.read_text(encoding="utf-8"))
    return "\n".join(texts)


@pytest.mark.usefixtures("leaky")
def test_a_traceback_of_a_failed_cell_holds_no_key(
    agenttts: Run, table_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    printed = bench(agenttts, table_folder, out, "leaky:Breaks,random")
    kept = everything(out)
    failed = (next((out / "failed").iterdir())).read_text()
    assert "ValueError: boom [key]" in failed
    assert "Traceback" in failed
    assert "boom [key]" in (out / "index.html").read_text()
    assert "boom [key]" in printed
    for secret in (KEY, LITERAL):
        assert secret not in kept
        assert secret not in printed


@pytest.mark.usefixtures("leaky")
def test_reasons_and_results_hold_no_key(agenttts: Run, table_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = bench(agenttts, table_folder, out, "leaky:Talks")
    why = pl.read_parquet(out / "trials.parquet")["why"]
    assert set(why) == {"key [key]"}
    assert KEY not in everything(out) + printed
    again = bench(agenttts, table_folder, out, "leaky:Talks")
    assert "2 already there" in again


@pytest.mark.usefixtures("leaky")
def test_a_search_prints_no_key(agenttts: Run, table_folder: Path) -> None:
    said = agenttts("search", table_folder, "--agent", "leaky:Talks", "--trials", "8", "--json")
    assert said.returncode == 0, said.stderr
    assert {trial["why"] for trial in json.loads(said.stdout)["trials"]} == {"key [key]"}
    shown = agenttts("search", table_folder, "--agent", "leaky:Talks", "--trials", "8")
    broken = agenttts("search", table_folder, "--agent", "leaky:Breaks")
    debug = agenttts("--debug", "search", table_folder, "--agent", "leaky:Breaks")
    assert "boom [key]" in broken.stderr
    assert "Traceback" in debug.stderr
    for done in (said, shown, broken, debug):
        assert KEY not in done.stdout + done.stderr
        assert LITERAL not in done.stdout + done.stderr


def test_what_is_a_secret_of_the_environment() -> None:
    held = held_secrets(
        {
            "OPENAI_API_KEY": "12345678-a", "HF_TOKEN": "12345678-b",
            "DB_PASSWORD": "12345678-c", "PATH": "/usr/bin:/bin",
            "TOKENIZERS_PARALLELISM": "whatever",
            "SHORT_KEY": "12345", "AWS_SECRET_ACCESS_KEY": "12345678-d",
        }
    )  # fmt: skip
    assert {value[-1] for value in held} == {"a", "b", "c", "d"}


def test_hidden_reaches_texts_at_any_depth_and_leaves_the_rest() -> None:
    data = {"a": ["x KEY12345", {"b": ("KEY12345", 1.5, None)}], "c": True}
    clean = {"a": ["x [key]", {"b": ["[key]", 1.5, None]}], "c": True}
    assert hidden(data, ["KEY12345"]) == clean
    assert hidden(data, []) == {"a": ["x KEY12345", {"b": ["KEY12345", 1.5, None]}], "c": True}


def test_an_address_with_a_password_is_scrubbed() -> None:
    assert scrub("no route to http://me:hunter2@host/v1") == "no route to http://[key]@host/v1"
