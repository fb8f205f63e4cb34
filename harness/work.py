"""What a worker process does: a few cells of one agent on one table, one after the other."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents import agent_class
from harness.cells import Cell, cell_text
from harness.files import write_text
from harness.search import Problem, SearchResult, search_problem, single_threaded
from simulator import LookupTable
from simulator.errors import RunError
from simulator.scrub import held_secrets, one_line, scrub


@dataclass(frozen=True)
class Chunk:
    """Cells of one agent on one table at one budget, which differ in their seeds.

    `source` is the table's folder, or the table itself where it is not on disk. `parent` is the
    process to stop with, 0 where the worker may be on another machine.
    """

    source: str | LookupTable
    settings: Mapping[str, Any]
    cells: tuple[Cell, ...]
    parent: int = 0

    @property
    def shown(self) -> str:
        """As the progress display names it."""
        first = self.cells[0]
        return f"{first.label} on {first.table}{first.varied}"


@dataclass(frozen=True)
class Outcome:
    """One cell's end: its file's text or, with `failed`, a traceback."""

    cell: Cell
    text: str
    failed: bool = False
    line: str = ""


def run_chunk(chunk: Chunk, out: Path | None) -> list[Outcome]:
    """Run a chunk's cells; with `out` each is written there as soon as it is finished.

    Without `out` the texts are left in the outcomes, for a caller on another machine to write.
    """
    outcomes = []
    if chunk.parent and chunk.parent != os.getpid():
        # Ctrl-C reaches every process of the terminal; the bench alone decides what then happens.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with(chunk.parent)
    with single_threaded():
        first: SearchResult | None = None
        for cell in chunk.cells:
            outcome, result = _run_cell(chunk, cell, first)
            if _same_for_all_seeds(cell):
                first = result
            if out is not None:
                keep(out, outcome)
                outcome = Outcome(cell, "", outcome.failed, outcome.line)
            outcomes.append(outcome)
    return outcomes


def _end_with(parent: int) -> None:
    """End this process soon after its parent does, which may be killed without a word."""
    name = "end-with-parent"
    if any(thread.name == name for thread in threading.enumerate()):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, name=name, daemon=True).start()


def keep(out: Path, outcome: Outcome) -> None:
    """Write an outcome into `out`: a cell into `cells/`, a traceback into `failed/`."""
    name = outcome.cell.file_name
    failure = out / "failed" / f"{name.removesuffix('.json')}.txt"
    if outcome.failed:
        write_text(failure, outcome.text)
    else:
        write_text(out / "cells" / name, outcome.text)
        failure.unlink(missing_ok=True)


def _run_cell(
    chunk: Chunk, cell: Cell, known: SearchResult | None
) -> tuple[Outcome, SearchResult | None]:
    """Run a cell, or take the result that is `known` to be its own but for the seed."""
    try:
        result = _search(chunk, cell) if known is None else replace(known, seed=cell.seed)
        return Outcome(cell, cell_text(cell, result)), result
    except (Exception, SystemExit) as error:
        detail = one_line(scrub(str(error), held_secrets()), 2000) or "no message"
        where = f"{cell.label} on {cell.table}{cell.varied}, seed {cell.seed}"
        line = f"{where}: {type(error).__name__}: {detail}"
        text = f"{line}\n\n{scrub(traceback.format_exc(), held_secrets())}"
        return Outcome(cell, text, failed=True, line=line), None


def _same_for_all_seeds(cell: Cell) -> bool:
    """Whether neither the agent nor the scores draw anything."""
    if cell.noise != "mean" or cell.examples is not None:
        return False
    return bool(getattr(agent_class(cell.agent), "deterministic", False))


def _search(chunk: Chunk, cell: Cell) -> SearchResult:
    problem = _problem(_Source(cell.table_hash, chunk.source), *_terms(cell))
    result = search_problem(problem, cell.agent, seed=cell.seed, settings=chunk.settings)
    if result.aborted:
        raise RunError(f"the agent gave up: {result.finished_early}")
    return result


def _terms(cell: Cell) -> tuple[Any, ...]:
    return (
        cell.budget, cell.trials, cell.workers, cell.cost, cell.match, cell.noise, cell.duplicates,
        cell.examples,
    )  # fmt: skip


@dataclass(frozen=True)
class _Source:
    """A table's folder or the table itself; two of one content hash are the same."""

    table_hash: str
    where: str | LookupTable = field(compare=False)


@lru_cache(maxsize=2)
def _table(source: _Source) -> LookupTable:
    return LookupTable.load(source.where) if isinstance(source.where, str) else source.where


@lru_cache(maxsize=2)
def _problem(source: _Source, *terms: Any) -> Problem:
    table = _table(source)
    budget, trials, workers, cost, match, noise, duplicates, examples = terms
    return Problem.of(
        table, budget=budget, trials=trials, workers=workers, cost=cost, match=match, noise=noise,
        duplicates=duplicates, examples=examples,
    )  # fmt: skip
