"""`agenttts tables`: list, show, verify and import lookup tables.

Another module adds a command by one line in `COMMANDS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands import common
from harness.lazy import Lazy, LazyGroup

if TYPE_CHECKING:
    from simulator import LookupTable

COMMANDS: dict[str, Lazy] = {
    "make": Lazy("collectors.landscape.cli:make", "Draw a new modelled landscape from a seed."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def tables() -> None:
    """List, show, verify and import lookup tables."""


@tables.command("list")
@common.json_option
def list_tables(as_json: bool) -> None:
    """List the shipped tables."""
    from lookup_tables import names

    rows = [_brief(common.open_table(name)) for name in names()]
    if as_json:
        common.print_json(rows)
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    listing = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    listing.add_column("table", no_wrap=True)
    listing.add_column("kind", no_wrap=True)
    listing.add_column("title", overflow="fold")
    listing.add_column("stages", justify="right", no_wrap=True)
    listing.add_column("cells", justify="right", no_wrap=True)
    listing.add_column("metric", no_wrap=True)
    for row in rows:
        listing.add_row(*(escape(str(row[key])) for key in (
            "name", "kind", "title", "stages", "configurations", "metric"
        )))  # fmt: skip
    common.console().print(listing)


@tables.command()
@click.argument("name")
@click.option("--budget", type=float, help="Budget; by default the table's own, in units.")
@click.option("--cost", default="units", show_default=True, metavar="MODEL", help="Cost model.")
@common.json_option
def show(name: str, budget: float | None, cost: str, as_json: bool) -> None:
    """Show the table NAME (a shipped name or a folder): kind, card, stages, optimum."""
    table = common.open_table(name)
    data = _full(table, budget, cost)
    if as_json:
        common.print_json(data)
        return
    _print_full(data)


@tables.command()
@click.argument("which", metavar="[NAME|PATH ...]", nargs=-1)
@common.json_option
def verify(which: tuple[str, ...], as_json: bool) -> None:
    """Check tables byte by byte and cell by cell; without names, every shipped table."""
    from lookup_tables import find, names
    from simulator.verify import verify as verify_table

    rows: list[dict[str, Any]] = []
    for name in which or tuple(names()):
        findings = [str(finding) for finding in verify_table(find(name))]
        rows.append({"name": name, "ok": not findings, "findings": findings})
    if as_json:
        common.print_json(rows)
    for row in rows:
        if row["ok"] and not as_json:
            click.echo(f"{row['name']}: ok")
        for finding in row["findings"]:
            click.echo(f"agenttts: {row['name']}: {finding}", err=True)
    if not all(row["ok"] for row in rows):
        click.get_current_context().exit(1)


@tables.command("import")
@click.argument("csv", type=click.Path(path_type=Path))
@click.option(
    "--task", required=True, type=click.Path(path_type=Path), help="task.toml of the table."
)
@click.option("--out", required=True, type=common.Folder(), help="Folder to make; must not exist.")
def import_table(csv: Path, task: Path, out: Path) -> None:
    """Make a table folder of a CSV with the columns of scores.parquet."""
    from simulator.table_io import import_csv

    table = import_csv(csv, task, out)
    click.echo(f"{out}: {table.name} ({table.kind}), {_count(table)} configurations")


def _count(table: LookupTable) -> int:
    split = "train" if "train" in table.splits else next(iter(table.splits))
    return int(table.present(split).sum())


def _brief(table: LookupTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "kind": table.kind,
        "title": table.task.title,
        "stages": len(table.task.stages),
        "configurations": _count(table),
        "metric": table.task.metric,
        "default_budget": table.task.default_budget,
        "splits": sorted(table.splits),
        "outcomes": any(split.outcomes is not None for split in table.splits.values()),
    }


def _full(table: LookupTable, budget: float | None, cost: str) -> dict[str, Any]:
    from simulator import Simulator

    simulator = Simulator(table, budget, cost=cost)
    optimum = simulator.optimum
    return {
        **_brief(table),
        "description": table.task.description,
        "metrics": list(table.task.metrics),
        "stages": [
            {
                "name": stage.name,
                "description": stage.description,
                "models": [model.name for model in stage.models],
                "parameters": [model.parameters for model in stage.models],
                "samples": list(stage.samples),
                "prompt_tokens": stage.prompt_tokens,
                "generated_tokens": stage.generated_tokens,
            }
            for stage in table.task.stages
        ],
        "cells": table.space.n_cells,
        "budget": simulator.budget,
        "cost_model": simulator.cost_model.name,
        "feasible": len(simulator.feasible_cells),
        "optimum": optimum.score,
        "optimum_configuration": str(optimum.configuration),
        "optimum_cost": optimum.cost,
        "within_1_percent": simulator.near_optimal(0.01),
        "card": table.card,
    }


def _print_full(data: dict[str, Any]) -> None:
    from rich.markdown import Markdown
    from rich.markup import escape

    screen = common.console()
    title = f": {escape(data['title'])}" if data["title"] else ""
    screen.print(f"[bold]{escape(data['name'])}[/bold] ([bold]{data['kind']}[/bold]){title}")
    holes = data["cells"] - data["configurations"]
    screen.print(
        f"{data['configurations']:,} configurations of {data['cells']:,} cells ({holes:,} holes); "
        f"splits {', '.join(data['splits'])}; metric {escape(data['metric'])}"
    )
    for stage in data["stages"]:
        screen.print(
            f"\n[bold]{escape(stage['name'])}[/bold] {stage['prompt_tokens']} prompt and "
            f"{stage['generated_tokens']} generated tokens"
        )
        screen.print(f"  samples: {', '.join(map(str, stage['samples']))}")
        for model, parameters in zip(stage["models"], stage["parameters"], strict=True):
            screen.print(f"  {escape(model)} ({parameters / 1e9:.3g}e9 parameters)")
    screen.print(
        f"\nat a budget of {data['budget']:.6g} {data['cost_model']}: {data['feasible']:,} "
        f"feasible configurations, {data['within_1_percent']:,} within 1 % of the optimum"
    )
    screen.print(
        f"optimum {data['optimum']:.6g} ({data['kind']}) at {escape(data['optimum_configuration'])}"
        f", cost {data['optimum_cost']:.6g}"
    )
    if data["card"]:
        screen.print()
        screen.print(Markdown(data["card"]))
