"""`agenttts collect`: plan, run, status, merge."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collectors.accounting import Plan, Totals
    from collectors.runner import Collected, Progress
    from collectors.store import Store
    from collectors.sweep import Sweep

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
change_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the file, such as data.path=questions.json.",
)


@click.group()
def collect() -> None:
    """Measure a lookup table: sample every configuration of a pipeline on an engine.

    A sweep is one TOML file, or the name of one that ships, such as paper/2wiki. Whatever was drawn
    stays: a sweep that stops, for whatever reason, goes on where it stopped when `run` is called
    again.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


@collect.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@change_option
@json_option
def plan(sweep: Path, changes: tuple[str, ...], as_json: bool) -> None:
    """What a sweep would cost, planned and naive, before anything runs."""
    from collectors.accounting import plan as estimate

    made = estimate(_open_file(sweep, changes))
    if as_json:
        _print_json(made.as_dict())
    else:
        _show_plan(made)


@collect.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The sweep's folder.",
)
@change_option
@json_option
def run(sweep: Path, out: Path, changes: tuple[str, ...], as_json: bool) -> None:
    """Draw what is missing; stop and start again as you like."""
    from collectors.engines import make_engine
    from collectors.errors import EngineError
    from collectors.runner import collected
    from collectors.runner import run as run_sweep
    from collectors.store import Store

    opened = _open_file(sweep, changes)
    entry = opened.file.engine
    begin = time.perf_counter()
    with _engine_prints_to_stderr(), _Bar() as bar:
        # First: an engine that cannot be must not leave a folder that only it can go on with.
        engine = make_engine(entry.kind, entry.settings)
        store = Store.open(out, opened)
        report = run_sweep(opened, store, engine, bar.tell)
    wall = time.perf_counter() - begin
    data = collected(opened, store)
    naive, drawn = _measured(opened, data)
    result = {
        "folder": str(out),
        "complete": data.complete,
        "session": report.session,
        "requests_now": report.drawn_requests,
        "seconds_now": wall,
        "loads_now": report.loads,
        "failed": report.failed,
        "damaged_shards": report.quarantined,
        "planned": _totals(drawn),
        "naive": _totals(naive),
        "saving": naive.tokens / max(1, drawn.tokens),
    }
    if as_json:
        _print_json(result)
    else:
        for name in report.quarantined:
            click.echo(f"damaged, set aside and drawn again: {name}", err=True)
        click.echo(
            f"{'Complete' if data.complete else 'Not complete'}: {report.drawn_requests:,} "
            f"requests now, {drawn.requests:,} in all; {wall:,.1f} s, {report.loads} models loaded."
        )
        _show_totals([("drawn", drawn), ("naive sweep", naive)], "engine h")
        click.echo(f"Saving, measured: {result['saving']:.1f} times fewer tokens.")
    if report.failed:
        raise EngineError(
            f"{report.failed} requests failed ({report.first_failure}); what was drawn is kept, "
            "run again to draw the rest"
        )


@collect.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def status(folder: Path, as_json: bool) -> None:
    """How far a sweep is: requests, tokens, errors, and about how long it still takes."""
    from collectors.runner import collected

    sweep, store = _open_folder(folder)
    data = collected(sweep, store)
    naive, drawn = _measured(sweep, data)
    done = sum(d for d, _ in data.known.values())
    needed = sum(n for _, n in data.known.values())
    left = (needed - done) * drawn.seconds / done if done else None
    errors = store.errors()
    rows = [
        {"stage": stage, "model": model, "kind": kind, "done": d, "known": n}
        for (stage, model, kind), (d, n) in data.known.items()
    ]
    result = {
        "folder": str(folder),
        "complete": data.complete,
        "sessions": len(store.sessions()),
        "requests": rows,
        "errors": len(errors),
        "last_error": errors[-1].get("why") if errors else None,
        "engine_seconds_left_at_least": left,
        "planned": _totals(drawn),
        "naive": _totals(naive),
    }
    if as_json:
        _print_json(result)
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    listing = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stage", "model", "kind"):
        listing.add_column(heading, overflow="fold")
    listing.add_column("done", justify="right")
    listing.add_column("known", justify="right")
    for (stage, model, kind), (d, n) in data.known.items():
        listing.add_row(escape(stage), escape(model), kind, f"{d:,}", f"{n:,}")
    Console(highlight=False).print(listing)
    _show_totals([("drawn", drawn)], "engine h")
    click.echo(f"Sessions: {len(store.sessions())}. Errors noted: {len(errors)}.")
    if errors:
        click.echo(f"Last error: {errors[-1].get('why')}")
    if data.complete:
        click.echo("Complete: agenttts collect merge makes the table.")
    elif left is not None:
        click.echo(
            f"At least {left / 3600:,.2f} engine hours left, at the pace so far, for the requests "
            "known now; later stages are known when the ones before are done."
        )


@collect.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The table's folder.",
)
@click.option("--allow-holes", is_flag=True, help="Missing samples leave holes in the table.")
@click.option("--drop-incomplete", is_flag=True, help="Leave out examples that miss samples.")
@click.option("--overwrite", is_flag=True, help="Replace a table that lies there.")
@json_option
def merge(
    folder: Path,
    out: Path,
    allow_holes: bool,
    drop_incomplete: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score what was drawn and write the lookup table."""
    from collectors.merge import merge as merge_sweep
    from collectors.merge import write

    sweep, store = _open_folder(folder)
    merged = merge_sweep(sweep, store, allow_holes=allow_holes, drop_incomplete=drop_incomplete)
    write(merged, sweep, store, out, overwrite=overwrite)
    result = {
        "table": str(out),
        "name": merged.table.name,
        "configurations": merged.table.space.n_cells,
        "holes": dict(merged.holes),
        "dropped_examples": len(merged.dropped),
        "token_saving": merged.naive.tokens / max(1, merged.drawn.tokens),
    }
    if as_json:
        _print_json(result)
        return
    holes = ", ".join(f"{count} on {split}" for split, count in merged.holes.items() if count)
    click.echo(
        f"{out}: {merged.table.space.n_cells:,} configurations of {merged.table.name}"
        + (f"; holes: {holes}" if holes else "")
        + (f"; left out {len(merged.dropped)} examples" if merged.dropped else "")
    )


def _open_file(path: Path, changes: tuple[str, ...]) -> Sweep:
    from collectors.sweep import Sweep, SweepFile

    return Sweep.of(SweepFile.read(path, changes))


def _open_folder(folder: Path) -> tuple[Sweep, Store]:
    """The sweep that a folder holds, from the settings kept there."""
    from collectors.store import Store, read_head
    from collectors.sweep import Sweep, SweepFile

    held = read_head(folder)
    sweep = Sweep.of(SweepFile.from_mapping(held["file"], f"{folder}/sweep.json"))
    return sweep, Store.open(folder, sweep)


def _measured(sweep: Sweep, data: Collected) -> tuple[Totals, Totals]:
    from collectors.accounting import Totals, drawn_totals, naive_totals
    from collectors.merge import option_rates

    seconds = sum(cost.seconds for costs in data.costs.values() for cost in costs)
    drawn = drawn_totals([*data.pools, *data.fusions]) + Totals(seconds=seconds)
    return naive_totals(data.tables, option_rates(sweep, data)), drawn


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "prompt_tokens": totals.prompt_tokens,
        "generated_tokens": totals.generated_tokens,
        "tokens": totals.tokens,
        "seconds": totals.seconds,
    }


def _show_plan(made: Plan) -> None:
    click.echo(
        f"{made.configurations:,} configurations on {made.examples:,} examples. Estimated from "
        "nominal token counts:"
    )
    _show_totals(
        [
            ("naive sweep", made.naive),
            ("planned", made.planned),
            ("planned, at most", made.at_most),
        ],
        f"{made.hardware} h",
    )
    click.echo(
        f"Saving: {made.saving:.1f} times fewer tokens, taking {made.distinct_share:.0%} of a "
        f"stage's options to give distinct results; {made.least_saving:.1f} times if no two agree."
    )


def _show_totals(rows: list[tuple[str, Totals]], hours: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    listing = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    listing.add_column("")
    for heading in ("requests", "prompt tokens", "generated tokens", hours):
        listing.add_column(heading, justify="right")
    for name, totals in rows:
        listing.add_row(
            name,
            f"{totals.requests:,}",
            f"{totals.prompt_tokens:,}",
            f"{totals.generated_tokens:,}",
            f"{totals.seconds / 3600:,.2f}",
        )
    Console(highlight=False).print(listing)


@contextmanager
def _engine_prints_to_stderr() -> Iterator[None]:
    """Standard output is the report's: what an engine, its libraries and its processes print there
    goes to standard error instead."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


class _Bar:
    """A progress bar on a terminal's standard error; silent elsewhere."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import Progress as RichProgress
        from rich.progress import TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = RichProgress(
            *RichProgress.get_default_columns()[:-1],
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[tuple[str, str, str], Any] = {}
        self._progress.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._progress.stop()

    def tell(self, progress: Progress) -> None:
        """Show where the run stands."""
        from rich.markup import escape

        key = (progress.stage, progress.model, progress.kind)
        if key not in self._tasks:
            name = escape(f"{progress.stage} {progress.kind}, {progress.model}")
            self._tasks[key] = self._progress.add_task(name, total=progress.total)
        self._progress.update(self._tasks[key], completed=progress.done)
