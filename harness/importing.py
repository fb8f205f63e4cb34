"""Adding what was searched elsewhere to a bench's folder, without running the bench again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cells import Cells
from harness.files import (
    locked,
    make_writable,
    refuse_foreign,
    write_atomically,
    write_text,
)
from harness.foreign import Foreign, Steps, read_foreign
from harness.imported import NAME, SUFFIX, Import, replay, save
from harness.plan import Plan, make_plan
from harness.suite import AgentEntry, Suite, make_suite
from simulator import LookupTable
from simulator.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from harness.report import Results


@dataclass(frozen=True)
class Imported:
    """What was added: its asks, its rows of `summary.parquet` (one a budget), and what the report
    says of it."""

    imported: Import
    summary: pl.DataFrame
    note: str


def import_trials(
    source: str | Path,
    table: str | Path,
    out: str | Path,
    *,
    studies: Sequence[str] = (),
    label: str = "",
    steps: Steps = "refuse",
    budgets: Sequence[float] | None = None,
    cost: str | None = None,
    trials: int | None = None,
    command: str = "",
) -> Imported:
    """Replay a foreign search (`harness.foreign.read_foreign`) and add it to the results in `out`.

    In a folder that holds a bench the budgets, the cost model and the number of trials are the
    bench's, and the table must be one of its own, unchanged; giving them there is a `UsageError`.
    In a new folder they are as given, or the table's own budget and the longest run. What `out`
    already holds under the same label and table is replaced.
    """
    import polars as pl

    from harness.report import read_results
    from lookup_tables import load

    opened = load(str(table))
    found = read_foreign(str(source), opened.task, studies=studies, steps=steps)
    made = Import(
        label=_label(label, found),
        table=opened.name,
        source=found.file,
        sha256=found.sha256,
        studies=found.names,
        runs=found.runs,
        left_out=found.left_out,
    )
    given = {"budgets": None if budgets is None else list(budgets), "cost": cost, "trials": trials}
    folder = Path(out).absolute()
    refuse_foreign(folder)
    make_writable(folder)
    make_writable(folder / "cells")
    with locked(folder):
        if (folder / "bench.json").exists():
            plan = _add(made, opened, folder, given)
        else:
            plan = _begin(made, opened, folder, given, command)
        summary = read_results(folder).summary
    own = (pl.col("agent") == made.label) & (pl.col("table") == made.table)
    return Imported(made, summary.filter(own), plan.notes[0])


def _label(label: str, found: Foreign) -> str:
    name = " ".join((label or found.names[0]).split()).removesuffix(SUFFIX)
    if not name or len(name) + len(SUFFIX) > 80:
        raise UsageError(f"the label {name!r} must have 1 to {80 - len(SUFFIX)} characters")
    return name + SUFFIX


def _begin(
    made: Import, table: LookupTable, folder: Path, given: dict[str, Any], command: str
) -> Plan:
    """Results of the imported runs alone, as those of a bench."""
    from harness.report import write_report
    from harness.store import write_results

    longest = max(map(len, made.runs))
    settings = {"trials": longest, "seeds": len(made.runs), **_without_none(given)}
    plan = _replayed(made, _plan(settings, table), folder)
    entry = AgentEntry(name=NAME, label=made.label)
    plan = replace(plan, suite=plan.suite.model_copy(update={"agents": (entry,)}))
    save(made, folder)
    write_results(plan, folder, (), 0.0, command)
    write_report(folder)
    return plan


def _add(made: Import, table: LookupTable, folder: Path, given: dict[str, Any]) -> Plan:
    """The bench's results with the imported runs among them."""
    import polars as pl

    from harness.report import read_results, write_report
    from harness.store import collect
    from harness.summary import summarise

    held = read_results(folder)
    budgets = _budgets(held, table)
    for name, value in _without_none(given).items():
        raise UsageError(f"{folder} holds a bench, whose {name} are kept: leave out {value}")
    suite = Suite.model_validate(held.about["suite"])
    plan = _plan({**suite.model_dump(), "budgets": budgets}, table)
    plan = _replayed(made, plan, folder)
    trials, runs = collect(plan, folder / "cells")
    summary = summarise(trials, runs, {table.name: table})
    save(made, folder)
    others = (pl.col("agent") != made.label) | (pl.col("table") != made.table)
    kept = 0
    for name, old, new in (
        ("trials", held.trials, trials), ("runs", held.runs, runs),
        ("summary", held.summary, summary),
    ):  # fmt: skip
        whole = pl.concat([old.filter(others), new], how="vertical_relaxed")
        write_atomically(folder / f"{name}.parquet", whole.write_parquet)
        kept = whole.height if name == "runs" else kept
    cells = kept + held.about.get("varied_runs", 0) + len(held.about.get("failed", ()))
    about = _about(held.about, made, plan) | {"cells": cells}
    write_text(folder / "bench.json", json.dumps(about, indent=1, ensure_ascii=False))
    write_report(folder)
    return plan


def _about(held: dict[str, Any], made: Import, plan: Plan) -> dict[str, Any]:
    from harness.store import agents_of

    agents = [agent for agent in held["agents"] if agent["label"] != made.label]
    notes = [
        note for note in held["notes"] if not note.startswith(f"{made.label} on {made.table}: ")
    ]
    return held | {"agents": agents + agents_of(plan.cells), "notes": [*notes, *plan.notes]}


def _budgets(held: Results, table: LookupTable) -> list[float]:
    """The bench's budgets of a table that it searched and that is the same today."""
    from harness.cells import table_hash
    from simulator.errors import UnknownName

    entries = [entry for entry in held.about["tables"] if entry["name"] == table.name]
    if not entries:
        known = {entry["name"] for entry in held.about["tables"]}
        raise UnknownName("table in this bench", table.name, known)
    if entries[0]["hash"] != table_hash(table):
        raise UsageError(f"table {table.name!r} is not the one that this bench searched")
    return [float(entry["budget"]) for entry in entries]


def _plan(settings: dict[str, Any], table: LookupTable) -> Plan:
    """The table at its budgets under a suite's settings, with nothing to run."""
    plan = make_plan(
        make_suite({**settings, "agents": ["random"], "tables": [table.name]}),
        [table if table.path is None else table.path],
    )
    return replace(plan, cells=Cells(()), notes=(), varied=Cells(()))


def _replayed(made: Import, plan: Plan, folder: Path) -> Plan:
    cells = Cells(()).joined(replay(made, plan, folder))
    return replace(plan, cells=cells, notes=(made.note(plan.suite.trials),))


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
