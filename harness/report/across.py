"""Agents across tables: ranks and tests, profiles, probability of improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import statistics
from harness.leaderboard import Board
from harness.measures import Floats
from harness.report.curves import Key, Runs, rounded, significant
from simulator.errors import MissingExtra

if TYPE_CHECKING:
    import polars as pl

_SEED = 20_250_892
_DRAWS = 1000


def across(
    summary: pl.DataFrame, gathered: Mapping[Key, Mapping[str, Runs]], agents: Sequence[str]
) -> list[dict[str, Any]]:
    """Statistics over all problems and, where there are several, over each kind of table alone.

    A problem is a table at a budget. Ranks are by `regret_area`, profiles by the expected running
    time to within 1 % of the optimum. Agents are numbers in the order of `agents`.
    """
    kinds = summary["kind"].unique(maintain_order=True).to_list()
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
    area, ert = (_matrix(part, column, keys, agents) for column in ("regret_area", "ert_within"))
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
        "problems": found.problems,
        "left_out": len(keys) - found.problems,
        "tables": part["table"].n_unique(),
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
    problems = f"{part['problems']} problem{'s' if part['problems'] != 1 else ''}"
    kind = "" if part["what"] == "all" else f"{part['what']} "
    start = f"Over {problems} ({part['tables']} {kind}table{'s' if part['tables'] != 1 else ''})"
    if part["p"] is None:
        return f"{start} there is too little to test whether agents differ."
    name = "Friedman's" if part["test"] == "friedman" else "Wilcoxon's signed-rank"
    p = "p < 0.001" if part["p"] < 0.001 else f"p = {part['p']:.3g}"
    if part["p"] >= statistics.ALPHA:
        return f"{start} {name} test finds no difference between agents ({p})."
    if part["critical_difference"] is None:
        return f"{start} {name} test finds that the agents differ ({p})."
    best = part["agents"][int(np.nanargmin(np.array(part["ranks"], dtype=float)))]
    with_best = [g for g in part["groups"] if best in g]
    equals = [agents[i] for group in with_best for i in group if i != best]
    cd = f"{part['critical_difference']:.2f}"
    behind = (
        f"not told apart from it: {', '.join(equals)}" if equals else "all others rank behind it"
    )
    return (
        f"{start} {name} test finds that agents differ ({p}). The best rank is {agents[best]}'s; "
        f"{behind} (Nemenyi, critical difference {cd} ranks at 0.05)."
    )


def board(parts: Sequence[Mapping[str, Any]], agents: Sequence[str]) -> Board:
    """The same as a board for `summary.md`: all problems, agents by rank."""
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
