"""`agenttts compare`: what changed between two benches, and whether it is more than noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.compare import Change, Comparison


@click.command()
@click.argument("before", metavar="DIR1", type=click.Path(path_type=Path))
@click.argument("after", metavar="DIR2", type=click.Path(path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Also what did not change beyond noise.")
@common.json_option
def compare(before: Path, after: Path, show_all: bool, as_json: bool) -> None:
    """Compare the benches in DIR1 (before) and DIR2 (after), runs paired by seed.

    A change counts as more than noise where Wilcoxon's signed-rank test is below 0.05, adjusted for
    the number of comparisons; intervals are 90 % bootstraps of the mean difference. An agent that
    asks the same in every seed has no luck in it: any difference counts.
    """
    from harness.compare import compare as work_out

    found = work_out(before, after)
    if as_json:
        common.print_json(found.rows())
        return
    _print(found, show_all=show_all)


def _print(found: Comparison, *, show_all: bool) -> None:
    screen = common.console()
    if found.settings:
        screen.print("[bold]What was run differently[/bold]")
        for line in found.settings:
            screen.print(f"  {line}", markup=False)
        screen.print()
    about = "area, the normalised regret over a run; lower is better"
    screen.print(f"[bold]Each agent over all tables[/bold]: {about}")
    screen.print(_table(found.overall, overall=True, wide=screen.width >= 100))
    shown = found.changes if show_all else found.real
    if shown:
        screen.print("[bold]Where it changed[/bold]" if not show_all else "[bold]Everything[/bold]")
        screen.print(_table(shown, overall=False, wide=screen.width >= 100))
    counts = dict.fromkeys(("better", "worse", "noise", "same"), 0)
    for change in found.changes:
        counts[change.verdict] += 1
    screen.print(
        f"{len(found.changes)} comparisons: {counts['better']} better, {counts['worse']} worse, "
        f"{counts['noise']} within noise, {counts['same']} the same in every pair."
    )


def _table(changes: Sequence[Change], *, overall: bool, wide: bool) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("agent", overflow="fold", min_width=8)
    if not overall:
        shown.add_column("table", overflow="fold", min_width=10)
        shown.add_column("measure", min_width=6)
    levels = ("before", "after") if wide or overall else ()
    for heading in (*levels, "change", "90 %", "p"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    colours = {"better": "green", "worse": "red", "noise": "dim", "same": "dim"}
    for change in changes:
        where = () if overall else (
            f"{change.table} ({change.kind}) at {change.budget:.6g} {change.cost_model}",
            change.measure,
        )  # fmt: skip
        cells = (
            change.agent, *where, *(f"{getattr(change, level):.4f}" for level in levels),
            f"{change.mean:+.3f}", f"{change.low:+.3f}, {change.high:+.3f}",
            "–" if math.isnan(change.p) else f"{change.p:.2g}",
        )  # fmt: skip
        shown.add_row(*map(Text, cells), Text(change.verdict, style=colours[change.verdict]))
    return shown
