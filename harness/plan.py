"""From a suite to the cells of a bench: everything is checked here, before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from agents.registry import SHIPPED, agent_class, available
from agents.tuning import tuned
from harness.cells import Cell, Cells, settings_text, table_hash
from harness.code_version import Sources, fingerprint, missing_packages
from harness.search import Problem
from harness.suite import AgentEntry, Suite
from harness.work import Chunk
from simulator import LookupTable, Simulator
from simulator.errors import MissingExtra, UnknownName, UsageError
from simulator.simulator import Duplicates, Match, Noise

Tables = Sequence[str | Path | LookupTable]


@dataclass(frozen=True)
class TableAtBudget:
    """A table at one budget, and what its results are measured against.

    `best` is the optimum and `worst` the lowest feasible score on the search split; `feasible` of
    its `configurations` are within the budget; `asked` is the
    budget as the suite gives it; `examples` is of how many training examples the table holds
    outcomes, None of none.
    """

    table: LookupTable
    source: str | LookupTable
    hash: str
    budget: float
    best: float
    worst: float
    near_optimal: int
    feasible: int = 0
    configurations: int = 0
    asked: float | str | None = None
    examples: int | None = None
    variants: tuple[Variant, ...] = ()


@dataclass(frozen=True)
class Variant:
    """Other terms under which a table is searched again: its noise, and how many examples."""

    noise: str
    examples: int | None


@dataclass(frozen=True)
class Plan:
    """All cells of a bench, in the order of its results, and what was left out (`notes`).

    `cells` are searched on the suite's own terms, `varied` on fewer examples or with other noise.
    """

    suite: Suite
    cells: Cells
    tables: tuple[TableAtBudget, ...]
    settings: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()
    varied: Cells = field(default_factory=lambda: Cells(()))
    _where: Mapping[tuple[str, float], TableAtBudget] = field(default_factory=dict)

    @property
    def all_cells(self) -> Cells:
        """What there is to run."""
        return Cells([*self.cells.groups, *self.varied.groups])

    def at(self, cell: Cell) -> TableAtBudget:
        """The table of a cell at its budget."""
        return self._where[cell.table_hash, cell.budget]

    def chunks(self, cells: Cells, size: int, parent: int) -> Iterator[Chunk]:
        """Cells in chunks of one agent, table, budget and variant: tables outermost, so that a
        worker keeps the table that it has loaded."""
        order = {(t.hash, t.budget): i for i, t in enumerate(self.tables)}
        for first, seeds in sorted(cells.groups, key=lambda g: order[g[0].table_hash, g[0].budget]):
            for start in range(0, len(seeds), size):
                part = tuple(replace(first, seed=seed) for seed in seeds[start : start + size])
                yield Chunk(self.at(first).source, self.settings[first.label], part, parent)


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
    notes += _without_variants(suite, ready)

    def cells(at: TableAtBudget, variant: Variant) -> list[tuple[Cell, tuple[int, ...]]]:
        first = [
            Cell(
                agent=entry.name,
                label=entry.shown,
                settings=settings_text(entry.settings),
                table=at.table.name,
                table_hash=at.hash,
                code=code[entry.name],
                budget=at.budget,
                cost=suite.cost,
                seed=0,
                trials=suite.trials,
                workers=suite.workers,
                match=suite.match,
                noise=variant.noise,
                duplicates=suite.duplicates,
                examples=variant.examples,
            )
            for entry in entries
        ]
        return [(cell, suite.seeds) for cell in first]

    own = Cells([group for at in ready for group in cells(at, Variant(suite.noise, None))])
    varied = Cells([group for at in ready for v in at.variants for group in cells(at, v)])
    settings = {entry.shown: dict(entry.settings) for entry in entries}
    where = {(at.hash, at.budget): at for at in ready}
    return Plan(suite, own, tuple(ready), settings, tuple(notes), varied, where)


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
            if missing and not info.extra:
                raise UsageError(
                    f"the agent {entry.name!r} ({info.source}) needs the package {missing[0]!r}, "
                    "which is not installed"
                )
            if missing:
                raise MissingExtra(missing[0], info.extra, f"the agent {entry.name!r}")
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
                budget=_in_units(budget, table, suite),
                cost=suite.cost,
                match=cast(Match, suite.match),
                noise=cast(Noise, suite.noise),
                duplicates=cast(Duplicates, suite.duplicates),
            ).simulator
            outcomes = simulator.split.outcomes
            ready.append(
                TableAtBudget(
                    table, where, content, simulator.budget, simulator.optimum.score,
                    float(simulator.scores[simulator.feasible_cells].min()),
                    simulator.near_optimal(0.01),
                    len(simulator.feasible_cells), int(simulator.present.sum()), budget,
                    None if outcomes is None else outcomes.n_examples, _variants(suite, simulator),
                )
            )  # fmt: skip
            if any(at.table is table and at.budget == simulator.budget for at in ready[:-1]):
                raise UsageError(f"two budgets of {table.name!r} are {simulator.budget:.6g}")
    return ready


def _in_units(budget: float | str | None, table: LookupTable, suite: Suite) -> float | None:
    """A budget in the suite's cost model; `0.5x` is that multiple of the table's own."""
    if not isinstance(budget, str):
        return budget
    if suite.cost != "units":
        raise UsageError(
            f"budget {budget!r} is a multiple of a table's own budget, which is in units: with "
            f"cost {suite.cost!r} give numbers"
        )
    return float(budget.removesuffix("x")) * table.task.default_budget


def _variants(suite: Suite, simulator: Simulator) -> tuple[Variant, ...]:
    """On what other terms a table can be searched: those that need outcomes only if it has them."""
    outcomes = simulator.split.outcomes
    metric = simulator.task.metric
    held = outcomes is not None and metric in outcomes.metrics
    if outcomes is not None and held:
        held = bool((outcomes.rows(simulator.feasible_cells) >= 0).all())
    noises = [n for n in suite.vary_noise if n != suite.noise and (n == "mean" or held)]
    sizes = suite.vary_examples if outcomes is not None and held else ()
    fewer = [size for size in sizes if outcomes is not None and size < outcomes.n_examples]
    return (
        *(Variant(suite.noise, size) for size in fewer), *(Variant(n, None) for n in noises),
    )  # fmt: skip


def _without_variants(suite: Suite, ready: Sequence[TableAtBudget]) -> list[str]:
    """A note of the tables that cannot be searched on the other terms that a suite asks for."""
    if not suite.vary_examples and not suite.vary_noise:
        return []
    names = dict.fromkeys(at.table.name for at in ready if not at.variants)
    if not names:
        return []
    return [f"not searched on fewer examples or with other noise: {', '.join(names)}"]


def _open(source: str | Path | LookupTable) -> tuple[LookupTable, str | LookupTable]:
    if isinstance(source, LookupTable):
        return source, source
    from lookup_tables import load

    table = load(str(source))
    return table, table if table.path is None else str(table.path)
