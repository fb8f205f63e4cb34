"""`agenttts report`: the leaderboard and page of a finished bench, made again from its files."""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands import common


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--default",
    "defaults",
    nargs=2,
    multiple=True,
    metavar="TABLE CONFIG",
    help="A table's default configuration, which payback is reckoned against; may be repeated.",
)
@common.json_option
def report(directory: Path, defaults: tuple[tuple[str, str], ...], as_json: bool) -> None:
    """Write summary.md and index.html of DIR anew, and print its leaderboard."""
    from harness.report import write_report
    from simulator import Configuration

    given = {table: Configuration.parse(text) for table, text in defaults}
    results = write_report(directory, given)
    if as_json:
        common.print_json(results.summary.to_dicts())
        return
    from harness.leaderboard import print_boards

    print_boards(
        common.console(), results.boards, results.notes, failed=results.about.get("failed", ())
    )
    click.echo(f"wrote {directory / 'summary.md'} and {directory / 'index.html'}", err=True)
