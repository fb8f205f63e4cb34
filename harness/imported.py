"""Runs that were searched elsewhere, as cells of a bench: what they asked is replayed here.

Of a foreign run only the asks are taken, in their order. Scores, costs, seconds and feasibility
come from the table, so that an imported run stands beside the bench's own on the same terms. The
asks are kept in `DIR/imported/`, one JSON file for each label and table; a bench run again in DIR
replays them again, and shows them as long as their file lies there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents import TaskCard
from harness.cells import Cell, read_cell, settings_text, write_cell
from harness.files import write_text
from harness.plan import Plan, TableAtBudget, code_of
from harness.search import Problem, search_problem
from harness.suite import Suite
from simulator import Ask, Configuration, Trial
from simulator.errors import AgentTTSError, RunError, SearchFinished, UsageError
from simulator.simulator import Duplicates, Match, Noise

NAME = "imported"
"""What a cell, and `bench.json`, call the agent of an imported run."""

SUFFIX = " (imported)"
"""Every label of an imported run ends so: nobody takes it for a run of the bench's own."""

_REPLAYED = f"{__name__}:Replayed"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ForeignAsk(_Record):
    """One ask: `asked` as `Configuration.parse` reads it, on so many `examples` (None: all)."""

    asked: str
    examples: int | None = Field(default=None, ge=1)
    why: str = ""


class Import(_Record):
    """What one foreign search algorithm asked of one table: `runs[k]` becomes the seed k.

    `source` is the name of the file it came from and `sha256` that file's, `studies` the name of
    each run there, `left_out` what was in the file and is not in the runs, in words.
    """

    format: Literal[1] = 1
    label: str = Field(min_length=len(SUFFIX) + 1, max_length=80, pattern=r".+ \(imported\)$")
    table: str
    source: str
    sha256: str
    studies: tuple[str, ...]
    runs: tuple[tuple[ForeignAsk, ...], ...] = Field(min_length=1)
    left_out: str = ""

    @property
    def file_name(self) -> str:
        """Name of its file in `DIR/imported/`: the same label and table replace each other."""
        slug = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", s)[:40] for s in (self.label, self.table))
        decided = hashlib.sha256(f"{self.label}\n{self.table}".encode()).hexdigest()[:8]
        return f"{slug}-{decided}.json"

    def note(self, trials: int) -> str:
        """What a report says of it, where a run may have so many trials."""
        held, used = sum(map(len, self.runs)), sum(min(len(run), trials) for run in self.runs)
        rest = f"; left out: {self.left_out}" if self.left_out else ""
        if used < held:
            rest += f"; {held - used} more asks came after the {trials} trials of a run"
        return (
            f"{self.label} on {self.table}: {used} asks in {len(self.runs)} "
            f"{'run' if len(self.runs) == 1 else 'runs'} from {self.source} (SHA-256 "
            f"{self.sha256[:12]}), replayed from the table; its s/ask is the replay's own{rest}"
        )


class Replayed:
    """An agent that asks what it is given, in order; it learns nothing."""

    def __init__(
        self, card: TaskCard, rng: np.random.Generator, *, asks: Sequence[ForeignAsk]
    ) -> None:
        self._left = iter(asks)

    def ask(self) -> Ask:
        found = next(self._left, None)
        if found is None:
            raise SearchFinished("the imported run ends here")
        return Ask(Configuration.parse(found.asked), examples=found.examples, why=found.why)

    def tell(self, trial: Trial) -> None:
        pass


def save(imported: Import, folder: Path) -> Path:
    """Keep an import in a bench's folder."""
    kept = folder / "imported"
    kept.mkdir(exist_ok=True)
    write_text(kept / imported.file_name, imported.model_dump_json(indent=1))
    return kept / imported.file_name


def kept_in(folder: Path) -> list[Import]:
    """The imports of a bench's folder, by file name; raises `RunError` where one is damaged."""
    found = []
    for path in sorted((folder / "imported").glob("*.json")):
        try:
            found.append(Import.model_validate_json(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            line = str(error).splitlines()[0]
            raise RunError(f"{path}: not an imported run: {line}") from None
    return found


def cells_of(imported: Import, plan: Plan) -> list[tuple[Cell, TableAtBudget]]:
    """One cell for each run and budget of its table, under the plan's settings."""
    suite, code = plan.suite, code_of(_REPLAYED)
    made = []
    for at in plan.tables:
        if at.table.name != imported.table:
            continue
        for seed, (study, run) in enumerate(zip(imported.studies, imported.runs, strict=True)):
            asks = "\n".join(ask.model_dump_json() for ask in run)
            settings = {
                "source": imported.source,
                "sha256": imported.sha256,
                "study": study,
                "asks": hashlib.sha256(asks.encode()).hexdigest()[:20],
            }
            cell = Cell(
                agent=NAME, label=imported.label, settings=settings_text(settings),
                table=at.table.name, table_hash=at.hash, code=code, budget=at.budget,
                cost=suite.cost, seed=seed, trials=suite.trials, workers=suite.workers,
                match=suite.match, noise=suite.noise, duplicates=suite.duplicates,
            )  # fmt: skip
            made.append((cell, at))
    return made


def replay(imported: Import, plan: Plan, folder: Path) -> list[Cell]:
    """Replay an import's runs into `folder/cells`, those that are not there yet.

    A run is cut at the suite's trials. Raises `UsageError` where the table cannot answer an ask.
    """
    problems: dict[float, Problem] = {}
    cells = []
    for cell, at in cells_of(imported, plan):
        cells.append(cell)
        if read_cell(folder / "cells", cell) is not None:
            continue
        if at.budget not in problems:
            problems[at.budget] = _problem(at, plan.suite)
        settings = {"asks": imported.runs[cell.seed]}
        try:
            result = search_problem(
                problems[at.budget], _REPLAYED, seed=cell.seed, settings=settings
            )
        except AgentTTSError as error:
            study = imported.studies[cell.seed]
            raise UsageError(f"{imported.source}, run {study!r}: {error}") from None
        write_cell(folder / "cells", cell, result)
    return cells


def with_imports(plan: Plan, folder: Path) -> Plan:
    """The plan with the cells of what was imported into its folder, replayed.

    An import that the plan's settings do not allow (duplicates forbidden, say) is left out with a
    note; one of a table that the plan does not run is left out without.
    """
    cells, notes = plan.cells, list(plan.notes)
    for imported in kept_in(folder):
        try:
            replayed = replay(imported, plan, folder)
        except UsageError as error:
            notes.append(f"left out {imported.label}: {error}")
            continue
        if replayed:
            cells = cells.joined(replayed)
            notes.append(imported.note(plan.suite.trials))
    return replace(plan, cells=cells, notes=tuple(notes))


def described(settings: Mapping[str, Any]) -> str:
    """A sentence on an imported run, from its settings in `bench.json`."""
    source, digest = settings.get("source", "?"), str(settings.get("sha256", ""))[:12]
    return f"searched elsewhere: asks from {source} (SHA-256 {digest}), replayed from the table"


def _problem(at: TableAtBudget, suite: Suite) -> Problem:
    return Problem.of(
        at.table, budget=at.budget, trials=suite.trials, workers=suite.workers, cost=suite.cost,
        match=cast(Match, suite.match), noise=cast(Noise, suite.noise),
        duplicates=cast(Duplicates, suite.duplicates),
    )  # fmt: skip
