"""`python -m collectors.landscape fit | tables | report`."""

from __future__ import annotations

from pathlib import Path

import click

from collectors.landscape.published import REFERENCE
from collectors.landscape.refit import FITS, refit
from collectors.landscape.tables import FOLDER, write_all

_folder = click.Path(path_type=Path, file_okay=False)


@click.group()
def main() -> None:
    """Fit the landscapes to published figures, make the modelled tables, write the fit report."""


@main.command()
@click.option("--source", type=_folder, default=REFERENCE, show_default=True, help="Figures (CSV).")
@click.option("--out", type=_folder, default=FITS, show_default=True, help="Where fits go.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def fit(source: Path, out: Path, jobs: int) -> None:
    """Fit every task again and choose the draws; some minutes."""
    refit(source, out, jobs)


@main.command()
@click.option("--out", type=_folder, default=FOLDER, show_default=True, help="Where tables go.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def tables(out: Path, jobs: int) -> None:
    """Make every shipped table from the committed fits."""
    for path in write_all(out, jobs):
        click.echo(str(path))


@main.command()
@click.option("--out", type=_folder, default=None, help="Folder of the page (default: docs).")
def report(out: Path | None) -> None:
    """Write the fit report and its plots."""
    from collectors.landscape.report import write_report

    click.echo(str(write_report(out)))


if __name__ == "__main__":
    main()
