"""The code fences of the docs pages, and what a shell fence says to `agenttts`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))

NEEDS = "Needs "
"""A shell fence whose title begins so is shown with that title, and checked instead of run."""

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]*)\")?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Fence:
    """One fence: `title` names the file that a reader saves it as, or says what running needs."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(DOCS)}:{self.line}"

    @property
    def is_run(self) -> bool:
        return not self.title.startswith(NEEDS)


def fences(page: Path) -> list[Fence]:
    """The fences of a page, in order."""
    source = page.read_text(encoding="utf-8")
    return [
        Fence(
            page,
            source[: found.start()].count("\n") + 1,
            found["language"],
            found["title"] or "",
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
        )
        for found in _FENCE.finditer(source)
    ]


def openings(page: Path) -> int:
    """How many lines of a page open or close a fence: twice its number of fences."""
    return len(re.findall(r"^ *(?:```|~~~)", page.read_text(encoding="utf-8"), flags=re.MULTILINE))


def command_lines(text: str) -> list[list[str]]:
    """The words of each `agenttts` command in a shell fence, the program's name left out; a
    variable of the shell stands for a number."""
    joined = re.sub(r"\$\w+", "0", re.sub(r"\\\n\s*", " ", text))
    found = re.findall(r"^(?:.*[;|&] *| *)?(?<![\w./-])agenttts (.*)$", joined, flags=re.MULTILINE)
    return [_words(line) for line in found]


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set(";|&>"):
            break
        words.append(word)
    return words


def check_command(words: list[str]) -> None:
    """Parse a command line by the program's own commands; nothing runs.

    Raises `click.UsageError` where a command, an option or a value is not known.
    """
    from harness.cli import cli

    command: click.Command = cli
    rest = list(words)
    path = "agenttts"
    while True:
        # A command keeps the help option that it first makes, so it must be the program's own.
        context = click.Context(command, info_name=path, help_option_names=["-h", "--help"])
        if isinstance(command, click.Group):
            name, child, rest = command.resolve_command(context, rest)
            assert child is not None, words
            command, path = child, f"{path} {name}"
            continue
        command.parse_args(context, rest)
        return
