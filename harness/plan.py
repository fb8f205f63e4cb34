"""From a suite to the cells of a bench: everything is checked here, before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from agents.registry import SHIPPED, agent_class, available
from agents.tuning import tuned
from harness.cells import Cell, settings_text, table_hash
from harness.code_version import Sources, fingerprint, missing_packages
from harness.search import Problem
from harness.suite import AgentEntry, Suite
from harness.work import Chunk
from simulator import LookupTable
from simulator.errors import MissingExtra, UnknownName, UsageError
from simulator.simulator import Duplicates, Match, Noise

Tables = Sequence[str | Path | LookupTable]


@dataclass(frozen=True)
class TableAtBudget:
    """A table at one budget, and what its results are measured against.

    `best` is the optimum and `worst` the lowest feasible score on the search split.
    """

    table: LookupTable
    source: str | LookupTable
    hash: str
    budget: float
    best: float
    worst: float
    near_optimal: int


@dataclass(frozen=True)
class Plan:
    """All cells of a bench, in the order of its results, and what was left out (`notes`)."""

    suite: Suite
    cells: tuple[Cell, ...]
    tables: tuple[TableAtBudget, ...]
    settings: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()
    _where: Mapping[tuple[str, float], TableAtBudget] = field(default_factory=dict)

    def at(self, cell: Cell) -> TableAtBudget:
        """The table of a cell at its budget."""
        return self._where[cell.table_hash, cell.budget]

    def chunks(self, cells: Sequence[Cell], size: int, parent: int) -> Iterator[Chunk]:
        """Cells in groups of one agent, table and budget: tables outermost, so that a worker
        keeps the table that it has loaded."""
        groups: dict[tuple[str, float, str], list[Cell]] = {}
        for cell in cells:
            groups.setdefault((cell.table_hash, cell.budget, cell.label), []).append(cell)
        order = {(t.hash, t.budget): i for i, t in enumerate(self.tables)}
        for key in sorted(groups, key=lambda key: order[key[0], key[1]]):
            group = groups[key]
            for start in range(0, len(group), size):
                part = tuple(group[start : start + size])
                yield Chunk(self.at(part[0]).source, self.settings[part[0].label], part, parent)


def make_plan(suite: Suite, tables: Tables | None = None) -> Plan:
    """Resolve a suite; `tables` replaces its tables by folders or by tables in memory.

    Raises what `agenttts` prints as one line: `UnknownName`, `MissingExtra`, `BudgetTooSmall`,
    `TableError`, `UsageError`.
    """
    sources: Sources = {}
    notes: list[str] = []
    entries = _agents(suite, sources, notes)
    code = {entry.name: code_of(entry.name, sources) for entry in entries}
    ready = _tables(suite, tables)
    cells = tuple(
        Cell(
            agent=entry.name,
            label=entry.shown,
            settings=settings_text(entry.settings),
            table=at.table.name,
            table_hash=at.hash,
            code=code[entry.name],
            budget=at.budget,
            cost=suite.cost,
            seed=seed,
            trials=suite.trials,
            workers=suite.workers,
            match=suite.match,
            noise=suite.noise,
            duplicates=suite.duplicates,
        )
        for at in ready
        for entry in entries
        for seed in suite.seeds
    )
    settings = {entry.shown: dict(entry.settings) for entry in entries}
    where = {(at.hash, at.budget): at for at in ready}
    return Plan(suite, cells, tuple(ready), settings, tuple(notes), where)


def code_of(agent: str, sources: Sources | None = None) -> str:
    """A hash of the code that a search by this agent runs (`harness.code_version`)."""
    known = available()
    target = known[agent].target if agent in known else agent
    return fingerprint("harness.search", target.partition(":")[0], sources=sources)


def _agents(suite: Suite, sources: Sources, notes: list[str]) -> list[AgentEntry]:
    known = available()
    if not suite.agents:
        entries = []
        for info in known.values():
            missing = [] if info.llm else missing_packages(info.target, sources)
            if missing:
                extra = f"pip install 'agenttts[{info.extra}]'" if info.extra else "not installed"
                notes.append(f"left out {info.name}: it needs {', '.join(missing)} ({extra})")
            elif not info.llm:
                entries.append(AgentEntry(name=info.name))
        return entries
    entries = [_tuned(entry) for entry in suite.agents]
    for entry in entries:
        if entry.name in known:
            info = known[entry.name]
            missing = missing_packages(info.target, sources)
            if missing:
                raise MissingExtra(missing[0], info.extra or "all", f"the agent {entry.name!r}")
        elif ":" not in entry.name:
            raise UnknownName("agent", entry.name, known)
        if entry.settings or entry.name not in known:
            _check_settings(entry)
    return entries


def _tuned(entry: AgentEntry) -> AgentEntry:
    """The entry with the settings that its `tuning` stands for, which decide its cells."""
    if "tuning" not in entry.settings or entry.name not in SHIPPED:
        return entry
    settings = tuned(entry.name, entry.settings)
    return entry.model_copy(update={"settings": settings, "label": entry.shown})


def _check_settings(entry: AgentEntry) -> None:
    """Import the agent and check its settings' names, as making it would."""
    import inspect

    parameters = inspect.signature(agent_class(entry.name)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    names = [parameter.name for parameter in parameters][2:]
    for name in entry.settings:
        if name not in names:
            raise UnknownName(f"setting of agent {entry.name!r}", name, names)


def _tables(suite: Suite, given: Tables | None) -> list[TableAtBudget]:
    sources: Tables = given if given is not None else suite.tables
    if given is None and not suite.tables:
        from lookup_tables import names

        sources = tuple(names())
    if not sources:
        raise UsageError("there are no tables to run")
    ready: list[TableAtBudget] = []
    named: dict[str, str | LookupTable] = {}
    for source in sources:
        table, where = _open(source)
        if table.name in named:
            raise UsageError(f"two of the tables are called {table.name!r}")
        named[table.name] = where
        content = table_hash(table)
        for budget in suite.budgets or (None,):
            simulator = Problem.of(
                table,
                budget=budget,
                cost=suite.cost,
                match=cast(Match, suite.match),
                noise=cast(Noise, suite.noise),
                duplicates=cast(Duplicates, suite.duplicates),
            ).simulator
            ready.append(
                TableAtBudget(
                    table, where, content, simulator.budget, simulator.optimum.score,
                    float(simulator.scores[simulator.feasible_cells].min()),
                    simulator.near_optimal(0.01),
                )
            )  # fmt: skip
    return ready


def _open(source: str | Path | LookupTable) -> tuple[LookupTable, str | LookupTable]:
    if isinstance(source, LookupTable):
        return source, source
    from lookup_tables import load

    table = load(str(source))
    return table, table if table.path is None else str(table.path)
