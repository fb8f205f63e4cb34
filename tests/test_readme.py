"""Every command and fence of the README is run, in its order, in one empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in FENCES if language == "python"]
COMMANDS = [
    line.split("#")[0].strip()
    for language, text in FENCES
    if language == "sh"
    for line in text.splitlines()
    if line.strip()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    agent = next(text for text in PYTHON if "class Climber" in text)
    (made / "mine.py").write_text(agent, encoding="utf-8")
    return made


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_every_fence_is_of_a_kind_that_is_run() -> None:
    assert {language for language, _ in FENCES} == {"sh", "python"}
    assert len(PYTHON) >= 2
    assert {command.split()[0] for command in COMMANDS} == {"make", "agenttts"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_target_exists(command: str) -> None:
    target = command.removeprefix("make ")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("agenttts ")])
def test_command_runs(command: str, folder: Path) -> None:
    words = re.findall(r'"([^"]*)"|(\S+)', command)
    arguments = [quoted or plain for quoted, plain in words][1:]
    done = run([str(Path(sys.executable).parent / "agenttts"), *arguments], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("source", PYTHON, ids=range(len(PYTHON)))
def test_python_fence_runs(source: str, folder: Path) -> None:
    done = run([sys.executable, "-c", source], folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
