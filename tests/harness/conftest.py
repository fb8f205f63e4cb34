"""Fixtures of the harness's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import LookupTable
from simulator.table_io import save
from tests.harness.helpers import AGENTS, Run, program, toy_table


@pytest.fixture
def table() -> LookupTable:
    return toy_table()


@pytest.fixture
def table_folder(tmp_path: Path) -> Path:
    """A table on disk."""
    folder = tmp_path / "tables" / "toy"
    folder.parent.mkdir()
    save(toy_table(outcomes=True), folder, card="# toy\n\nMade for tests.\n")
    return folder


@pytest.fixture
def own_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module `own_agents`, importable here and in processes started here."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own_agents.py").write_text(AGENTS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "own_agents", raising=False)
    yield folder
    sys.modules.pop("own_agents", None)


@pytest.fixture
def agenttts(tmp_path: Path) -> Run:
    """Run the program in a process of its own."""

    def run(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
        return subprocess.run(
            program(*words), capture_output=True, text=True, env=environment, timeout=120,
            check=False, **{"cwd": tmp_path, **options},
        )  # fmt: skip

    return run
