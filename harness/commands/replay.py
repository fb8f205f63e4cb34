"""`agenttts replay`: one trial, answered from a table."""

from __future__ import annotations

import click

from harness.commands import common


@click.command()
@click.argument("table")
@click.option(
    "--config",
    "configuration",
    required=True,
    metavar="STAGE=MODEL:SAMPLES,...",
    help="One model and sample count for each stage.",
)
@common.search_options
@click.option("--split", default="train", show_default=True, metavar="SPLIT", help="train or test.")
@common.json_option
def replay(
    table: str,
    configuration: str,
    budget: float | None,
    cost: str,
    match: str,
    split: str,
    as_json: bool,
) -> None:
    """Show what TABLE (a shipped name or a folder) answers for one configuration."""
    from simulator import Configuration, Simulator

    loaded = common.open_table(table)
    asked = Configuration.parse(configuration)
    loaded.space.indices(asked)  # raises before anything is compiled
    simulator = Simulator(loaded, budget, cost=cost, match=match, split=split)  # type: ignore[arg-type]
    common.announce_compiling()
    trial = simulator.evaluate(asked)
    data = {
        "table": loaded.name,
        "kind": loaded.kind,
        "split": split,
        "budget": simulator.budget,
        "cost_model": simulator.cost_model.name,
        "match": match,
        **{
            key: value
            for key, value in common.trial_row(trial).items()
            if key not in ("index", "clock", "repeated", "examples", "why")
        },
    }
    if as_json:
        common.print_json(data)
        return
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in trial.metrics.items())
    answered = str(trial.answered) if trial.answered is not None else "nothing"
    note = f" ({trial.reason})" if trial.reason else ""
    lines = (
        ("table", f"{loaded.name} ({loaded.kind}), split {split}, match {match}"),
        ("asked", str(trial.asked)),
        ("answered", answered),
        ("feasible", ("yes" if trial.feasible else "no") + note),
        (
            "cost",
            f"{simulator.describe_cost(trial.cost)} of {simulator.describe_cost(simulator.budget)}",
        ),
        ("metrics", metrics or "none"),
        ("seconds", f"{trial.seconds:.6g}"),
    )
    for name, value in lines:
        click.echo(f"{name:<9} {value}")
