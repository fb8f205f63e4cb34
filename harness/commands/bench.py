"""`agenttts bench`: many agents, tables and seeds, in parallel, resumed where they were left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands import common

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.bench import BenchResult, Progress

_ONE_THREAD = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """`a,b` to a list; an empty name is refused."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise click.BadParameter(f"{text!r} holds an empty name")
    return names


def _numbers(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """`10,20` to whole numbers."""
    words = _names(context, parameter, text)
    if words is not None and not all(word.isdecimal() for word in words):
        raise click.BadParameter(f"{text!r} is not whole numbers with commas between")
    return None if words is None else [int(word) for word in words]


def _budgets(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
    """Numbers; what is none (`0.5x`) is left to the suite to judge."""
    found: list[float | str] = []
    for text in texts:
        try:
            found.append(float(text))
        except ValueError:
            found.append(text)
    return tuple(found)


@click.command()
@click.argument("suite", type=click.Path(path_type=Path), required=False)
@click.option("--agents", callback=_names, metavar="A,B", help="Agents, in place of the suite's.")
@click.option("--tables", callback=_names, metavar="X,Y", help="Tables: shipped names or folders.")
@click.option(
    "--budget",
    "budgets",
    callback=_budgets,
    multiple=True,
    metavar="N|Nx",
    help="Budget of every table, or (0.5x) a multiple of each table's own; may be repeated.",
)
@click.option("--cost", metavar="MODEL", help="Cost model of the budget.")
@click.option("--seeds", type=click.IntRange(min=1), help="How many seeds, from 0.")
@click.option("--trials", type=click.IntRange(min=1), help="Trials of each search.")
@click.option("--workers", type=click.IntRange(min=1), help="Simulated workers of each search.")
@click.option("--match", metavar="RULE", help="nearest, exact, paper or interpolate.")
@click.option("--noise", metavar="NOISE", help="mean or bootstrap.")
@click.option("--duplicates", metavar="RULE", help="charge, free or forbid.")
@click.option(
    "--vary-examples",
    callback=_numbers,
    metavar="10,20",
    help="Search again on so few training examples, drawn by the seed.",
)
@click.option(
    "--vary-noise", callback=_names, metavar="NOISE", help="Search again with this noise."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; by default one a processor.")
@click.option(
    "--backend",
    default="local",
    show_default=True,
    metavar="NAME",
    help="local, or ray (a cluster by RAY_ADDRESS, else one on this machine).",
)
@click.option("--out", required=True, type=common.Folder(), help="Folder of the results; resumes.")
@click.option("--quiet", is_flag=True, help="No progress and no leaderboard.")
@common.json_option
def bench(
    suite: Path | None,
    budgets: tuple[float | str, ...],
    jobs: int | None,
    backend: str,
    out: Path,
    quiet: bool,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Run SUITE and print the leaderboard.

    SUITE is a TOML file, or one that ships: `default` (every agent that needs no language model on
    every table), `best-case` (baselines with the settings that did best on generated landscapes),
    `examples-and-noise` (how results move with both, and with the budget) or `recorded` (agents
    that think with a language model, replayed).

    What DIR already holds is not run again: an interrupted bench goes on where it was, and changed
    settings or code run anew. The results are those of the suite as given; finished cells of other
    suites stay in DIR/cells.
    """
    for variable in _ONE_THREAD:
        # Before NumPy is imported: one thread a process, and sums in the same order everywhere.
        os.environ[variable] = "1"
    from harness.bench import prepare, run_bench

    common.find_own_modules()
    command = common.command_line("bench")
    if not quiet:
        common.announce_compiling()
    else:
        prepare(lambda line: None)
    try:
        with _progress(show=not quiet) as on_progress:
            result = run_bench(
                suite,
                out=out,
                budgets=budgets or None,
                jobs=jobs,
                backend=backend,  # type: ignore[arg-type]
                on_progress=on_progress,
                command=command,
                **overrides,
            )
    except KeyboardInterrupt:
        click.echo("agenttts: interrupted; finished cells are kept. To go on:", err=True)
        click.echo(f"  {command}", err=True)
        click.get_current_context().exit(130)
    _print(result, quiet=quiet, as_json=as_json)
    if result.failed:
        click.get_current_context().exit(1)


def _print(result: BenchResult, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        common.print_json(result.summary.to_dicts())
    elif not quiet:
        from harness.leaderboard import print_boards
        from harness.report import read_results

        read = read_results(result.out)
        print_boards(common.console(), read.boards, read.notes)
    err = common.console(stderr=True)
    if not quiet:
        ran = result.done - result.resumed
        err.print(
            f"{result.total} cells: {ran} run, {result.resumed} already there, "
            f"{len(result.failed)} failed, in {result.seconds:.1f} s; results in {result.out}",
            markup=False,
            soft_wrap=True,
        )
        for note in result.notes:
            click.echo(f"agenttts: note: {note}", err=True)
    for line in result.failed[:5]:
        click.echo(f"agenttts: failed: {line}", err=True)
    if result.failed:
        shown = " (five shown)" if len(result.failed) > 5 else ""
        click.echo(
            f"agenttts: {len(result.failed)} of {result.total} cells failed{shown}; tracebacks in "
            f"{result.out / 'failed'}; the same command tries them again",
            err=True,
        )


@contextmanager
def _progress(*, show: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress display on standard error: a bar for a person, now and then a line for a log."""
    if not show:
        yield None
        return
    screen = common.console(stderr=True)
    if not screen.is_terminal:
        yield _log()
        return
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.completed:.0f}/{task.total:.0f} cells"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[left]} left"),
        TextColumn("[red]{task.fields[failed]}[/red]"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[running]}[/dim]"),
    )
    with Bar(*columns, console=screen, transient=True, refresh_per_second=5) as bar:
        task: Any = None

        def show_progress(now: Progress) -> None:
            nonlocal task
            if task is None:
                # Resumed cells took no time, so they must not count towards the rate.
                task = bar.add_task(
                    "", total=now.total - now.resumed, left="", failed="", running=""
                )
            bar.update(
                task,
                completed=now.done + now.failed - now.resumed,
                left=now.left,
                failed=f"{now.failed} failed" if now.failed else "",
                running=escape("; ".join(now.running)),
            )

        yield show_progress


def _log() -> Callable[[Progress], None]:
    """Lines for a log: at most one every ten seconds, and one at the end."""
    begin = last = time.monotonic()

    def line(now: Progress) -> None:
        nonlocal last
        ended = now.left == 0 and not now.running
        if now.total == now.resumed or (time.monotonic() - last < 10 and not ended):
            return
        last = time.monotonic()
        ran = now.done + now.failed - now.resumed
        eta = f", {now.left * (last - begin) / ran:.0f} s to go" if ran and now.left else ""
        failed = f", {now.failed} failed" if now.failed else ""
        click.echo(f"{now.done} of {now.total} cells done{failed}{eta}", err=True)

    return line
