"""The house rules that no linter knows: who may import whom, how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "simulator": set(),
    "lookup_tables": {"simulator"},
    "collectors": {"simulator"},
    "agents": {"simulator"},
    "harness": {"simulator", "agents", "lookup_tables"},
}
"""Collectors write tables, tables feed the simulator, agents search it, the harness runs them."""

REACH_INTO_COLLECTORS = {
    "harness/commands/collect.py",
    "harness/commands/make.py",
}
"""The commands that start a collection; nothing else of the harness knows of collectors."""

MAX_LINES = 420
LONGER = {"simulator/kernels.py"}  # all Numba kernels are in one file
"""Files that are allowed to be longer, each with a reason."""

FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "cloudpickle", "joblib.dump"}

MODULES = sorted(
    path.relative_to(ROOT).as_posix() for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py")
)


def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), filename=module)


def imported(module: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever in the file it stands."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""


def test_there_are_modules() -> None:
    assert "simulator/kernels.py" in MODULES
    assert {module.split("/")[0] for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_along_the_arrows(module: str) -> None:
    room = module.split("/")[0]
    allowed = MAY_IMPORT[room] | {room}
    if module in REACH_INTO_COLLECTORS:
        allowed |= {"collectors"}
    for line, name in imported(module):
        target = name.split(".")[0]
        assert target not in MAY_IMPORT.keys() - allowed, f"{module}:{line} imports {name}"
        assert target != "tests", f"{module}:{line} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_short(module: str) -> None:
    lines = len((ROOT / module).read_text(encoding="utf-8").splitlines())
    assert module in LONGER or lines <= MAX_LINES, f"{module} has {lines} lines"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_unpickled_or_run_from_text(module: str) -> None:
    for line, name in imported(module):
        assert name.split(".")[0] not in FORBIDDEN_MODULES, f"{module}:{line} imports {name}"
    for node in ast.walk(tree(module)):
        if not isinstance(node, ast.Call):
            continue
        where = f"{module}:{node.lineno}"
        if isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"{where} calls {node.func.id}"
        for keyword in node.keywords:
            pickles = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            assert not (keyword.arg == "allow_pickle" and pickles), f"{where} allows pickles"
            assert not (keyword.arg == "shell" and pickles), f"{where} runs a shell"


@pytest.mark.parametrize("module", MODULES)
def test_kernels_are_in_one_file(module: str) -> None:
    if module != "simulator/kernels.py":
        assert not [line for line, name in imported(module) if name.split(".")[0] == "numba"]
