"""`agenttts import-trials`: somebody else's search beside the runs of a bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands import common

if TYPE_CHECKING:
    from harness.foreign import Steps


@click.command("import-trials")
@click.argument("source")
@click.option("--table", required=True, help="The table searched: a shipped name or a folder.")
@click.option("--out", required=True, type=common.Folder(), help="A bench's folder, or a new one.")
@click.option("--study", "studies", multiple=True, metavar="NAME", help="Only this study; repeats.")
@click.option("--label", default="", help="What results call it, before ' (imported)'.")
@click.option(
    "--steps",
    type=click.Choice(["refuse", "whole", "examples"]),
    default="refuse",
    show_default=True,
    help="What steps that a study reported to a pruner are.",
)
@click.option("--budget", "budgets", type=float, multiple=True, help="In a new folder: budgets.")
@click.option("--cost", metavar="MODEL", help="In a new folder: cost model of the budget.")
@click.option("--trials", type=click.IntRange(min=1), help="In a new folder: cut runs there.")
@common.json_option
def import_trials(
    source: str,
    table: str,
    out: Path,
    studies: tuple[str, ...],
    label: str,
    steps: Steps,
    budgets: tuple[float, ...],
    cost: str | None,
    trials: int | None,
    as_json: bool,
) -> None:
    """Replay what another search asked, and add it to the results in DIR, labelled as imported.

    SOURCE is an Optuna study (sqlite:///FILE, or its SQLite or journal file), or a .csv or
    .parquet with the columns of scores.parquet or a column asked. Each study, or each value of a
    column seed, is a run. Only what was asked is taken: scores, costs and seconds come from the
    table.
    """
    from harness.importing import import_trials as run

    common.announce_compiling()
    done = run(
        source, table, out, studies=studies, label=label, steps=steps, budgets=budgets or None,
        cost=cost, trials=trials, command=common.command_line("import-trials"),
    )  # fmt: skip
    if as_json:
        common.print_json(
            {
                "label": done.imported.label,
                "table": done.imported.table,
                "source": done.imported.source,
                "runs": len(done.imported.runs),
                "asks": sum(map(len, done.imported.runs)),
                "left_out": done.imported.left_out,
                "summary": done.summary.to_dicts(),
            }
        )
        return
    from harness.leaderboard import print_boards
    from harness.report import read_results

    read = read_results(out)
    print_boards(common.console(), read.boards, read.notes)
    click.echo(f"{done.note}; results in {out}", err=True)
