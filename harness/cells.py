"""Cells of a bench: one (agent, table, budget, seed) each, and the file that holds one.

A cell's file name ends in a hash of everything that decides its content: settings, code, table.
Changed code or settings look for another file, so results of two versions never mix.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np

from harness.files import write_text
from harness.search import SearchResult
from simulator import Configuration, LookupTable, Trial
from simulator.scrub import held_secrets, hidden

FORMAT = 1
"""Version of a cell's file; another version is another cell."""

TRIAL_COLUMNS = (
    "index", "asked", "answered", "feasible", "reason", "score", "cost", "seconds", "clock",
    "repeated", "examples", "why", "table_score",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """What decides a cell's content. `table` and `label` are names, the hashes say of what;
    `examples` is how many training examples the search sees, None all."""

    agent: str
    label: str
    settings: str
    table: str
    table_hash: str
    code: str
    budget: float
    cost: str
    seed: int
    trials: int
    workers: int
    match: str
    noise: str
    duplicates: str
    examples: int | None = None

    @property
    def content(self) -> dict[str, Any]:
        """All fields by name, as the cell's file holds them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def varied(self) -> str:
        """In words, what sets the cell apart from the bench's own settings; empty for most."""
        fewer = "" if self.examples is None else f", {self.examples} examples"
        return fewer if self.noise == "mean" else f"{fewer}, {self.noise} noise"

    @property
    def key(self) -> str:
        """Hash of all fields but the label, which only names the cell in results."""
        deciding = {k: v for k, v in self.content.items() if k != "label"} | {"format": FORMAT}
        text = json.dumps(deciding, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def file_name(self) -> str:
        """`agent-table-budget-seed-hash.json`, readable as far as names allow."""
        parts = (self.agent, self.table, f"{self.budget:g}", str(self.seed))
        slug = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part)[:40] for part in parts)
        return f"{slug}-{self.key}.json"


Group = tuple[Cell, Sequence[int]]
"""A cell with any seed, and the seeds of the cells that it stands for."""


class Cells(Sequence[Cell]):
    """Cells in groups that differ in their seeds alone, each cell made when it is asked for.

    A hundred thousand cells take the memory of their groups and of one reference a seed.

    >>> one = Cell("a", "a", "{}", "t", "", "", 9.0, "units", 0, 5, 1, "nearest", "mean", "charge")
    >>> cells = Cells([(one, (0, 1, 2))])
    >>> len(cells), cells[2].seed, [cell.seed for cell in cells[:2]]
    (3, 2, [0, 1])
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple((cell, seeds) for cell, seeds in groups if seeds)
        self._ends = tuple(accumulate(len(seeds) for _, seeds in self.groups))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Cell: ...
    @overload
    def __getitem__(self, index: slice) -> list[Cell]: ...
    def __getitem__(self, index: int | slice) -> Cell | list[Cell]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        group = bisect_right(self._ends, at)
        cell, seeds = self.groups[group]
        return replace(cell, seed=seeds[at - self._ends[group]])

    def __iter__(self) -> Iterator[Cell]:
        for cell, seeds in self.groups:
            for seed in seeds:
                yield replace(cell, seed=seed)

    def where(self, condition: Callable[[Cell], bool]) -> Cells:
        """The cells that meet a condition, in the same order."""
        return Cells(
            [
                (cell, tuple(seed for seed in seeds if condition(replace(cell, seed=seed))))
                for cell, seeds in self.groups
            ]
        )

    def joined(self, more: Iterable[Cell]) -> Cells:
        """These cells and then some of other groups."""
        return Cells([*self.groups, *((cell, (cell.seed,)) for cell in more)])


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as one line of JSON with sorted keys."""
    return json.dumps(dict(settings), sort_keys=True, default=str)


def table_hash(table: LookupTable) -> str:
    """Hash of a table's content: its task, and every array of every split."""
    digest = hashlib.blake2b(table.task.model_dump_json().encode(), digest_size=10)
    for name in sorted(table.splits):
        split = table.splits[name]
        arrays = {**split.metrics, " seconds": split.seconds, " examples": split.examples}
        if split.outcomes is not None:
            arrays[" rows"] = split.outcomes.row_of_cell
            for metric, coded in split.outcomes.metrics.items():
                arrays[f" outcomes {coded.coding} {metric}"] = coded.data
                arrays[f" book {metric}"] = coded.book
        for key in sorted(arrays):
            array = np.ascontiguousarray(arrays[key])
            digest.update(f"{name} {key} {array.dtype} {array.shape}\n".encode())
            digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_cell(folder: Path, cell: Cell, result: SearchResult) -> None:
    """Write one finished cell."""
    write_text(folder / cell.file_name, cell_text(cell, result))


def cell_text(cell: Cell, result: SearchResult) -> str:
    """A cell's file: its key, its run and its trials by column, configurations named once."""
    names: dict[str, int] = {}

    def number(configuration: Configuration | None) -> int | None:
        if configuration is None:
            return None
        return names.setdefault(str(configuration), len(names))

    def value(trial: Trial, column: str) -> Any:
        found = getattr(trial, column)
        return number(found) if column in ("asked", "answered") else found

    trials = {
        column: [value(t, column) for t in result.trials]
        for column in TRIAL_COLUMNS
        if column != "table_score"
    }
    trials["table_score"] = list(result.table_scores)
    incumbent = result.incumbent
    run = {
        "kind": result.kind,
        "optimum": result.optimum.score,
        "optimum_configuration": str(result.optimum.configuration),
        "incumbent": number(None if incumbent is None else incumbent.answered),
        "train_score": None if incumbent is None else incumbent.score,
        "test_score": result.test_score,
        "trials_to_optimum": result.trials_to_optimum,
        "search_hours": result.search_hours,
        "finished_early": result.finished_early,
        "usage": dict(result.usage),
        "agent_seconds": result.agent_seconds,
        "lookup_seconds": result.lookup_seconds,
    }
    data = {
        "format": FORMAT,
        "cell": cell.content,
        "run": run,
        "configurations": list(names),
        "trials": trials,
    }
    secrets = held_secrets()
    if secrets:  # reasons are an agent's own words
        data["trials"], data["run"] = hidden(trials, secrets), hidden(run, secrets)
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read_cell(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """A finished cell's content; None where there is none, or what is there is not whole."""
    try:
        data = json.loads((folder / cell.file_name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    stored = data.get("cell")
    if not isinstance(stored, dict) or {**stored, "label": ""} != {**cell.content, "label": ""}:
        return None
    columns = data.get("trials")
    if not isinstance(columns, dict) or set(columns) != set(TRIAL_COLUMNS):
        return None
    if len({len(column) for column in columns.values()}) != 1 or "run" not in data:
        return None
    return data
