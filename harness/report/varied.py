"""How agents' results move with the number of training examples and with noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.leaderboard import Board
from harness.report.curves import Key, significant

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = (
    "test_score", "test_low", "test_high", "train_score", "regret", "regret_low", "regret_high",
)  # fmt: skip


def varied(
    frame: pl.DataFrame | None,
    keys: Sequence[Key],
    number: Mapping[str, int],
    examples: Mapping[str, int | None],
) -> list[dict[str, Any] | None]:
    """By problem: `terms`, a list of {noise, examples}, examples descending and the bench's own
    first, and for each agent by its number one list a column, in the order of the terms.

    `examples` None stands for all of them; `all` says how many those are, by `examples` of the
    tables by name.
    """
    if frame is None:
        return [None] * len(keys)
    import polars as pl

    made: list[dict[str, Any] | None] = []
    for table, budget, cost in keys:
        part = frame.filter(
            (pl.col("table") == table)
            & (pl.col("budget") == budget)
            & (pl.col("cost_model") == cost)
        )
        if not part.height:
            made.append(None)
            continue
        found = part.select("noise", "examples").unique(maintain_order=True).rows()
        own = found[0][0]
        terms = sorted(found, key=lambda t: (t[0] != own, t[0], t[1] is not None, -(t[1] or 0)))
        agents: dict[int, dict[str, list[float | None]]] = {}
        for row in part.iter_rows(named=True):
            if row["agent"] not in number:
                continue
            columns = agents.setdefault(
                number[row["agent"]], {name: [None] * len(terms) for name in _COLUMNS}
            )
            at = terms.index((row["noise"], row["examples"]))
            for name in _COLUMNS:
                columns[name][at] = significant(row[name])
        made.append({
            "terms": [{"noise": noise, "examples": examples} for noise, examples in terms],
            "all": examples.get(table),
            "agents": agents,
        })  # fmt: skip
    return made


def called(term: Mapping[str, Any], own: Mapping[str, Any], everything: int | None) -> str:
    """A term in words, as a column's heading."""
    if term["noise"] != own["noise"]:
        return f"{term['noise']} noise" if term["noise"] != "mean" else "no noise"
    if term["examples"] is not None:
        return f"{term['examples']} examples"
    return "all examples" if everything is None else f"all {everything} examples"


def boards(
    found: Sequence[Mapping[str, Any] | None],
    problems: Sequence[Mapping[str, Any]],
    agents: Sequence[str],
) -> list[Board]:
    """One board a problem: test scores under every term, with intervals."""
    made = []
    for problem, entry in zip(problems, found, strict=True):
        if entry is None:
            continue
        terms = entry["terms"]
        heads = [called(term, terms[0], entry["all"]) for term in terms]
        rows = []
        for agent in sorted(entry["agents"]):
            held = entry["agents"][agent]
            rows.append((
                agents[agent],
                *(
                    "–" if regret is None
                    else f"{regret:.3f}" if score is None
                    else f"{score:.3f} ({low:.3f}–{high:.3f}); {regret:.3f}"
                    for score, low, high, regret in zip(
                        held["test_score"], held["test_low"], held["test_high"], held["regret"],
                        strict=True,
                    )
                ),
            ))  # fmt: skip
        about = (
            f"{problem['kind']}; budget {problem['budget']:.6g} {problem['cost']}. Test score of "
            "the final incumbent (90 % interval); its regret by the table's scores on all training "
            "examples, 0 the optimum. A search sees so many training examples, drawn by its seed, "
            "or scores with noise."
        )
        made.append(Board(
            f"With fewer examples and with noise: {problem['table']} ({problem['kind']})",
            about, ("agent", *heads), tuple(rows), {},
        ))  # fmt: skip
    return made
