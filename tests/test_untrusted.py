"""Ways in which data could become code, looked for in the source: none is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("simulator", "lookup_tables", "collectors", "agents", "harness")
MODULES = sorted(
    path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")
)

LOADERS = {"read_pickle", "to_pickle", "unpickle", "extractall"}
"""Functions that load objects or unpack archives; none is called, whatever holds it."""

MUST_BE = {"allow_pickle": False, "shell": False, "trust_remote_code": False}
"""Keywords that are given one value or not at all."""

NOT_ESCAPED = {
    "agents/llm/templates.py": "prompts are plain text for a model",
    "collectors/landscape/report.py": "a Markdown page of the project's own figures",
}
"""Where Jinja2 does not escape, and why that is right."""

MARKS_SAFE = {"harness/report/assets.py"}
"""Where text is declared to be safe HTML: the package's own files, and what was escaped before."""


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """The last part of what is called, and the call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func
            if isinstance(name, ast.Attribute):
                yield name.attr, node
            elif isinstance(name, ast.Name):
                yield name.id, node


def ways_in(source: str, module: str = "") -> list[str]:
    """What a module does that it must not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"imports {n}" for n in names if n.split(".")[0] in {"yaml", "pickle", "dill"}]
    for name, call in calls(source):
        given = {k.arg: k.value for k in call.keywords if k.arg}
        if name in LOADERS:
            found.append(f"{call.lineno}: calls {name}")
        if name in {"system", "popen"} and ast.unparse(call.func).startswith("os."):
            found.append(f"{call.lineno}: calls os.{name}")
        if name == "load" and isinstance(call.func, ast.Attribute):
            owner = ast.unparse(call.func.value)
            if owner in {"joblib", "torch", "yaml"}:
                found.append(f"{call.lineno}: calls {owner}.load")
            if owner in {"np", "numpy"} and "allow_pickle" not in given:
                found.append(f"{call.lineno}: np.load without allow_pickle=False")
        for keyword, wanted in MUST_BE.items():
            value = given.get(keyword)
            if value is not None and not (
                isinstance(value, ast.Constant) and value.value is wanted
            ):
                found.append(f"{call.lineno}: {keyword}={ast.unparse(value)}")
        escapes = ast.unparse(given.get("autoescape", ast.Constant(None))) == "True"
        if name == "Environment" and not escapes and module not in NOT_ESCAPED:
            found.append(f"{call.lineno}: Jinja2 without autoescape")
        if name == "Markup" and module not in MARKS_SAFE:
            found.append(f"{call.lineno}: Markup")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_data_becomes_code(module: str) -> None:
    assert ways_in((ROOT / module).read_text(encoding="utf-8"), module) == []


@pytest.mark.parametrize(
    "source",
    [
        "import yaml", "from pickle import loads", "joblib.load(path)", "torch.load(path)",
        "np.load(path)", "np.load(path, allow_pickle=True)", "run(words, shell=True)",
        "Environment(loader=x)", "Environment(autoescape=False)", "Markup(text)",
        "os.system('x')", "pd.read_pickle(path)", "load_dataset(x, trust_remote_code=True)",
        "archive.extractall()", "np.save(path, x, allow_pickle=yes)",
    ],
)  # fmt: skip
def test_each_way_in_is_noticed(source: str) -> None:
    assert ways_in(source)


def test_what_is_excused_is_still_there() -> None:
    for module in (*NOT_ESCAPED, *MARKS_SAFE):
        source = (ROOT / module).read_text(encoding="utf-8")
        assert "Environment(" in source or "Markup(" in source, f"{module} needs no excuse"
