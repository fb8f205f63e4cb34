"""The page for users of language models says what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click

from agents import agent_class, available
from agents.llm import Thinking
from harness.commands.search import search
from harness.suite import make_suite

PAGE = Path(__file__).parents[3] / "docs" / "llm_agents.md"
TEXT = PAGE.read_text(encoding="utf-8")


def fences(language):
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_the_python_example_prints_what_its_comment_says():
    (code,) = fences("python")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == code.strip().rpartition("# ")[2]


def test_every_command_has_the_options_it_is_given():
    known = {name for p in search.params if isinstance(p, click.Option) for name in p.opts}
    for fence in fences("sh"):
        for line in fence.replace("\\\n", " ").splitlines():
            if "agenttts search" in line:
                assert set(re.findall(r"--[a-z-]+", line)) <= known


def test_the_suite_is_one():
    (text,) = fences("toml")
    suite = make_suite(tomllib.loads(text))
    assert [entry.shown for entry in suite.agents] == ["insight", "agenttts, my-model"]


def test_every_agent_and_every_setting_is_named():
    names = [name for name, info in available().items() if info.llm]
    assert all(f"| `{name}` |" in TEXT for name in names)
    options = {p.name for p in search.params}
    settings = set(Thinking.__annotations__) - options
    for name in names:
        settings |= {
            p for p in list(agent_class(name).__signature__.parameters)[2:] if p not in options
        }
    assert not [name for name in settings if f"`{name}`" not in TEXT and f"`{name}=" not in TEXT
                and f"set {name}=" not in TEXT]  # fmt: skip
