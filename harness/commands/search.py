"""`agenttts search`: one agent searches one table."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import click

from harness.commands import common

if TYPE_CHECKING:
    from harness.search import SearchResult
    from simulator import LookupTable, Trial


@click.command()
@click.argument("table")
@click.option(
    "--agent",
    required=True,
    metavar="NAME|MODULE:CLASS",
    help="Search algorithm (agenttts agents).",
)
@common.search_options
@click.option("--trials", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Simulated workers that run trials at the same time.",
)
@click.option(
    "--noise", default="mean", show_default=True, metavar="NOISE", help="mean or bootstrap."
)
@click.option(
    "--duplicates",
    default="charge",
    show_default=True,
    metavar="RULE",
    help="What a repeated ask costs: charge, free or forbid.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the agent; may be given again.",
)
@click.option("--model", metavar="NAME", help="Language model (else AGENTTTS_MODEL).")
@click.option(
    "--base-url",
    metavar="URL",
    help="Address of an OpenAI-compatible server (else AGENTTTS_BASE_URL, OpenAI's own).",
)
@click.option("--record", metavar="FILE", help="Write the model's calls here; go on from it.")
@click.option("--replay", metavar="FILE|DIR", help="Answer the calls from a recording alone.")
@click.option("--max-dollars", type=float, help="Stop before this is spent; needs prices.")
@click.option("--max-tokens", type=float, help="Stop before so many tokens are used.")
@click.option("--estimate", is_flag=True, help="Say what the model will cost, and do no more.")
@common.json_option
def search(
    table: str,
    agent: str,
    budget: float | None,
    cost: str,
    match: str,
    trials: int,
    seed: int,
    workers: int,
    noise: str,
    duplicates: str,
    settings: tuple[str, ...],
    estimate: bool,
    as_json: bool,
    **thinking: Any,
) -> None:
    """Let one agent search TABLE (a shipped name or a folder) and show what it found."""
    from agents.registry import agent_class
    from harness.search import run_search
    from harness.suite import parse_settings
    from simulator.errors import RunError, UsageError

    common.find_own_modules()
    taken = inspect.signature(agent_class(agent)).parameters
    chosen = parse_settings(settings)
    for name, value in thinking.items():
        if value is None:
            continue
        if name not in taken:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"agent {agent!r} asks no language model: {option} is of no use to it")
        chosen[name] = value
    loaded = common.open_table(table)
    common.announce_compiling()
    keywords: dict[str, Any] = {
        "budget": budget, "trials": trials, "seed": seed, "workers": workers, "cost": cost,
        "match": match, "noise": noise, "duplicates": duplicates, "settings": chosen,
    }  # fmt: skip
    if estimate or _thinks(agent):
        _tell_estimate(loaded, agent, keywords, only=estimate)
        if estimate:
            return
    if as_json:
        result = run_search(loaded, agent, **keywords)
        common.print_json(search_data(result))
    else:
        result = _watched(loaded, agent, keywords)
        _print(result, cost)
    if result.aborted:
        raise RunError(result.finished_early)


def _thinks(agent: str) -> bool:
    """Whether an agent asks a language model."""
    from agents.registry import available

    known = available()
    return agent in known and known[agent].llm


def _tell_estimate(table: LookupTable, agent: str, keywords: dict[str, Any], *, only: bool) -> None:
    """Say what a model will cost: on standard output where that is all, else before a live run."""
    from agents import create
    from agents.llm import estimate
    from harness.search import Problem

    terms = ("budget", "trials", "workers", "cost", "match", "noise", "duplicates")
    card = Problem.of(table, **{name: keywords[name] for name in terms}).card
    settings, seed = keywords["settings"], keywords["seed"]
    if not only:
        create(agent, card, seed, **settings)  # a wrong setting is told before anything else
        if "replay" in settings:
            return
    click.echo(f"{agent}: {estimate(agent, card, seed, **settings)}", err=not only)


def search_data(result: SearchResult) -> dict[str, Any]:
    """A search as `--json` prints it."""
    incumbent = result.incumbent
    return {
        "agent": result.agent,
        "settings": dict(result.settings),
        "table": result.table,
        "kind": result.kind,
        "budget": result.budget,
        "cost_model": result.cost,
        "seed": result.seed,
        "optimum": result.optimum.score,
        "optimum_configuration": str(result.optimum.configuration),
        "incumbent": None
        if incumbent is None
        else {
            "configuration": common.text_of(incumbent.answered),
            "asked": str(incumbent.asked),
            "train_score": incumbent.score,
            "test_score": result.test_score,
            "cost": incumbent.cost,
            "index": incumbent.index,
        },
        "trials": [common.trial_row(trial) for trial in result.trials],
        "trials_to_optimum": result.trials_to_optimum,
        "reached": result.reached,
        "search_hours": result.search_hours,
        "agent_seconds": result.agent_seconds,
        "lookup_seconds": result.lookup_seconds,
        "finished_early": result.finished_early,
        "aborted": result.aborted,
        "usage": dict(result.usage),
    }


def _watched(table: LookupTable, agent: str, keywords: dict[str, Any]) -> SearchResult:
    """Run with one line of standard error that shows the best so far, where a person watches."""
    from rich.live import Live
    from rich.text import Text

    from harness.search import run_search

    screen = common.console(stderr=True)
    if not screen.is_terminal:
        return run_search(table, agent, **keywords)
    told = 0
    with Live(console=screen, transient=True, refresh_per_second=8) as live:

        def show(trial: Trial, incumbent: Trial | None) -> None:
            nonlocal told
            told += 1
            best = "none yet" if incumbent is None else f"{incumbent.score:.4f}"
            where = "" if incumbent is None else f" at {incumbent.answered}"
            line = f"{agent} on {table.name} ({table.kind})  trial {told}/{keywords['trials']}  "
            live.update(Text(f"{line}best {best}{where}", no_wrap=True, overflow="ellipsis"))

        return run_search(table, agent, on_trial=show, **keywords)


def _print(result: SearchResult, cost: str) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from harness.search import better
    from simulator.scrub import held_secrets, without

    screen = common.console()
    screen.print(
        f"[bold]{escape(result.agent)}[/bold] on [bold]{escape(result.table)}[/bold] "
        f"({result.kind}), budget {result.budget:.6g} {cost}, seed {result.seed}"
    )
    improvements = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("trial", "score", "cost", "hours"):
        improvements.add_column(heading, justify="right", no_wrap=True)
    improvements.add_column("configuration", overflow="fold")
    best = None
    for number, trial in enumerate(result.trials, start=1):
        if better(trial, best):
            best = trial
            improvements.add_row(
                str(number), f"{trial.score:.4f}", f"{trial.cost:.6g}",
                f"{trial.clock / 3600:.3g}", escape(str(trial.answered)),
            )  # fmt: skip
    screen.print(improvements)
    infeasible = sum(not trial.feasible for trial in result.trials)
    repeated = sum(trial.repeated for trial in result.trials)
    screen.print(
        f"{len(result.trials)} trials, {infeasible} infeasible, {repeated} repeated; "
        f"the agent took {result.agent_seconds:.3g} s, the lookups {result.lookup_seconds:.3g} s"
    )
    if result.usage:
        use = result.usage
        dollars = f", {use['dollars']:.4f} dollars" if "dollars" in use else ""
        screen.print(
            f"the model took {use.get('seconds', 0):.3g} s, {use.get('calls', 0):.0f} calls, "
            f"{use.get('tokens_in', 0):.0f} tokens of prompts and "
            f"{use.get('tokens_out', 0):.0f} of replies{dollars}"
        )
    if result.finished_early:
        why = without(result.finished_early, held_secrets())
        screen.print(f"ended early: {escape(why)}")
    if best is None:
        screen.print("no trial was feasible")
        return
    found = f"reached at trial {result.trials_to_optimum}" if result.reached else "not reached"
    screen.print(f"optimum {result.optimum.score:.4f}: {found}")
    test = "no test split" if result.test_score is None else f"{result.test_score:.4f}"
    star = "" if result.reached else "*"
    screen.print(f"test score of the incumbent: {test}")
    screen.print(f"simulated search time: {result.search_hours:.4g}{star} h")
    if not result.reached:
        screen.print("* the optimum was not reached: the time to the run's best trial")
