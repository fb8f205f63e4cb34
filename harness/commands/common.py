"""What several commands share: options, tables by name or folder, output."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from simulator import Configuration, LookupTable, Trial

PIPED_WIDTH = 120
"""Columns of what goes to a file or a pipe, where no terminal says how many it has."""

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Folder(click.Path):
    """A folder to write into, there or not; an empty name and a file are wrong use."""

    name = "folder"

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or click's error for wrong use."""
        if not str(value).strip():
            self.fail("the name of the folder is empty", param, ctx)
        return super().convert(value, param, ctx)


def search_options(command: F) -> F:
    """Options of how a table answers, named as the simulator's keywords."""
    options = (
        click.option("--budget", type=float, help="Budget; by default the table's own, in units."),
        click.option(
            "--cost",
            default="units",
            show_default=True,
            metavar="MODEL",
            help="Cost model of the budget: units, flops, tokens, dollars or seconds.",
        ),
        click.option(
            "--match",
            default="nearest",
            show_default=True,
            metavar="RULE",
            help="What answers off the grid: nearest, exact, paper or interpolate.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def open_table(name_or_folder: str) -> LookupTable:
    """A shipped table by name, or a table's folder; raises as `lookup_tables.load`."""
    from lookup_tables import load

    return load(name_or_folder)


def find_own_modules() -> None:
    """Let `module:Class` be found in the current folder, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def print_json(data: Any) -> None:
    """Print JSON with two spaces; numbers that JSON lacks become null."""
    from simulator.scrub import held_secrets, hidden

    shown = hidden(plain(data), held_secrets())
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False))


def plain(data: Any) -> Any:
    """Data as JSON can hold it: nan and infinity are null, numpy numbers are numbers."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if hasattr(data, "item") and not isinstance(data, str | bytes):
        data = data.item()
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def text_of(configuration: Configuration | None) -> str | None:
    """`stage=MODEL:SAMPLES,...`, as `--config` takes it; None stays None."""
    return None if configuration is None else str(configuration)


def trial_row(trial: Trial) -> dict[str, Any]:
    """A trial as `search --json` lists it."""
    return {
        "index": trial.index,
        "asked": text_of(trial.asked),
        "answered": text_of(trial.answered),
        "feasible": trial.feasible,
        "reason": trial.reason,
        "score": trial.score,
        "metrics": dict(trial.metrics),
        "cost": trial.cost,
        "seconds": trial.seconds,
        "clock": trial.clock,
        "repeated": trial.repeated,
        "examples": trial.examples,
        "why": trial.why,
    }


def console(*, stderr: bool = False) -> Console:
    """A Rich console; text from tables must be escaped before it is printed as markup.

    Control characters in texts are left out: a table's title must not steer the terminal.
    """
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        def render(self, *arguments: Any, **keywords: Any) -> Iterator[Segment]:
            for segment in super().render(*arguments, **keywords):
                if segment.control or all(c.isprintable() or c == "\n" for c in segment.text):
                    yield segment
                else:
                    kept = "".join(c for c in segment.text if c.isprintable() or c == "\n")
                    yield Segment(kept, segment.style)

    screen = Plain(stderr=stderr, highlight=False)
    if not screen.is_terminal and "COLUMNS" not in os.environ:
        screen.width = PIPED_WIDTH
    return screen


def command_line(default: str) -> str:
    """The command line as it was given, to be pasted into a shell."""
    words = click.get_current_context().obj or (default,)
    return " ".join(["agenttts", *map(shlex.quote, words)])


def announce_compiling() -> None:
    """Say on standard error that the kernels are compiled now, where they have not been yet."""
    from simulator.compiling import compile_kernels

    compile_kernels(lambda line: click.echo(line, err=True))
