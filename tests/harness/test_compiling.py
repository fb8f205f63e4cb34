"""First use says that it compiles, on standard error alone; later uses say nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.helpers import Run, program

WORDS = ("replay", "math", "--config", "solve=Qwen2.5-3B:2", "--json")


@pytest.fixture(scope="module")
def first_use(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A cache of kernels, and the command that compiled them into it."""
    cache = tmp_path_factory.mktemp("kernels") / "cache"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        program(*WORDS), capture_output=True, text=True, check=False, timeout=300,
        env=environment | {"NUMBA_CACHE_DIR": str(cache)},
    )  # fmt: skip
    return cache, done


@pytest.fixture
def compiled(
    tmp_path: Path,
    first_use: tuple[Path, subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The same cache as the first use left it, which this process and those it starts use."""
    cache = Path(shutil.copytree(first_use[0], tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    return cache


def test_said_once_and_never_on_standard_output(
    first_use: tuple[Path, subprocess.CompletedProcess[str]], compiled: Path, agenttts: Run
) -> None:
    first, second = first_use[1], agenttts(*WORDS)
    assert first.returncode == second.returncode == 0
    assert "compiling the kernels, once per machine" in first.stderr
    assert second.stderr == ""
    assert json.loads(first.stdout) == json.loads(second.stdout)


def test_not_said_again_for_a_source_written_again_as_it_was(compiled: Path, agenttts: Run) -> None:
    for index in compiled.rglob("*.nbi"):
        os.utime(index, (0, 0))
    assert "compiling" in agenttts(*WORDS).stderr
    assert agenttts(*WORDS).stderr == ""


def test_works_where_nothing_can_be_kept(agenttts: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/no-such-folder")
    done = agenttts(*WORDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["feasible"] is True


def test_nothing_is_said_where_compiling_is_switched_off(
    agenttts: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = agenttts(*WORDS)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_compiled_is_all_that_a_search_needs(compiled: Path) -> None:
    """After compiling, a search of a shipped table finds every signature that it calls."""
    code = """
from simulator import kernels
from simulator.compiling import compile_kernels, compiled

def signatures():
    found = {k: list(v.signatures) for k, v in vars(kernels).items() if hasattr(v, "signatures")}
    return {name: known for name, known in found.items() if known}

assert compile_kernels(lambda line: None) and compiled()
before = signatures()
from harness import run_search
from lookup_tables import load
run_search(load("math"), "random", trials=30)
for name in ("2wiki-cpu", "puzzles-majority-cpu"):
    run_search(load(name), "random", trials=3, noise="bootstrap")
assert before and signatures() == before, set(signatures()) ^ set(before)
"""
    for index in compiled.rglob("*.nbi"):
        os.utime(index, (0, 0))  # so that it goes through all of it again, and fast
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
