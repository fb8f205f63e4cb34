"""What an archive of trials says about each insight, in a form that a model can act on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from agents.card import TaskCard
from agents.llm.view import number
from simulator import Choice, Trial


def analyse(card: TaskCard, trials: Sequence[Trial]) -> dict[str, Any]:
    """The values of `agenttts/analysis.j2`: `models`, `curves` and `spending`."""
    scored = [trial for trial in trials if trial.score is not None]
    return {
        "models": [
            {"name": stage.name, "groups": _comparisons(i, scored)}
            for i, stage in enumerate(card.stages)
        ],
        "curves": [c for i in range(len(card.stages)) for c in _curves(card, i, scored)],
        "spending": _spending(card, scored),
    }


def _rest(trial: Trial, i: int) -> tuple[Choice, ...]:
    return tuple(choice for j, choice in enumerate(trial.asked.choices) if j != i)


def _show(choices: tuple[Choice, ...]) -> str:
    return ",".join(f"{c.stage}={c.model}:{c.samples}" for c in choices)


def _comparisons(i: int, scored: Sequence[Trial]) -> list[dict[str, str]]:
    """Trials that differ in stage i alone, where they compare at least two of its models."""
    groups: dict[tuple[Choice, ...], list[Trial]] = {}
    for trial in scored:
        groups.setdefault(_rest(trial, i), []).append(trial)
    shown = []
    for rest, members in groups.items():
        if len({t.asked.choices[i].model for t in members}) < 2:
            continue
        members = sorted(members, key=lambda t: -(t.score or 0.0))
        scores = "; ".join(
            f"{t.asked.choices[i].model}:{t.asked.choices[i].samples} {t.score:.4f}"
            for t in members
        )
        shown.append({"rest": _show(rest) or "no other stage", "scores": scores})
    return shown


def _curves(card: TaskCard, i: int, scored: Sequence[Trial]) -> list[dict[str, Any]]:
    """Scores by sample count where model and other stages are the same, the best curve first.

    `at` are the least and the largest count that score best; the bracket runs between the counts
    tried on either side of these, else to the end of what is affordable; `inside` are untried
    counts of the bracket, each in the middle of the widest gap left. A curve of one point is shown
    where no trial scores more.
    """
    groups: dict[tuple[str, tuple[Choice, ...]], dict[int, float]] = {}
    for trial in scored:
        choice = trial.asked.choices[i]
        points = groups.setdefault((choice.model, _rest(trial, i)), {})
        score = float("-inf") if trial.score is None else trial.score
        points[choice.samples] = max(score, points.get(choice.samples, score))
    top = max((max(points.values()) for points in groups.values()), default=0.0)
    shown = []
    for (model, rest), points in sorted(groups.items(), key=lambda item: -max(item[1].values())):
        best = max(points.values())
        if len(points) < 2 and best < top:
            continue
        grid, counts = card.stages[i].samples, sorted(points)
        level = [s for s in counts if points[s] == best]
        below = [s for s in counts if s < level[0]]
        above = [s for s in counts if s > level[-1]]
        low = below[-1] if below else grid[0]
        high = above[0] if above else _most(card, i, model, rest)
        shown.append(
            {
                "stage": card.stages[i].name,
                "model": model,
                "rest": f" (with {_show(rest)})" if rest else "",
                "points": ", ".join(f"{s}: {points[s]:.4f}" for s in counts),
                "best": level[0] if level[0] == level[-1] else f"{level[0]} to {level[-1]}",
                "low": low,
                "high": high,
                "inside": bisected([s for s in grid if low <= s <= high], counts)[:4],
            }
        )
    return shown


def bisected(counts: Sequence[int], tried: Collection[int]) -> list[int]:
    """The untried counts, each in the middle of the widest gap between those before it, ends last.

    Gaps are measured in places on the grid; of two equally wide the one with more samples is first.

    >>> bisected([1, 2, 3, 5, 10, 20, 50], [1])
    [5, 10, 2, 20, 3, 50]
    """
    ends = {0, len(counts) - 1}
    known = sorted({at for at, count in enumerate(counts) if count in tried} | ends)
    order: list[int] = []
    while True:
        gaps = [(b - a, a) for a, b in pairwise(known) if b - a > 1]
        if not gaps:
            break
        width, start = max(gaps)
        middle = start + width // 2
        known = sorted([*known, middle])
        order.append(counts[middle])
    return order + [counts[at] for at in sorted(ends) if counts and counts[at] not in tried]


def _most(card: TaskCard, i: int, model: str, rest: tuple[Choice, ...]) -> int:
    """The largest affordable count of a model in stage i with the other stages as they are."""
    spent, others = 0.0, iter(rest)
    for j, costs in enumerate(card.stage_costs):
        if j != i:
            choice = next(others)
            spent += float(costs[card.space.model_index[j][choice.model], choice.samples])
    row = card.stage_costs[i][card.space.model_index[i][model]]
    return max(
        (s for s in card.stages[i].samples if row[s] + spent <= card.limit),
        default=card.stages[i].samples[0],
    )


def _spending(card: TaskCard, scored: Sequence[Trial], top: int = 3) -> list[str]:
    """How the best trials divide the budget among the stages."""
    lines = []
    for trial in sorted(scored, key=lambda t: (-(t.score or 0.0), t.index))[:top]:
        parts, total = [], 0.0
        for j, choice in enumerate(trial.asked.choices):
            cost = float(
                card.stage_costs[j][card.space.model_index[j][choice.model], choice.samples]
            )
            parts.append(f"{choice.stage} {cost / card.budget:.0%}" if card.budget else "")
            total += cost
        unused = number(max(card.budget - total, 0.0))
        lines.append(
            f"{trial.asked} scores {trial.score:.4f}: {', '.join(parts)}, "
            f"{unused} {card.cost_unit} unused"
        )
    return lines
