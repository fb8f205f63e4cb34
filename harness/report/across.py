"""Agents across tables: ranks and tests, profiles, probability of improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import statistics
from harness.leaderboard import KINDS, Board
from harness.measures import Floats
from harness.report.curves import Key, Runs, rounded, significant
from harness.summary import area_by_table
from simulator.errors import MissingExtra

if TYPE_CHECKING:
    import polars as pl

_SEED = 20_250_892
_DRAWS = 1000
_FEW = 10
"""Tables under which Nemenyi's test tells but the furthest of ten agents apart."""


def across(
    summary: pl.DataFrame, gathered: Mapping[Key, Mapping[str, Runs]], agents: Sequence[str]
) -> list[dict[str, Any]]:
    """Statistics over all tables and, where there are several, over each kind of table alone.

    Ranks and their tests are over tables, by `regret_area`, the mean over a table's budgets.
    Profiles, by the expected running time to within 1 % of the optimum, and the probability of
    improvement are over problems: a table at a budget. Agents are numbers in the order of `agents`.
    """
    kinds = [kind for kind in KINDS if kind in summary["kind"].unique()]
    parts = [("all", summary)]
    if len(kinds) > 1:
        import polars as pl

        parts += [(kind, summary.filter(pl.col("kind") == kind)) for kind in kinds]
    return [_of(what, part, gathered, agents) for what, part in parts]


def _of(
    what: str,
    part: pl.DataFrame,
    gathered: Mapping[Key, Mapping[str, Runs]],
    agents: Sequence[str],
) -> dict[str, Any]:
    keys: list[Key] = list(
        part.select("table", "budget", "cost_model").unique(maintain_order=True).iter_rows()
    )
    area, ert = area_by_table(part, agents), _matrix(part, "ert_within", keys, agents)
    present = [i for i in range(len(agents)) if not np.isnan(area[:, i]).all()]
    found = statistics.rank_test(area[:, present])
    improvement = statistics.probability_of_improvement(
        [[_areas(gathered, key, agents[i]) for i in present] for key in keys],
        np.random.default_rng(_SEED),
        _DRAWS,
    )
    return {
        "what": what,
        "agents": present,
        "problems": len(keys),
        "tables": part["table"].n_unique(),
        "ranked": found.problems,
        "ranks": rounded(found.ranks, 5),
        "test": found.test,
        "statistic": significant(found.statistic),
        "p": significant(found.p, 3),
        "critical_difference": significant(found.critical_difference),
        "groups": [[present[i] for i in group] for group in found.groups],
        "nemenyi": _nemenyi(area[:, present]),
        "profile": _profile(ert[:, present], present),
        "improvement": [rounded(row, 3) for row in improvement.probability],
        "improvement_low": [rounded(row, 3) for row in improvement.low],
        "improvement_high": [rounded(row, 3) for row in improvement.high],
    }


def _matrix(part: pl.DataFrame, column: str, keys: Sequence[Key], agents: Sequence[str]) -> Floats:
    values = np.full((len(keys), len(agents)), np.nan)
    row, position = {key: i for i, key in enumerate(keys)}, {a: i for i, a in enumerate(agents)}
    for table, budget, cost, agent, value in part.select(
        "table", "budget", "cost_model", "agent", column
    ).iter_rows():
        values[row[table, budget, cost], position[agent]] = np.nan if value is None else value
    return values


def _areas(gathered: Mapping[Key, Mapping[str, Runs]], key: Key, agent: str) -> Floats | None:
    runs = gathered.get(key, {}).get(agent)
    return None if runs is None else runs.area


def _nemenyi(values: Floats) -> list[list[float | None]] | None:
    table = statistics.complete_problems(values)
    if table.shape[0] < 2 or table.shape[1] < 3:
        return None
    try:
        return [rounded(row, 3) for row in statistics.nemenyi(table)]
    except MissingExtra:
        return None


def _profile(ert: Floats, present: Sequence[int]) -> dict[str, Any]:
    ratios = statistics.performance_ratios(ert)
    known = ratios[np.isfinite(ratios)]
    largest = float(known.max()) if known.size else 1.0
    taus = np.unique(np.concatenate([np.geomspace(1, max(largest * 1.1, 2.0), 60), known]))
    if len(taus) > 160:
        taus = np.geomspace(1, largest * 1.1, 160)
    shares = statistics.performance_profile(ratios, taus)
    return {
        "taus": rounded(taus),
        "shares": {i: rounded(row, 3) for i, row in zip(present, shares, strict=True)},
    }


def rank_sentence(part: Mapping[str, Any], agents: Sequence[str]) -> str:
    """What the tests say, in words."""
    kind = "" if part["what"] == "all" else f"{part['what']} "
    start = f"Over {part['ranked']} {kind}table{'s' if part['ranked'] != 1 else ''}"
    if part["ranked"] < part["tables"]:
        start += f" (of {part['tables']}: those that every agent searched)"
    if part["p"] is None:
        return f"{start} there is too little to test whether agents differ."
    name = "Friedman's" if part["test"] == "friedman" else "Wilcoxon's signed-rank"
    p = "p < 0.001" if part["p"] < 0.001 else f"p = {part['p']:.3g}"
    if part["p"] >= statistics.ALPHA:
        return f"{start} {name} test finds no difference between agents ({p})."
    if part["critical_difference"] is None:
        return f"{start} {name} test finds that the agents differ ({p})."
    level = level_with_best(part)
    cd = f"{part['critical_difference']:.2f}"
    equals = [agents[i] for i in level[1:]]
    behind = (
        f"not told apart from it: {', '.join(equals)}" if equals else "all others rank behind it"
    )
    return (
        f"{start} {name} test finds that agents differ ({p}). The best rank is "
        f"{agents[level[0]]}'s; {behind} (Nemenyi, critical difference {cd} ranks at 0.05)."
    )


def level_with_best(part: Mapping[str, Any]) -> list[int]:
    """The agent of the best rank, then those that Nemenyi's test does not tell apart from it.

    All agents where there was too little to test, or no difference was found.
    """
    ranks = dict(zip(part["agents"], part["ranks"], strict=True))
    known = [agent for agent in part["agents"] if ranks[agent] is not None]
    order = sorted(known, key=lambda agent: float(ranks[agent]))
    differ = part["p"] is not None and part["p"] < statistics.ALPHA
    if not differ or not order:
        return order
    if part["critical_difference"] is None:
        return order[:1]
    inside = {agent for group in part["groups"] if order[0] in group for agent in group}
    return [agent for agent in order if agent in inside or agent == order[0]]


def verdict(part: Mapping[str, Any], agents: Sequence[str]) -> dict[str, Any]:
    """Who is ahead over some tables and how sure one can be, in a sentence for the page's top."""
    count = f"{part['tables']} table{'s' if part['tables'] != 1 else ''}"
    if part["ranked"] < part["tables"]:
        count = f"{part['ranked']} of {count}"
    level = level_with_best(part)
    if len(part["agents"]) < 2 or not level:
        return {"what": part["what"], "count": count, "best": "", "text": "nothing to compare."}
    where = {agent: i for i, agent in enumerate(part["agents"])}

    def rank(agent: int) -> float:
        found = part["ranks"][where[agent]]
        return float("inf") if found is None else float(found)

    order = sorted(where, key=rank)
    best, second = level[0], order[1]
    first = [agents[agent] for agent in order if rank(agent) == rank(best)]
    behind = [agents[agent] for agent in order if agent not in level]
    tied = [agents[agent] for agent in level[1:]]
    few = " over so few tables" if part["ranked"] < _FEW else ""
    if part["p"] is None:
        sure = "Too few tables to test whether that is more than luck."
    elif not behind:
        sure = f"No other agent can be told apart from it{few}."
    elif not tied:
        sure = "All others are behind by more than luck."
    elif len(behind) < len(tied):
        sure = f"Of the others only {_listed(behind)} {_are(behind)} behind by more than luck."
    else:
        sure = f"{_listed(tied)} {_are(tied)} not told apart from it, all others are behind."
    alone = len(first) == 1
    with_it = "" if alone else f", level with {_listed(first[1:])}"
    text = f"ranks first ({rank(best):.2f} of {len(order)}){with_it}. {sure}"
    i, j = where[best], where[second]
    if part["improvement"][i][j] is not None:
        share, low, high = (
            f"{100 * part[name][i][j]:.0f}"
            for name in ("improvement", "improvement_low", "improvement_high")
        )
        between = f" ({low}–{high} %)" if low != high else ""
        text += f" A run of it beats one of {agents[second]} {share} % of the time{between}."
    return {"what": part["what"], "count": count, "best": agents[best], "text": text}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def board(parts: Sequence[Mapping[str, Any]], agents: Sequence[str]) -> Board:
    """The same as a board for `summary.md`: all tables, agents by rank."""
    part = parts[0]
    order = sorted(range(len(part["agents"])), key=lambda i: part["ranks"][i] or np.inf)
    rows, reference = [], order[0]
    for i in order:
        share = part["profile"]["shares"][part["agents"][i]]
        better = part["improvement"][reference][i]
        interval = ""
        if i != reference and better is not None:
            low, high = (
                part["improvement_low"][reference][i],
                part["improvement_high"][reference][i],
            )
            interval = f"{better:.2f} ({low:.2f}–{high:.2f})"
        nemenyi = part["nemenyi"]
        p = "" if nemenyi is None or i == reference else f"{nemenyi[reference][i]:.3g}"
        rank = part["ranks"][i]
        rows.append((
            agents[part["agents"][i]], "–" if rank is None else f"{rank:.2f}", p,
            interval, f"{share[0]:.0%}".replace("%", " %"), f"{share[-1]:.0%}".replace("%", " %"),
        ))  # fmt: skip
    columns = ("agent", "rank", "p (Nemenyi)", "best agent beats it", "fastest", "solved")
    about = (
        f"{rank_sentence(part, agents)} best agent beats it: how likely a run of the best agent "
        "beats one of this one, by area, with a 90 % interval. fastest: share of problems on which "
        "it needs the fewest expected trials to within 1 %; solved: on which it gets there at all."
    )
    return Board("Across tables", about, columns, tuple(rows), {})
