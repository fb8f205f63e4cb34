"""The paper's Table 1 beside this run: method by task, and in words where they agree.

Paper: AgentTTS, arXiv 2508.00890. Its figures ship as `lookup_tables.reference`; everything said of
this run, and every verdict, is worked out from the run's own summary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.leaderboard import Board
from harness.report.curves import significant

if TYPE_CHECKING:
    import polars as pl

METHODS: Mapping[str, tuple[str, ...]] = {
    "Random": ("random",),
    "BO": ("gp",),
    "LLM_ZS": ("llm-zero-shot",),
    "MLCopilot": ("mlcopilot",),
    "AgentHPO": ("agenthpo",),
    "Ours": ("agenttts",),
}
"""The paper's names of methods, and the agents here that stand for them. `Ours` is AgentTTS."""

OWN = "insight"
"""This project's planner, which the paper does not have."""

_TEST_EXAMPLES = 500
_FOUND = 0.5


def compare_with_paper(
    summary: pl.DataFrame, defaults: Mapping[str, float], agents: Mapping[str, str]
) -> dict[str, Any] | None:
    """The tasks of the paper that this run searched; None where there are none.

    `defaults` are the tables' default budgets in units: the paper's; other budgets are not
    compared. `agents` are registered names by label.
    """
    published = _published()
    tasks, claims = [], []
    for task in dict.fromkeys(row["task"] for row in published):
        import polars as pl

        part = summary.filter(
            (pl.col("table") == task)
            & (pl.col("cost_model") == "units")
            & (pl.col("budget") == defaults.get(task, math.nan))
        )
        if not part.height:
            continue
        made = _task(task, [row for row in published if row["task"] == task], part, agents)
        tasks.append(made)
        claims += _claims(made)
    if not tasks:
        return None
    return {"tasks": tasks, "claims": claims, "sentences": _sentences(tasks, claims)}


def _published() -> list[dict[str, Any]]:
    from lookup_tables import reference

    rows = [dict(row) for row in reference("search_comparison").iter_rows(named=True)]
    rows += [
        {
            "method": {"Bayes": "BO"}.get(row["method"], row["method"]), "task": "textvqa",
            "search_hours": row["search_hours"], "found_best": row["found_best"],
            "test_score": row["performance"], "ci90_low": None, "ci90_high": None,
        }
        for row in reference("textvqa_search").iter_rows(named=True)
    ]  # fmt: skip
    return rows


def _task(
    task: str, published: list[dict[str, Any]], part: pl.DataFrame, agents: Mapping[str, str]
) -> dict[str, Any]:
    by_agent: dict[str, dict[str, Any]] = {}
    for row in part.iter_rows(named=True):
        # Of several settings of one agent the first listed stands for it.
        by_agent.setdefault(agents.get(row["agent"], row["agent"]), row)
    rows = []
    for theirs in published:
        names = METHODS.get(theirs["method"], ())
        ours = next((by_agent[name] for name in names if name in by_agent), None)
        rows.append({
            "method": "AgentTTS" if theirs["method"] == "Ours" else theirs["method"],
            "baseline": theirs["method"] != "Ours",
            "paper_hours": theirs["search_hours"],
            "paper_found": theirs["found_best"],
            "paper_score": theirs["test_score"],
            "paper_low": theirs["ci90_low"],
            "paper_high": theirs["ci90_high"],
            **_here(ours),
        })  # fmt: skip
    own = {"method": None, "baseline": False, **_here(by_agent.get(OWN))}
    there = [r["paper_hours"] for r in rows if r["baseline"] and r["paper_found"]]
    here = [r["hours"] for r in rows if r["baseline"] and r["found"]]
    for row in rows:
        row["ratio_paper"] = _ratio(row["paper_hours"] if row["paper_found"] else None, there)
    for row in (*rows, own):
        row["ratio"] = _ratio(row["hours"] if row["found"] else None, here)
    ours = next((row for row in rows if not row["baseline"]), {})
    first = next(part.iter_rows(named=True))
    return {
        "task": task,
        "kind": first["kind"],
        "budget": first["budget"],
        "rows": rows,
        "own": own if own["agent"] else None,
        "ratio_paper": ours.get("ratio_paper"),
        "ratio_here": ours.get("ratio"),
        "ratio_own": own["ratio"],
    }


def _here(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        names = ("agent", "hours", "missed", "found", "success", "score", "low", "high")
        return dict.fromkeys(names)
    return {
        "agent": row["agent"],
        "hours": significant(row["hours"], 3),
        "missed": row["hours_missed"],
        "found": row["success_rate"] >= _FOUND,
        "success": significant(row["success_rate"], 3),
        "score": significant(row["test_score"], 3),
        "low": significant(row["test_low"], 3),
        "high": significant(row["test_high"], 3),
    }


def _ratio(hours: float | None, baselines: Sequence[float]) -> float | None:
    """Hours over those of the fastest baseline that found the best; None without either."""
    if hours is None or not baselines or min(baselines) <= 0:
        return None
    return significant(hours / min(baselines), 3)


def half_width(score: float, examples: int = _TEST_EXAMPLES) -> float:
    """Half the width of a 90 % interval of a mean of so many outcomes of 0 or 1."""
    return 1.645 * math.sqrt(max(score * (1 - score), 0.0) / examples)


def _claims(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the paper's table says of a task, held against this run: `agrees` is None where this
    run cannot tell."""
    name = task["task"]
    claims = []
    for row in task["rows"]:
        if row["agent"] is None or row["score"] is None:
            continue
        low, high = row["paper_low"], row["paper_high"]
        given = low is not None and high is not None
        if not given:
            half = half_width(row["paper_score"])
            low, high = row["paper_score"] - half, row["paper_score"] + half
        claims.append({
            "task": name, "what": "score", "method": row["method"],
            "agrees": bool(low <= row["score"] <= high),
            "paper": f"{row['paper_score']:.2f}",
            "here": f"{row['score']:.3f}",
            "by": "the paper's 90 % interval" if given else
            f"a 90 % interval of {_TEST_EXAMPLES} test examples around it",
        })  # fmt: skip
        claims.append({
            "task": name, "what": "found", "method": row["method"],
            "agrees": row["paper_found"] == row["found"],
            "paper": "found" if row["paper_found"] else "missed",
            "here": f"in {100 * row['success']:.0f} % of runs",
            "by": "found in at least half of the runs",
        })  # fmt: skip
    claims += _claims_about_ours(task)
    return claims


def _claims_about_ours(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    ours = next(row for row in task["rows"] if not row["baseline"])
    theirs = [row for row in task["rows"] if row["baseline"]]
    claims = []
    paper_best = all(ours["paper_score"] >= row["paper_score"] for row in theirs)
    scored = [row["score"] for row in theirs if row["score"] is not None]
    known = ours["score"] is not None and bool(scored)
    here_best = known and ours["score"] >= max(scored) - 0.005
    claims.append({
        "task": task["task"], "what": "best score", "method": "AgentTTS",
        "agrees": (here_best == paper_best) if known else None,
        "paper": "none scores higher" if paper_best else "a baseline scores higher",
        "here": "not in this run" if not known else
        "none scores higher" if here_best else "a baseline scores higher",
        "by": "scores to the second digit",
    })  # fmt: skip
    paper_fast = task["ratio_paper"]
    here_fast = task["ratio_here"]
    claims.append({
        "task": task["task"], "what": "fewest hours", "method": "AgentTTS",
        "agrees": None if paper_fast is None or here_fast is None
        else (paper_fast < 1) == (here_fast < 1),
        "paper": "no baseline found it" if paper_fast is None else f"{paper_fast:.2f} of the best",
        "here": "cannot be told" if here_fast is None else f"{here_fast:.2f} of the best",
        "by": "hours over those of the fastest baseline that found the optimum",
    })  # fmt: skip
    return claims


def _sentences(
    tasks: Sequence[Mapping[str, Any]], claims: Sequence[Mapping[str, Any]]
) -> list[str]:
    kinds = sorted({task["kind"] for task in tasks})
    names = ", ".join(task["task"] for task in tasks)
    searched = f"Of the paper's tasks this run searched {len(tasks)} ({names})"
    lines = [f"{searched}, as {' and '.join(kinds)} tables at the paper's budget."]
    if "modelled" in kinds:
        lines.append(
            "The shipped modelled tables were fitted to the paper's scores, so agreement in scores "
            "is no evidence for them; how soon a method finds the optimum was not fitted."
        )
    labels = {
        "score": "Test scores of the methods' final configurations",
        "found": "Whether a method finds the optimum",
        "best score": "That no baseline scores higher than AgentTTS",
        "fewest hours": "That AgentTTS needs fewer hours than the fastest baseline",
    }
    for what, label in labels.items():
        mine = [claim for claim in claims if claim["what"] == what]
        tested = [claim for claim in mine if claim["agrees"] is not None]
        if not tested:
            where = f"on {names}" if len(tasks) == 1 else "on any of the tasks"
            lines.append(f"{label}: this run cannot tell {where}.")
            continue
        agree = [claim for claim in tested if claim["agrees"]]
        differ = [_who(claim) for claim in tested if not claim["agrees"]]
        line = f"{label}: agrees in {len(agree)} of {len(tested)} comparisons"
        lines.append(f"{line}; it differs for {', '.join(differ)}." if differ else f"{line}.")
    ratios = [
        row["hours"] / row["paper_hours"]
        for task in tasks for row in task["rows"]
        if row["hours"] and row["paper_hours"]
    ]  # fmt: skip
    if ratios:
        ratios.sort()
        lines.append(
            f"Search hours here are {ratios[0]:.2g} to {ratios[-1]:.2g} times the paper's "
            f"(median {ratios[len(ratios) // 2]:.2g}); seconds of {' and '.join(kinds)} tables are "
            "those of other hardware, so compare ratios between methods, not hours."
        )
    own = [(task["task"], task["ratio_own"]) for task in tasks if task["ratio_own"] is not None]
    if own:
        told = ", ".join(f"{value:.2f} on {name}" for name, value in own)
        lines.append(
            f"Hours of {OWN}, which the paper does not have, over those of the fastest baseline "
            f"that found the optimum: {told}."
        )
    return lines


def _who(claim: Mapping[str, Any]) -> str:
    return f"{claim['method']} on {claim['task']} ({claim['paper']} there, {claim['here']} here)"


def hours(value: float | None, missed: object) -> str:
    """Hours with a star where the best was missed; empty where there are none."""
    return "" if value is None else f"{value:.3g}{'*' if missed else ''}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def boards(paper: Mapping[str, Any]) -> list[Board]:
    """One board a task: the paper's figures and this run's side by side."""
    made = []
    for task in paper["tasks"]:
        rows = []
        for row in task["rows"]:
            low, high = row["paper_low"], row["paper_high"]
            interval = "" if low is None else f" ({low:.3f}–{high:.3f})"
            ours = "" if row["low"] is None else f" ({row['low']:.3f}–{row['high']:.3f})"
            rows.append((
                row["method"], hours(row["paper_hours"], not row["paper_found"]),
                _times(row["ratio_paper"]), f"{row['paper_score']:.2f}{interval}",
                row["agent"] or "not in this run", hours(row["hours"], row["missed"]),
                _times(row["ratio"]),
                "" if row["score"] is None else f"{row['score']:.3f}{ours}",
            ))  # fmt: skip
        own = task["own"]
        if own:
            score = (
                ""
                if own["score"] is None
                else f"{own['score']:.3f} ({own['low']:.3f}–{own['high']:.3f})"
            )
            here = (own["agent"], hours(own["hours"], own["missed"]), _times(own["ratio"]), score)
            rows.append(("–", "", "", "", *here))
        ratio = "; ".join(
            f"{who} over the fastest baseline that found the optimum: {value:.2f}"
            for who, value in (
                ("hours of AgentTTS in the paper", task["ratio_paper"]),
                ("of AgentTTS here", task["ratio_here"]),
                (f"of {OWN} here", task["ratio_own"]),
            )
            if value is not None
        )
        about = f"{task['kind']}; budget {task['budget']:.6g} units"
        columns = (
            "method", "hours (paper)", "ratio (paper)", "score (paper)", "agent", "hours here",
            "ratio here", "score here",
        )  # fmt: skip
        made.append(Board(
            f"The paper's Table 1: {task['task']} ({task['kind']})",
            f"{about}; {ratio}" if ratio else about, columns, tuple(rows), {},
        ))  # fmt: skip
    return made
