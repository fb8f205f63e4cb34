"""A bench: the cells of a suite, run in parallel, resumed where they were left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.cells import Cell, Cells, read_cell
from harness.files import clear_temporaries, locked, make_writable, refuse_foreign
from harness.imported import with_imports
from harness.local_backend import local_results
from harness.plan import Plan, Tables, make_plan
from harness.ray_backend import connected
from harness.suite import Suite, load_suite
from harness.work import Chunk, keep
from simulator import LookupTable
from simulator.compiling import compile_kernels
from simulator.errors import RunError, UnknownName, UsageError

if TYPE_CHECKING:
    import polars

Backend = Literal["local", "ray"]


@dataclass(frozen=True)
class Progress:
    """How far a bench is, in cells; `running` names the groups at work."""

    total: int
    resumed: int
    done: int
    failed: int
    running: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Cells neither done nor failed."""
        return self.total - self.done - self.failed


@dataclass(frozen=True)
class BenchResult:
    """What a bench did. `done` counts finished cells, `resumed` those that were there before.

    `failed` holds one line for each failed cell; tracebacks are in `out/failed/`. `seconds` is real
    time; `agent_seconds` and `lookup_seconds` are sums over all finished cells.
    """

    out: Path
    total: int
    done: int
    resumed: int
    failed: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    agent_seconds: float
    lookup_seconds: float

    @property
    def trials(self) -> polars.DataFrame:
        """`trials.parquet`, one row a trial."""
        return _read(self.out / "trials.parquet")

    @property
    def runs(self) -> polars.DataFrame:
        """`runs.parquet`, one row a cell."""
        return _read(self.out / "runs.parquet")

    @property
    def summary(self) -> polars.DataFrame:
        """`summary.parquet`, one row for each agent, table and budget."""
        return _read(self.out / "summary.parquet")

    @property
    def varied(self) -> polars.DataFrame:
        """`varied.parquet`, one row for each agent, table, budget, noise and number of examples."""
        return _read(self.out / "varied.parquet")


def run_bench(
    suite: Suite | str | Path | None = None,
    *,
    out: str | Path,
    agents: Sequence[str | Mapping[str, Any]] | None = None,
    tables: Tables | None = None,
    budgets: Sequence[float | str] | float | str | None = None,
    jobs: int | None = 1,
    backend: Backend = "local",
    on_progress: Callable[[Progress], None] | None = None,
    command: str = "",
    **settings: Any,
) -> BenchResult:
    """Run a suite into the folder `out`, or what is missing of it there, and write its results.

    `suite` is a TOML file, a `Suite`, or None for the default one; `agents`, `tables` (names,
    folders, or tables in memory), `budgets` and `settings` (`seeds`, `trials`, `workers`, `cost`,
    `match`, `noise`, `duplicates`, `vary_examples`, `vary_noise`) replace what it says. `jobs`
    processes run at a time, None for one a processor; results do not depend on it. A failing agent
    fails its cell alone.

    >>> import tempfile
    >>> table = LookupTable.from_function({"a": [1, 2, 4]}, lambda c: c.choices[0].samples)
    >>> with tempfile.TemporaryDirectory() as out:
    ...     bench = run_bench(out=out, agents=["random"], tables=[table], seeds=3, trials=6)
    ...     bench.done, bench.summary["success_rate"].to_list()
    (3, [1.0])
    """
    begin = time.perf_counter()
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs must be at least 1, not {jobs}")
    if backend not in ("local", "ray"):
        raise UnknownName("backend", backend, ("local", "ray"))
    plan = make_plan(_suite(suite, agents, tables, budgets, settings), tables)
    folder = Path(out).absolute()
    refuse_foreign(folder)
    for part in (folder, folder / "cells", folder / "failed"):
        make_writable(part)
    with _one_line(folder), locked(folder):
        clear_temporaries(folder, folder / "cells", folder / "failed")
        plan = with_imports(plan, folder)
        cells = plan.all_cells
        missing = cells.where(lambda cell: read_cell(folder / "cells", cell) is None)
        resumed = len(cells) - len(missing)
        failed = _run(plan, missing, folder, jobs, backend, on_progress)
        seconds = time.perf_counter() - begin
        agent_seconds, lookup_seconds = _write(plan, folder, failed, seconds, command)
    return BenchResult(
        folder, len(cells), len(cells) - len(failed), resumed, tuple(failed), plan.notes,
        seconds, agent_seconds, lookup_seconds,
    )  # fmt: skip


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """A full disk, or one that turned read-only, as one line; what was finished stays."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise RunError(
            f"{folder} cannot be written: {why}; finished cells are kept: run the same command "
            "again to go on"
        ) from None


def _suite(
    suite: Suite | str | Path | None,
    agents: Sequence[str | Mapping[str, Any]] | None,
    tables: Tables | None,
    budgets: Sequence[float | str] | float | str | None,
    settings: Mapping[str, Any],
) -> Suite:
    several = [budgets] if isinstance(budgets, int | float | str) else budgets
    names = None if tables is None else [_name(table) for table in tables]
    given = {
        "agents": None if agents is None else list(agents),
        "tables": names,
        "budgets": None if several is None else list(several),
        **settings,
    }
    if isinstance(suite, Suite):
        from harness.suite import make_suite

        changed = {key: value for key, value in given.items() if value is not None}
        return make_suite({**suite.model_dump(), **changed}) if changed else suite.checked()
    return load_suite(None if suite is None else Path(suite), **given)


def _name(table: str | Path | LookupTable) -> str:
    return table.name if isinstance(table, LookupTable) else str(table)


def _run(
    plan: Plan,
    missing: Cells,
    folder: Path,
    jobs: int | None,
    backend: Backend,
    on_progress: Callable[[Progress], None] | None,
) -> list[str]:
    """Run the missing cells; returns one line for each that failed, in the plan's order."""
    total, failures = len(plan.all_cells), dict[Cell, str]()
    done = resumed = total - len(missing)
    running: list[str] = []

    def report() -> None:
        if on_progress is not None:
            on_progress(Progress(total, resumed, done, len(failures), tuple(running)))

    def watched(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        # joblib takes a chunk when a worker is free for it, so what was taken is what runs.
        for chunk in chunks:
            running.append(chunk.shown)
            report()
            yield chunk

    report()
    if not missing:
        return []
    with ExitStack() as stack:
        if backend == "ray":
            cluster = stack.enter_context(connected(jobs))
            places = min(jobs or cluster.cpus, len(missing))
            chunks = watched(plan.chunks(missing, _chunk_size(missing, places), 0))
            results = cluster.results(chunks, places, lambda chunk: plan.at(chunk.cells[0]).table)
        else:
            places = min(jobs or os.cpu_count() or 1, len(missing))
            size = _chunk_size(missing, places)
            chunks = watched(plan.chunks(missing, size, os.getpid()))
            results = stack.enter_context(closing(local_results(chunks, folder, places)))
        for shown, outcomes in results:
            running.remove(shown)
            for outcome in outcomes:
                if outcome.text:
                    keep(folder, outcome)
                if outcome.failed:
                    failures[outcome.cell] = outcome.line
                else:
                    done += 1
            report()
    return [failures[cell] for cell in missing if cell in failures] if failures else []


def _chunk_size(missing: Cells, jobs: int) -> int:
    """Few enough cells that all workers end together, enough that a table is seldom loaded."""
    return max(1, min(5, len(missing) // (4 * jobs)))


def _write(
    plan: Plan, folder: Path, failed: Sequence[str], seconds: float, command: str
) -> tuple[float, float]:
    from harness.report import write_report
    from harness.store import write_results

    split = write_results(plan, folder, failed, seconds, command)
    write_report(folder)
    return split


def _read(path: Path) -> polars.DataFrame:
    import polars as pl

    return pl.read_parquet(path)


def prepare(say: Callable[[str], None]) -> None:
    """Compile the kernels here, once, before several workers would each do it."""
    compile_kernels(say)
