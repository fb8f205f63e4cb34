"""Every fence of every docs page is run, parsed, or (where it needs more) held to the options."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from collectors.sweep import SweepFile
from harness.suite import make_suite
from simulator import Task
from tests.docs.fences import DOCS, PAGES, Fence, check_command, command_lines, fences, openings

ROOT = DOCS.parent
ALL = [fence for page in PAGES for fence in fences(page)]
LANGUAGES = {"sh", "python", "toml", "json", "text", "yaml"}


def of(language: str) -> list[Fence]:
    return [fence for fence in ALL if fence.language == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_fence_is_read(page: Path) -> None:
    assert openings(page) == 2 * len(fences(page)), "a fence without language, or with other marks"
    assert {fence.language for fence in fences(page)} <= LANGUAGES


def test_there_is_something_to_run() -> None:
    assert len([fence for fence in of("sh") if fence.is_run]) >= 12
    assert len(of("python")) >= 8
    assert len(of("toml")) >= 5


@pytest.mark.parametrize("fence", of("sh"), ids=str)
def test_shell_fence_gives_options_that_exist(fence: Fence) -> None:
    for words in command_lines(fence.text):
        check_command(words)


def test_an_unknown_option_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        check_command(["search", "2wiki", "--agent", "random", "--no-such-option"])
    with pytest.raises(click.UsageError):
        check_command(["collect", "nothing"])
    text = 'for s in 0 1; do\n  agenttts search t --agent "a b" \\\n --json > x; done'
    assert command_lines(text) == [["search", "t", "--agent", "a b", "--json"]]


@pytest.mark.parametrize("fence", of("toml"), ids=str)
def test_toml_fence_is_what_it_says(fence: Fence) -> None:
    data = tomllib.loads(fence.text)
    if "engine" in data:
        SweepFile.from_mapping(data)
    elif "agents" in data or "seeds" in data:
        make_suite(data)
    elif "kind" in data and "stages" in data:
        Task.from_mapping(data)
    elif "project" in data:
        assert data["project"]["name"]
    else:
        pytest.fail(f"{fence}: neither a sweep, nor a suite, a task or a package")


def _saved(fence: Fence) -> bool:
    return bool(re.fullmatch(r"[\w./-]+\.\w+", fence.title))


def _python(source: str, shared: dict[str, object]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, "fence", "exec"), shared)  # noqa: S102


@pytest.mark.parametrize(
    "page", sorted({f.page for f in of("python")}), ids=lambda page: str(page.relative_to(DOCS))
)
def test_python_fences_without_commands_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the page, one namespace, its files saved; those that read what a command
    wrote are left to `test_page_runs`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    shared: dict[str, object] = {"__name__": "fence"}
    try:
        for fence in fences(page):
            if _saved(fence):
                (tmp_path / fence.title).write_text(fence.text, encoding="utf-8")
            if fence.language == "python" and "open(" not in fence.text:
                _python(fence.text, shared)
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if fences(p)],
                         ids=lambda page: str(page.relative_to(DOCS)))  # fmt: skip
def test_page_runs(page: Path, tmp_path: Path) -> None:
    """The whole page as a reader works through it: files saved, commands and programs run."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]),
        "AGENTTTS_CACHE": str(tmp_path.parent / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    python = ""  # what a fence defines, those after it use
    for fence in fences(page):
        if _saved(fence):
            (tmp_path / fence.title).write_text(fence.text, encoding="utf-8")
        if fence.language == "sh" and fence.is_run:
            words = ["bash", "-euo", "pipefail", "-c", fence.text]
        elif fence.language == "python":
            python += fence.text
            words = [sys.executable, "-c", python]
        else:
            continue
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{fence}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
