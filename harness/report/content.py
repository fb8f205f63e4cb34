"""Everything that a report says, worked out once from a bench's folder and the tables it names."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.leaderboard import Board, model_use
from harness.report import across, curves, deployment, landscapes, paper, varied
from harness.report.curves import Key, Runs, significant
from simulator import Configuration, LookupTable
from simulator.errors import AgentTTSError, UnknownName, UsageError
from simulator.task import Task

if TYPE_CHECKING:
    from harness.report.page import Results

ROWS = (
    "success_rate", "within_rate", "median_trials", "ert", "hours", "hours_missed", "test_score",
    "test_low", "test_high", "regret", "regret_area", "regret_area_low", "regret_area_high",
    "train_score", "infeasible_rate", "repeated_rate", "seconds_per_ask",
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """`data` is what the page embeds (plain, JSON); `tables` what could be opened, by name; `cards`
    their cards; `missing` says why others could not be."""

    data: dict[str, Any]
    tables: Mapping[str, LookupTable]
    missing: Mapping[str, str]
    agents: Sequence[str]

    def boards(self) -> list[Board]:
        """What `summary.md` shows beside the leaderboards."""
        if not self.agents:
            return []
        made = [across.board(self.data["across"], self.agents)]
        made += varied.boards(self.data["varied"], self.data["problems"], self.agents)
        if self.data["paper"]:
            made += paper.boards(self.data["paper"])
        return made + self._payback() + self._usage()

    def in_short(self) -> list[str]:
        """Who is ahead, over all tables and by kind, in a sentence each."""
        return [
            f"{'all' if one['what'] == 'all' else one['what']} ({one['count']}): "
            f"{one['best']} {one['text']}"
            for one in self.data["verdicts"]
        ]

    def _usage(self) -> list[Board]:
        """What agents' language models took, where any has one."""
        taken = [agent for agent in self.data["agents"] if agent["usage"]]
        names = list(dict.fromkeys(name for agent in taken for name in agent["usage"]))
        if not names:
            return []
        rows = tuple(
            (
                agent["label"], str(agent["runs"]), f"{agent['seconds']:.3g}",
                *(f"{agent['usage'].get(name, 0):,.6g}" for name in names),
            )
            for agent in taken
        )  # fmt: skip
        about = "Sums over all runs; own seconds are real ones, in the agent's code and its model."
        columns = ("agent", "runs", "own seconds", *(name.replace("_", " ") for name in names))
        return [Board("What the agents' models took", about, columns, rows, {})]

    def _payback(self) -> list[Board]:
        rows = []
        for problem, entry in zip(self.data["problems"], self.data["payback"], strict=True):
            if not entry:
                continue
            default = next(iter(entry["defaults"]))
            against = entry["defaults"][default]
            for agent in entry["agents"]:
                runs = deployment.median_payback(entry, default, agent)
                rows.append((
                    f"{problem['table']} ({problem['kind']})", f"{problem['budget']:.6g}",
                    self.agents[agent], f"{against['configuration']}",
                    f"{against['cost']:.6g} {entry['cost']}",
                    "never" if runs == float("inf") else f"{runs:,.0f}",
                ))  # fmt: skip
        if not rows:
            return []
        about = (
            "Median over runs of the executions in deployment after which a search has paid for "
            "itself: search cost / (cost of the default - cost of what was found), one execution "
            "being one input through the pipeline, costs in the bench's cost model (in tokens "
            "where that tells no configurations apart). never: what was found is dearer, or scores "
            "less."
        )
        columns = ("table", "budget", "agent", "default", "its cost", "executions")
        return [Board("Payback", about, columns, tuple(rows), {})]


def make_content(results: Results, defaults: Mapping[str, Configuration] | None = None) -> Content:
    """Work everything out. `defaults` are default configurations by table, for the payback."""
    about, runs, trials = results.about, results.runs, results.trials
    tables, missing = open_tables(about)
    for name, configuration in (defaults or {}).items():
        if name not in tables:
            known = {entry["name"] for entry in about.get("tables", ())}
            raise (
                UsageError(missing[name])
                if name in missing
                else UnknownName("table in this bench", name, known)
            )
        tables[name].space.indices(configuration)  # names what is wrong with it
    gathered = curves.gather(trials, runs) if runs.height else {}
    agents = _ranked(results)
    number = {agent: i for i, agent in enumerate(agents)}
    problems = _problems(about, gathered, results)
    keys = list(gathered)
    parts = across.across(results.summary, gathered, agents) if agents else []
    rows = _rows(results, keys, number)
    data: dict[str, Any] = {
        "agents": _agents(about, agents, problems, _usage(results)),
        "problems": problems,
        "tables": {name: _table(table.task) for name, table in tables.items()},
        "rows": rows,
        "verdicts": [across.verdict(part, agents) for part in parts],
        "level": {part["what"]: across.level_with_best(part) for part in parts},
        "curves": [curves.bands(by_agent, number) for by_agent in gathered.values()],
        "paths": landscapes.paths(trials, gathered, number) if agents else [],
        "landscapes": [_landscape(tables, key, len(keys)) for key in keys],
        "across": parts,
        "generalisation": _by_key(deployment.generalisation(runs, number, tables), keys),
        "varied": varied.varied(
            results.varied, keys, number, {e["name"]: e.get("examples") for e in about["tables"]}
        ),
        "fewer": [_quietly(deployment.fewer_examples, tables, key) for key in keys],
        "fronts": {name: deployment.fronts(table) for name, table in tables.items()},
        "by_budget": deployment.by_budget(problems),
        "payback": [
            _payback(tables, key, trials, runs, number, (defaults or {}).get(key[0]))
            for key in keys
        ],
        "paper": _paper(results, tables),
        "sentences": [across.rank_sentence(part, agents) for part in parts],
    }
    return Content(data, tables, missing, agents)


def open_tables(about: Mapping[str, Any]) -> tuple[dict[str, LookupTable], dict[str, str]]:
    """The tables that a bench searched, where they can still be had and have not changed."""
    from harness.cells import table_hash
    from lookup_tables import load

    opened: dict[str, LookupTable] = {}
    missing: dict[str, str] = {}
    for entry in about.get("tables", ()):
        name, source = entry["name"], entry.get("source")
        if name in opened or name in missing:
            continue
        if source is None:
            missing[name] = "the table was given in memory; only its results are known"
            continue
        try:
            table = load(source)
        except AgentTTSError as error:
            missing[name] = f"the table cannot be opened: {error}"
            continue
        if table_hash(table) != entry.get("hash"):
            missing[name] = "the table has changed since; only its results are shown"
            continue
        opened[name] = table
    return opened, missing


def _ranked(results: Results) -> list[str]:
    """Agents, the best overall first."""
    from harness.summary import overall

    if not results.summary.height:
        return []
    return [str(agent) for agent in overall(results.summary)["agent"]]


def _problems(
    about: Mapping[str, Any], gathered: Mapping[Key, Mapping[str, Runs]], results: Results
) -> list[dict[str, Any]]:
    known = {(entry["name"], entry["budget"]): entry for entry in about.get("tables", ())}
    worst = {
        row[:3]: row[3:]
        for row in results.runs.group_by("table", "budget", "cost_model", maintain_order=True)
        .first()
        .select("table", "budget", "cost_model", "kind", "optimum", "worst")
        .iter_rows()
    }
    made = []
    for table, budget, cost in gathered:
        entry = known.get((table, budget), {})
        kind, optimum, low = worst[table, budget, cost]
        made.append({
            "table": table, "budget": budget, "cost": cost, "kind": kind,
            "title": entry.get("title", ""), "metric": entry.get("metric", "score"),
            "optimum": significant(optimum, 6), "worst": significant(low, 6),
            "near": entry.get("near_optimal"),
            "feasible": entry.get("feasible"), "configurations": entry.get("configurations"),
            "asked": entry.get("asked") if isinstance(entry.get("asked"), str) else None,
        })  # fmt: skip
    return made


def _agents(
    about: Mapping[str, Any],
    agents: Sequence[str],
    problems: Sequence[Mapping[str, Any]],
    usage: Mapping[str, dict[str, Any]],
) -> list[dict[str, Any]]:
    from agents.registry import available
    from harness import imported

    registered = available()
    known = {entry["label"]: entry for entry in about.get("agents", ())}
    sources = {entry["name"]: _source(entry) for entry in about.get("tables", ())}
    made = []
    for label in agents:
        entry = known.get(label, {"name": label, "settings": {}, "code": ""})
        info, foreign = registered.get(entry["name"]), entry["name"] == imported.NAME
        about_it = imported.described(entry["settings"]) if foreign else ""
        made.append({
            "label": label, "name": entry["name"], "settings": entry["settings"],
            "code": entry.get("code", ""), "summary": info.summary if info else about_it,
            "llm": bool(info and info.llm),
            "command": "" if foreign
            else _command(entry, problems, sources, about.get("suite", {})),
            **usage[label],
        })  # fmt: skip
    return made


def _usage(results: Results) -> dict[str, dict[str, Any]]:
    """By agent over all its runs: how many, its own real seconds, what its model took."""
    found: dict[str, dict[str, Any]] = {}
    for row in results.summary.iter_rows(named=True):
        mine = found.setdefault(row["agent"], {"runs": 0, "seconds": 0.0, "usage": {}})
        mine["runs"] += row["seeds"]
        mine["seconds"] += row["agent_seconds"]
        for name, value in json.loads(row["usage"]).items():
            mine["usage"][name] = mine["usage"].get(name, 0) + value
    return found


def _source(entry: Mapping[str, Any]) -> str:
    """A table as the command line takes it: its name where it ships, else its folder."""
    from lookup_tables import find, names

    source = entry.get("source") or entry["name"]
    if entry["name"] in names() and Path(source).absolute() == find(entry["name"]).absolute():
        return str(entry["name"])
    return str(source)


def _command(
    entry: Mapping[str, Any],
    problems: Sequence[Mapping[str, Any]],
    sources: Mapping[str, str],
    suite: Mapping[str, Any],
) -> str:
    """A command that runs one of an agent's searches again."""
    if not problems:
        return ""
    first = problems[0]
    words = ["agenttts", "search", sources.get(first["table"], first["table"])]
    words += ["--agent", entry["name"], "--budget", f"{first['budget']:.12g}"]
    if first["cost"] != "units":
        words += ["--cost", first["cost"]]
    words += ["--trials", str(suite.get("trials", 50)), "--seed", "0"]
    for option, usual in (
        ("workers", 1), ("match", "nearest"), ("noise", "mean"), ("duplicates", "charge"),
    ):  # fmt: skip
        if suite.get(option, usual) != usual:
            words += [f"--{option}", str(suite[option])]
    for name, value in entry["settings"].items():
        words += ["--set", f"{name}={_toml(value)}"]
    return " ".join(shlex.quote(word) for word in words)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(task: Task) -> dict[str, Any]:
    return {
        "default_budget": task.default_budget,
        "stages": [
            {
                "name": stage.name,
                "models": [model.name for model in stage.models],
                "samples": list(stage.samples),
            }
            for stage in task.stages
        ],
    }


def _rows(results: Results, keys: Sequence[Key], number: Mapping[str, int]) -> dict[str, Any]:
    position = {key: i for i, key in enumerate(keys)}
    taken = ("tokens", "dollars")
    columns: dict[str, list[Any]] = {name: [] for name in ("agent", "problem", *ROWS, *taken)}
    for row in results.summary.iter_rows(named=True):
        columns["agent"].append(number[row["agent"]])
        columns["problem"].append(position[row["table"], row["budget"], row["cost_model"]])
        for name in ROWS:
            columns[name].append(significant(row[name], 6))
        used = model_use(json.loads(row["usage"]))
        for name in taken:
            per_run = used[name] / row["seeds"] if name in used else None
            columns[name].append(significant(per_run, 6))
    return columns


def _landscape(tables: Mapping[str, LookupTable], key: Key, problems: int) -> Any:
    table, budget, cost = key
    if table not in tables:
        return None
    try:
        return landscapes.landscape(tables[table], budget, cost, problems)
    except AgentTTSError:
        return None


def _quietly(function: Any, tables: Mapping[str, LookupTable], key: Key) -> Any:
    table, budget, cost = key
    try:
        return function(tables[table], budget, cost) if table in tables else None
    except AgentTTSError:
        return None


def _payback(
    tables: Mapping[str, LookupTable],
    key: Key,
    trials: Any,
    runs: Any,
    number: Mapping[str, int],
    given: Configuration | None,
) -> Any:
    if key[0] not in tables:
        return None
    return deployment.payback(tables[key[0]], key, trials, runs, number, given)


def _by_key(found: Mapping[Key, Any], keys: Sequence[Key]) -> list[Any]:
    return [found.get(key) for key in keys]


def _paper(results: Results, tables: Mapping[str, LookupTable]) -> dict[str, Any] | None:
    if not results.summary.height:
        return None
    names = {entry["label"]: entry["name"] for entry in results.about.get("agents", ())}
    budgets = {name: table.task.default_budget for name, table in tables.items()}
    return paper.compare_with_paper(results.summary, budgets, names)
