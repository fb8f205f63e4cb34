"""Results of a bench on disk: its cells put together, its measures, and what made them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cells import TRIAL_COLUMNS, Cell, Cells, Group, read_cell
from harness.code_version import versions
from harness.files import write_atomically, write_text
from harness.plan import Plan
from harness.summary import VARIED, summarise, summarise_varied
from simulator.scrub import held_secrets, hidden, scrub

if TYPE_CHECKING:
    import polars as pl

    from simulator import LookupTable

_CELLS_AT_ONCE = 2000
_GROUP = ("agent", "table", "kind", "budget", "cost_model", "seed")


def write_results(
    plan: Plan, folder: Path, failed: Sequence[str], seconds: float, command: str
) -> tuple[float, float]:
    """Write `trials.parquet`, `runs.parquet`, `summary.parquet` and `bench.json`, each whole, and
    `varied.parquet` where the suite varies examples or noise.

    Returns the agents' and the lookups' own seconds, summed over the finished cells.
    """
    trials, runs = collect(plan, folder / "cells")
    tables = {at.table.name: at.table for at in plan.tables}
    summary = summarise(trials, runs, tables)
    varied_runs = _write_varied(plan, folder, runs, tables)
    for name, frame in (("trials", trials), ("runs", runs), ("summary", summary)):
        write_atomically(folder / f"{name}.parquet", frame.write_parquet)
    agent_seconds = float(runs["agent_seconds"].sum())
    lookup_seconds = float(runs["lookup_seconds"].sum())
    about = {
        "command": scrub(command),
        "suite": plan.suite.model_dump(mode="json"),
        "agents": agents_of(plan.cells),
        "same_in_every_seed": same_in_every_seed(trials),
        "tables": [
            {
                "name": at.table.name,
                "kind": at.table.kind,
                "title": at.table.task.title,
                "metric": at.table.task.metric,
                "source": at.source if isinstance(at.source, str) else None,
                "hash": at.hash,
                "budget": at.budget,
                "asked": at.asked,
                "optimum": at.best,
                "near_optimal": at.near_optimal,
                "feasible": at.feasible,
                "configurations": at.configurations,
                "examples": at.examples,
            }
            for at in plan.tables
        ],
        "cells": len(plan.all_cells),
        "varied_runs": varied_runs,
        "failed": list(failed),
        "notes": list(plan.notes),
        "seconds": seconds,
        "agent_seconds": agent_seconds,
        "lookup_seconds": lookup_seconds,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": versions(frozenset({"simulator", "numpy", "numba", "polars", "scipy"})),
    }
    about = hidden(about, held_secrets())
    write_text(folder / "bench.json", json.dumps(about, indent=1, ensure_ascii=False))
    return agent_seconds, lookup_seconds


def _write_varied(
    plan: Plan, folder: Path, runs: pl.DataFrame, tables: Mapping[str, LookupTable]
) -> int:
    """Write `varied.parquet`, beside the variants the suite's own terms; how many runs varied."""
    import polars as pl

    path = folder / "varied.parquet"
    if not plan.varied:
        path.unlink(missing_ok=True)
        return 0
    groups: dict[tuple[str, int | None], list[Group]] = {(plan.suite.noise, None): []}
    for group in plan.varied.groups:
        groups.setdefault((group[0].noise, group[0].examples), []).append(group)
    frames, n = [], 0
    for (noise, examples), cells in groups.items():
        found = _gathered(plan, Cells(cells), folder / "cells")[1] if cells else runs
        n += found.height if cells else 0
        terms = (
            pl.lit(noise).alias(VARIED[0]), pl.lit(examples, dtype=pl.Int64).alias(VARIED[1])
        )  # fmt: skip
        frames.append(found.with_columns(terms))
    searched = {(cell.table, cell.budget) for cell, _ in plan.varied.groups}
    together = pl.concat(frames)
    kept = pl.struct("table", "budget").is_in([{"table": t, "budget": b} for t, b in searched])
    varied = summarise_varied(together.filter(kept), tables)
    write_atomically(path, varied.write_parquet)
    return n


def agents_of(cells: Cells) -> list[dict[str, Any]]:
    """The cells' agents as `bench.json` lists them."""
    found = {}
    for cell, _ in cells.groups:
        found[cell.label] = {
            "label": cell.label,
            "name": cell.agent,
            "settings": json.loads(cell.settings),
            "code": cell.code,
        }
    return list(found.values())


def collect(plan: Plan, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The finished cells of a plan as one frame of trials and one of runs, in the plan's order."""
    return _gathered(plan, plan.cells, folder)


def _gathered(plan: Plan, cells: Sequence[Cell], folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    import polars as pl

    starts = range(0, max(len(cells), 1), _CELLS_AT_ONCE)
    parts = [_collect(plan, cells[i : i + _CELLS_AT_ONCE], folder) for i in starts]
    trials, runs = zip(*parts, strict=True)
    return pl.concat(trials, rechunk=True), pl.concat(runs, rechunk=True)


def _collect(plan: Plan, cells: Sequence[Cell], folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`collect` of some cells: values are Python's own, some ten times as large, until the end."""
    import polars as pl

    trials: dict[str, list[Any]] = {name: [] for name in (*_GROUP, "number", *TRIAL_COLUMNS)}
    extra: dict[str, list[Any]] = {"incumbent": [], "incumbent_score": [], "regret": []}
    runs: dict[str, list[Any]] = {name: [] for name in _RUN_TYPES}
    for cell in cells:
        data = read_cell(folder, cell)
        if data is None:
            continue
        at, run, columns = plan.at(cell), data["run"], data["trials"]
        names = data["configurations"]
        n = len(columns["index"])
        group = (cell.label, cell.table, at.table.kind, cell.budget, cell.cost, cell.seed)
        for name, value in zip(_GROUP, group, strict=True):
            trials[name].extend([value] * n)
        trials["number"].extend(range(1, n + 1))
        for name in TRIAL_COLUMNS:
            values = columns[name]
            if name in ("asked", "answered"):
                values = [None if value is None else names[value] for value in values]
            trials[name].extend(values)
        best = incumbents(columns, at.best)
        series: tuple[Sequence[Any], ...] = best
        for name, found in zip(extra, series, strict=True):
            if name == "incumbent":
                found = [None if value is None else names[value] for value in found]
            extra[name].extend(found)
        row = _run_row(run, columns, best, names)
        constants = dict(zip(_GROUP, group, strict=True))
        constants |= {"worst": at.worst, "allowed": cell.trials}
        for name, column in runs.items():
            column.append((constants | row)[name])
    return (
        pl.DataFrame({**trials, **extra}, schema=_trial_schema(pl), strict=False),
        pl.DataFrame(runs, schema=_schema(pl, _RUN_TYPES), strict=False),
    )


def same_in_every_seed(trials: pl.DataFrame) -> list[str]:
    """Agents that asked the same, trial by trial, in every one of several seeds on every table:
    their runs of a table are one run counted often, which no interval over seeds can tell."""
    import polars as pl

    problem = ["agent", "table", "budget", "cost_model"]
    seeds = trials.group_by(problem).agg(pl.col("seed").n_unique().alias("seeds"))
    asked = trials.group_by([*problem, "number"]).agg(
        pl.col("asked").n_unique().alias("asked"), pl.col("seed").n_unique().alias("reached")
    )
    alike = (
        asked.join(seeds, on=problem)
        .group_by("agent")
        .agg(
            ((pl.col("asked") == 1) & (pl.col("reached") == pl.col("seeds"))).all().alias("same"),
            pl.col("seeds").min(),
        )
        .filter(pl.col("same") & (pl.col("seeds") > 1))
    )
    return sorted(alike["agent"].to_list())


def incumbents(
    columns: Mapping[str, Sequence[Any]], optimum: float
) -> tuple[list[int | None], list[float | None], list[float | None]]:
    """After each trial: the incumbent's configuration, its score, and the regret of its table
    score (without noise) against the optimum; None before the first feasible trial."""
    who: list[int | None] = []
    scores: list[float | None] = []
    regrets: list[float | None] = []
    configuration: int | None = None
    best: float | None = None
    regret: float | None = None
    for answered, score, table_score, examples in zip(
        columns["answered"], columns["score"], columns["table_score"], columns["examples"],
        strict=True,
    ):  # fmt: skip
        if score is not None and examples is None and (best is None or score > best):
            configuration, best, regret = answered, score, optimum - table_score
        who.append(configuration)
        scores.append(best)
        regrets.append(regret)
    return who, scores, regrets


def _run_row(
    run: Mapping[str, Any],
    columns: Mapping[str, Sequence[Any]],
    best: tuple[list[int | None], list[float | None], list[float | None]],
    names: Sequence[str],
) -> dict[str, Any]:
    n = len(columns["index"])
    return {
        "optimum": run["optimum"],
        "trials": n,
        "infeasible": n - sum(columns["feasible"]),
        "repeated": sum(columns["repeated"]),
        "incumbent": None if run["incumbent"] is None else names[run["incumbent"]],
        "train_score": run["train_score"],
        "regret": best[2][-1] if n else None,
        "test_score": run["test_score"],
        "trials_to_optimum": run["trials_to_optimum"],
        "search_hours": run["search_hours"],
        "finished_early": run["finished_early"],
        "usage": json.dumps(run["usage"], sort_keys=True),
        "agent_seconds": run["agent_seconds"],
        "lookup_seconds": run["lookup_seconds"],
    }


_GROUP_TYPES = {
    "agent": "String", "table": "String", "kind": "String", "budget": "Float64",
    "cost_model": "String", "seed": "Int64",
}  # fmt: skip
_TRIAL_TYPES = {
    **_GROUP_TYPES,
    "number": "Int64", "index": "Int64", "asked": "String", "answered": "String",
    "feasible": "Boolean", "reason": "String", "score": "Float64", "cost": "Float64",
    "seconds": "Float64", "clock": "Float64", "repeated": "Boolean", "examples": "Int64",
    "why": "String", "table_score": "Float64", "incumbent": "String",
    "incumbent_score": "Float64", "regret": "Float64",
}  # fmt: skip
_RUN_TYPES = {
    **_GROUP_TYPES,
    "optimum": "Float64", "worst": "Float64", "allowed": "Int64", "trials": "Int64",
    "infeasible": "Int64", "repeated": "Int64", "incumbent": "String",
    "train_score": "Float64", "regret": "Float64",
    "test_score": "Float64", "trials_to_optimum": "Int64", "search_hours": "Float64",
    "finished_early": "String", "usage": "String", "agent_seconds": "Float64",
    "lookup_seconds": "Float64",
}  # fmt: skip


def _schema(pl: Any, types: Mapping[str, str]) -> dict[str, Any]:
    return {name: getattr(pl, kind) for name, kind in types.items()}


def _trial_schema(pl: Any) -> dict[str, Any]:
    return _schema(pl, _TRIAL_TYPES)
