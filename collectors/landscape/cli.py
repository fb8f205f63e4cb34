"""`agenttts tables make`: a new landscape as a table's folder."""

from __future__ import annotations

from pathlib import Path

import click

MAX_OUTCOMES = 3_000_000
"""Outcomes are written where there are no more than so many: a folder stays within a few MB."""


@click.command()
@click.option(
    "--like", metavar="NAME", help="A modelled task to resemble; without it, a wholly random task."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to make; must not exist.",
)
@click.option(
    "--outcomes/--no-outcomes", default=True, help="Whether to keep outcomes per example."
)
def make(like: str | None, seed: int, out: Path, outcomes: bool) -> None:
    """Draw a new landscape: a modelled table that the same seed makes again, byte for byte.

    Seeds 0 to 99 are for developing agents; 1000000 to 1000999 are reserved for judging them.
    """
    table = write_made(like, seed, out, outcomes=outcomes)
    click.echo(table)


def write_made(like: str | None, seed: int, out: Path, *, outcomes: bool = True) -> str:
    """Make and save; returns one line that says what was made."""
    import numpy as np

    from collectors.landscape import supply
    from collectors.landscape.cards import made_card
    from simulator.table_io import save

    table = supply.make(like, seed, outcomes=False)
    within = supply.cell_units(table.task) <= table.task.default_budget
    examples = sum(int(split.examples[0]) for split in table.splits.values())
    kept = outcomes and int(within.sum()) * examples <= MAX_OUTCOMES
    if kept:
        table = supply.make(like, seed)
    best = int(np.flatnonzero(within)[np.argmax(table.scores()[within])])
    card = made_card(table.name, like, _command(like, seed), kept)
    save(table, out, card=card, provenance=_provenance(like, seed))
    return (
        f"{out}: {table.name} (modelled), {len(table.task.stages)} stages, "
        f"{table.space.n_cells:,} configurations, {int(within.sum()):,} within "
        f"{table.task.default_budget:g} units; optimum {table.scores()[best]:.4g} at "
        f"{table.space.configuration(best)}"
    )


def _command(like: str | None, seed: int) -> str:
    return f"agenttts tables make {f'--like {like} ' if like else ''}--seed {seed}"


def _provenance(like: str | None, seed: int) -> dict[str, object]:
    from importlib.metadata import version

    from collectors.landscape.supply import SERVING

    return {
        "source": "Drawn from the prior around the fits in collectors/landscape"
        if like
        else "Drawn from the prior in collectors/landscape",
        "made": {
            "by": _command(like, seed),
            "engine": "none: nothing was run",
            "seconds": SERVING.describe(),
            "numbers": f"numpy {version('numpy')}",
            "writer": f"polars {version('polars')}",
        },
        "licence": "Apache-2.0; made by this project's own model",
    }
