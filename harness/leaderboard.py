"""The leaderboard as text: rows of cells first, then a terminal's tables or Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.summary import overall

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

COLUMNS = (
    "agent", "optimum", "within 1 %", "median trials", "ERT", "hours", "test score", "90 %",
    "regret", "area", "area 90 %", "infeasible", "repeated", "s/ask",
)  # fmt: skip
_WIDE_ALONE = frozenset({"regret", "area", "area 90 %", "infeasible", "repeated"})
KINDS = ("measured", "published", "modelled")


@dataclass(frozen=True)
class Board:
    """One leaderboard: a heading, a line about it, column names and rows of text.

    `best` holds, for each column, the rows that are best in it. `wide` names columns that a narrow
    terminal leaves out.
    """

    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: Mapping[int, frozenset[int]]
    wide: frozenset[str] = frozenset()


def boards(summary: pl.DataFrame, about: Mapping[str, Any]) -> list[Board]:
    """The overall board, then one for each table and budget, agents by expected running time.

    `about` is `bench.json`.
    """
    tables = {(t["name"], t["budget"]): t for t in about.get("tables", ())}
    made = []
    if summary.height:
        made.append(_overall(summary))
    problems = summary.select("table", "budget", "cost_model").unique()
    several = dict(problems.group_by("table").len().iter_rows())
    for key, part in summary.group_by("table", "kind", "budget", "cost_model", maintain_order=True):
        table, kind, budget, cost = key
        known = tables.get((table, budget), {})
        near = known.get("near_optimal")
        line = f"{kind}; budget {budget:.6g} {cost}; optimum {part['optimum'][0]:.4g}"
        if known.get("metric"):
            line += f" ({known['metric']})"
        if near is not None:
            line += f"; {near:,} configuration{'' if near == 1 else 's'} within 1 %"
        if known.get("feasible"):
            line += f", {known['feasible']:,} of {known['configurations']:,} within the budget"
        at = f", budget {budget:.6g} {cost}" if several[table] > 1 else ""
        made.append(_board(f"{table} ({kind}){at}", line, part))
    return made


def _overall(summary: pl.DataFrame) -> Board:
    """All tables: ranks, and how often an agent came within 1 %, apart by kind of table."""
    ranked = overall(summary)
    tables = summary.select("table", "kind").unique(maintain_order=True)
    found = tables["kind"].to_list()
    kinds = [kind for kind in KINDS if kind in found]
    apart = {kind: _within(summary, kind) for kind in kinds} if len(kinds) > 1 else {}
    agents = ranked["agent"].to_list()
    columns: list[tuple[str, list[float | None], Callable[[float], str], str]] = [
        ("rank", ranked["rank"].to_list(), "{:.2f}".format, "low"),
        *(
            (within_heading(kind, found.count(kind)), [by_agent.get(a) for a in agents], percent,
             "high")
            for kind, by_agent in apart.items()
        ),
        ("within 1 %", ranked["within_rate"].to_list(), percent, "high"),
        ("optimum", ranked["success_rate"].to_list(), percent, "high"),
        ("regret", ranked["regret"].to_list(), "{:.4f}".format, "low"),
        ("area", ranked["regret_area"].to_list(), "{:.4f}".format, "low"),
        ("infeasible", ranked["infeasible_rate"].to_list(), percent, ""),
        ("repeated", ranked["repeated_rate"].to_list(), percent, ""),
        ("s/ask", ranked["seconds_per_ask"].to_list(), seconds, ""),
    ]  # fmt: skip
    if apart:
        columns = [column for column in columns if column[0] != "within 1 %"]
    rows = tuple(
        (agent, *(_shown(values[r], show) for _, values, show, _ in columns))
        for r, agent in enumerate(agents)
    )
    best = {
        c: _best(values, low=better == "low")
        for c, (_, values, _, better) in enumerate(columns, start=1)
        if better
    }
    heads = ("agent", *(head for head, *_ in columns))
    counted = ", ".join(f"{found.count(kind)} {kind}" for kind in kinds)
    problems = summary.select("table", "budget", "cost_model").unique().height
    noun = "table" if len(found) == 1 else "tables"
    budgets = "" if problems == len(found) else f", {problems} pairs of a table and a budget"
    wide = frozenset({"regret", "infeasible", "repeated"})
    share = "; by kind the share of runs that came within 1 % of the optimum" if apart else ""
    about = f"{len(found)} {noun} ({counted}){budgets}{share}"
    return Board("Overall", about, heads, rows, best, wide)


def within_heading(kind: str, tables: int) -> str:
    """Heading of the share of runs within 1 % on one kind of table."""
    return f"{kind} ({tables})"


def _within(summary: pl.DataFrame, kind: str) -> dict[str, float]:
    part = summary.filter(summary["kind"] == kind).group_by("agent").agg(within="within_rate")
    return {agent: sum(rates) / len(rates) for agent, rates in part.iter_rows()}


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)


def _board(title: str, about: str, part: pl.DataFrame) -> Board:
    ordered = part.sort(
        ["ert", "within_rate", "regret_area", "agent"], descending=[False, True, False, False]
    )
    taken = [model_use(json.loads(text)) for text in ordered["usage"]]
    used = [name for name in ("tokens", "dollars") if any(name in one for one in taken)]
    rows = []
    for row, one in zip(ordered.iter_rows(named=True), taken, strict=True):
        star = "*" if row["hours_missed"] else ""
        rows.append(
            (
                row["agent"], percent(row["success_rate"]), percent(row["within_rate"]),
                trials(row["median_trials"]), trials(row["ert"]), f"{row['hours']:.3g}{star}",
                "–" if row["test_score"] is None else f"{row['test_score']:.4f}",
                "" if row["test_low"] is None
                else f"{row['test_low']:.4f}–{row['test_high']:.4f}",
                f"{row['regret']:.4f}", f"{row['regret_area']:.4f}",
                "" if row["regret_area_low"] == row["regret_area_high"]
                else f"{row['regret_area_low']:.4f}–{row['regret_area_high']:.4f}",
                percent(row["infeasible_rate"]), percent(row["repeated_rate"]),
                seconds(row["seconds_per_ask"]),
                *(
                    f"{one[name] / row['seeds']:,.6g}" if name in one else "–" for name in used
                ),
            )
        )  # fmt: skip
    columns = [ordered[name].to_list() for name in _LOW_IS_BEST.values()]
    best = {
        1: _best(ordered["success_rate"].to_list()),
        2: _best(ordered["within_rate"].to_list()),
        6: _best(ordered["test_score"].to_list()),
    } | {c: _best(values, low=True) for c, values in zip(_LOW_IS_BEST, columns, strict=True)}
    heads = (*COLUMNS, *(f"{name}/run" for name in used))
    return Board(title, about, heads, tuple(rows), best, _WIDE_ALONE)


def model_use(usage: Mapping[str, float]) -> dict[str, float]:
    """Tokens and dollars that language models took, where there were any and prices are known."""
    found = {}
    if "tokens_in" in usage:
        found["tokens"] = usage["tokens_in"] + usage.get("tokens_out", 0.0)
    if "dollars" in usage:
        found["dollars"] = usage["dollars"]
    return found


_LOW_IS_BEST = {3: "median_trials", 4: "ert", 8: "regret", 9: "regret_area"}


def _best(values: Sequence[float | None], *, low: bool = False) -> frozenset[int]:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return frozenset()
    if len(known) > 1 and min(known) == max(known):
        return frozenset()  # what all share is no one's best
    target = min(known) if low else max(known)
    return frozenset(i for i, value in enumerate(values) if value == target)


def percent(value: float) -> str:
    """A rate as a whole percentage; what is not all or nothing never reads so."""
    rounded = round(100 * value)
    if rounded == 100 and value < 1:
        return "99 %"
    return "1 %" if rounded == 0 and value > 0 else f"{rounded} %"


def trials(value: float) -> str:
    """A number of trials; a dash where it is unbounded."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.1f}".removesuffix(".0")


def seconds(value: float) -> str:
    """Seconds with two significant figures or more, down to a tenth of a millisecond."""
    if value < 0.0001:
        return "<.0001"
    return f"{value:.{min(4, max(0, 1 - math.floor(math.log10(value))))}f}"


_MEANINGS = (
    (
        "rank: mean over tables of the rank by area, 1 the best. area: how far from the optimum a "
        "run is on average over its trials (normalised regret: 0 at the optimum, 1 at the worst "
        "feasible score); regret: how far at its end."
    ),
    (
        "optimum: share of runs that reached the best feasible score of the table; within 1 %: "
        "that came within 1 % of it, in the overall board by kind of table (number of tables)."
    ),
    (
        "median trials: to the optimum, a run that missed it counting as later than all others; "
        "ERT: expected running time, all trials spent over the number of runs that reached the "
        "optimum. A dash: too few runs, or none, reached it."
    ),
    (
        "hours: median simulated search time to the optimum. * At least one run missed it; there "
        "the time is to the run's best trial."
    ),
    (
        "infeasible: share of asks over the budget or not in the table; repeated: of asks that "
        "were asked before; s/ask: the agent's own real seconds for each ask, on this machine."
    ),
)
KIND_MEANS = {
    "measured": "the table's scores are from runs of real models, with its provenance.",
    "published": "the table's scores are figures that others have published.",
    "modelled": "the table's scores come from a model, not from runs of engines: no measurement.",
}


def footnotes(summary: pl.DataFrame, about: Mapping[str, Any]) -> list[str]:
    """What the columns mean, what was left out, and how to get the same again."""
    suite = about.get("suite", {})
    seeds, n_trials = len(suite.get("seeds", ())), suite.get("trials")
    interval = (
        f"90 %: bootstrap interval over {_resampled(summary)} of the test score, the mean over "
        f"{seeds} seeds of {n_trials} trials of what the final incumbent scores on the test split."
    )
    notes = [
        *_MEANINGS, interval,
        "area 90 %: bootstrap interval over seeds of the area; none where all seeds are one run.",
        "Bold: the best figure of a column, which may be so by luck; the tests say whether it is.",
    ]  # fmt: skip
    kinds = set(summary["kind"].to_list()) if summary.height else set()
    notes += [f"{kind}: {KIND_MEANS[kind]}" for kind in KINDS if kind in kinds]
    same = about.get("same_in_every_seed", ())
    if same:
        notes.append(
            f"Asked the same in every seed: {', '.join(same)}. The {seeds} runs on a table are one "
            "run, and a rate over them is all or nothing."
        )
    notes.extend(f"Note: {note}." for note in about.get("notes", ()))
    if about.get("failed"):
        notes.append(f"{len(about['failed'])} cells failed and are not counted; see failed/.")
    total = about.get("agent_seconds", 0.0) + about.get("lookup_seconds", 0.0)
    if total > 0:
        share = 100 * about["lookup_seconds"] / total
        notes.append(f"Of {total:.1f} s in agents and lookups, lookups took {share:.1f} %.")
    if about.get("command"):
        notes.append(f"Again: {about['command']}")
    versions = ", ".join(f"{k} {v}" for k, v in sorted(about.get("versions", {}).items()))
    notes.append(f"Made {about.get('date', '')} with {versions} on {about.get('machine', '')}.")
    return notes


def _resampled(summary: pl.DataFrame) -> str:
    """What the intervals were resampled over, in words."""
    found = set(summary["interval_over"].drop_nulls().to_list()) if summary.height else set()
    if found == {"seeds and examples"}:
        return "seeds and examples"
    if "seeds and examples" in found:
        return "seeds (and examples, where the table holds outcomes)"
    return "seeds"


def print_boards(
    console: Console, made: Sequence[Board], notes: Sequence[str], *, failed: Sequence[str] = ()
) -> None:
    """Print to a terminal: the tables first and the overall board last, where the eye ends."""
    from rich.padding import Padding
    from rich.text import Text

    for board in [*made[1:], *made[:1]]:
        console.print()
        console.print(Text(board.title, style="bold"))
        console.print(Text(board.about, style="dim"))
        console.print(_rich(board, console.width))
    console.print()
    for note in notes:
        console.print(Padding(Text(note, style="dim"), (0, 0, 0, 0)))
    for line in failed:
        console.print(Text(f"failed: {line}", style="red"))


_ALL_COLUMNS = 140
_NARROW = {
    "median trials": "median\ntrials", "within 1 %": "within\n1 %", "test score": "test\nscore",
}  # fmt: skip


def _rich(board: Board, width: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    narrow = width < 110
    left_out = board.wide if width < _ALL_COLUMNS else frozenset()
    shown_columns = [i for i, name in enumerate(board.columns) if name not in left_out]
    shown = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0) if narrow else (0, 1),
    )
    headings = {
        i: _NARROW.get(column, column.replace(" (", "\n(")) if narrow else column
        for i, column in enumerate(board.columns)
        if i in shown_columns
    }
    # Labels of agents are folded before a figure is cut.
    longest = [
        max(
            len(text)
            for cell in (heading, *(row[i] for row in board.rows))
            for text in cell.split("\n")
        )
        for i, heading in headings.items()
    ]
    figures = sum(longest[1:]) + (2 if narrow else 3) * (len(longest) - 1)
    labels = max(8, min(16, longest[0], width - figures))
    for i, heading in headings.items():
        shown.add_column(
            heading,
            justify="left" if i == 0 else "right",
            overflow="fold" if i == 0 else "ellipsis",
            no_wrap=i > 0,
            min_width=labels if i == 0 else 0,
            vertical="bottom",
        )
    for r, row in enumerate(board.rows):
        shown.add_row(*(
            Text(row[c], style="bold green" if r in board.best.get(c, ()) else "")
            for c in shown_columns
        ))  # fmt: skip
    return shown


def markdown(made: Sequence[Board], notes: Sequence[str], title: str = "Leaderboard") -> str:
    """`summary.md`: every board as a Markdown table, best figures bold, then the notes."""
    lines = [f"# {title}", ""]
    for board in made:
        lines += [f"## {escaped(board.title)}", "", escaped(board.about), ""]
        lines.append("| " + " | ".join(board.columns) + " |")
        lines.append("| --- |" + " ---: |" * (len(board.columns) - 1))
        for r, row in enumerate(board.rows):
            cells = [
                f"**{escaped(value)}**" if r in board.best.get(c, ()) else escaped(value)
                for c, value in enumerate(row)
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## Notes", ""]
    lines += [
        f"- Again: `{note.removeprefix('Again: ')}`" if note.startswith("Again: ") else
        f"- {escaped(note)}"
        for note in notes
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: names of tables and agents are not markup."""
    for character in "\\`*_|<>[]#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
