"""What tables and agents say is text: it cannot steer the terminal that shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from simulator.table_io import save
from tests.harness.helpers import Run, toy_table

STEERS = "\x1b[31mred\x1b]0;owned\x07 \x9b2J"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    made = toy_table()
    task = made.task.model_copy(update={"title": f"A table {STEERS}"})
    save(dataclasses.replace(made, task=task), tmp_path / "toy", card=f"# toy\n\nA card {STEERS}\n")
    return tmp_path / "toy"


def test_a_title_and_a_card_are_shown_without_control_characters(
    agenttts: Run, table: Path
) -> None:
    done = agenttts("tables", "show", table)
    assert done.returncode == 0, done.stderr
    assert "A table [31mred]0;owned 2J" in done.stdout
    assert "A card [31mred]0;owned 2J" in done.stdout
    assert all(c.isprintable() or c == "\n" for c in done.stdout)


def test_what_an_agent_raises_is_shown_without_control_characters(
    agenttts: Run, table: Path, own_agents: Path
) -> None:
    source = f"from agents.random_search import RandomSearch\n\n\nclass Steers(RandomSearch):\n    def ask(self):\n        raise ValueError({STEERS!r})\n"  # noqa: E501
    (own_agents / "steers.py").write_text(source)
    words = ("--tables", table, "--seeds", "1", "--trials", "2", "--out", table.parent / "out")
    done = agenttts("bench", "--agents", "steers:Steers", *words)
    assert done.returncode == 1
    one = agenttts("search", table, "--agent", "steers:Steers")
    for shown in (done.stderr, one.stderr):
        assert "[31mred ]0;owned" in shown
        assert not {"\x1b", "\x07", "\x9b"} & set(shown)
