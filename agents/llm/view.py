"""What a prompt may say: the task card and the run's own trials, as plain values for templates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agents.card import TaskCard
from agents.llm.proposals import as_json, cheapest
from agents.llm.scrub import one_line
from simulator import Trial


def task_view(card: TaskCard) -> dict[str, Any]:
    """The task card for `task.j2`. Costs and limits are those of the grid's sample counts."""
    return {
        "title": one_line(card.task.title or card.task.name),
        "description": one_line(card.task.description, 1000),
        "metric": card.task.metric,
        "budget": number(card.budget),
        "unit": card.cost_unit,
        "formula": card.cost_formula,
        "stages": [_stage_view(card, i) for i in range(len(card.stages))],
    }


def _stage_view(card: TaskCard, i: int) -> dict[str, Any]:
    stage, costs = card.stages[i], card.stage_costs[i]
    others = sum(float(c.min()) for j, c in enumerate(card.option_costs) if j != i)
    models = []
    for m, model in enumerate(stage.models):
        fitting = [s for s in stage.samples if costs[m, s] + others <= card.limit]
        models.append(
            {
                "name": model.name,
                "billions": number(model.parameters / 1e9),
                "cost_first": number(float(costs[m, stage.samples[0]])),
                "cost_last": number(float(costs[m, stage.samples[-1]])),
                "most": fitting[-1] if fitting else 0,
            }
        )
    return {
        "name": stage.name,
        "description": one_line(stage.description, 1000),
        "prompt_tokens": stage.prompt_tokens,
        "generated_tokens": stage.generated_tokens,
        "samples": sample_list(stage.samples),
        "first": stage.samples[0],
        "last": stage.samples[-1],
        "models": models,
    }


def sample_list(samples: tuple[int, ...]) -> str:
    """Sample counts as text, a run of neighbours as a range.

    >>> sample_list((1, 2, 3, 4, 5)), sample_list((1, 2, 5, 10))
    ('every whole number from 1 to 5', '1, 2, 5, 10')
    """
    if len(samples) > 4 and samples[-1] - samples[0] == len(samples) - 1:
        return f"every whole number from {samples[0]} to {samples[-1]}"
    return ", ".join(str(s) for s in samples)


def number(value: float) -> str:
    """A figure with six significant digits, without an exponent where it is short.

    >>> number(1000.0), number(0.7333333333)
    ('1000', '0.733333')
    """
    return f"{value:.6g}"


def outcome(trial: Trial, unit: str) -> str:
    """What came of a trial, for a prompt."""
    if trial.score is None:
        return f"no score: {one_line(trial.reason)}"
    cost = f", cost {number(trial.cost)} {unit}"
    answered = ""
    if trial.answered is not None and trial.answered != trial.asked:
        answered = f" (measured at {trial.answered})"
    return f"score {trial.score:.4f}{cost}{answered}"


def trial_views(trials: Iterable[tuple[int, Trial]], unit: str) -> list[dict[str, Any]]:
    """Numbered trials for `history.j2`."""
    return [
        {
            "number": n,
            "configuration": str(trial.asked) or "(no valid configuration)",
            "outcome": outcome(trial, unit),
        }
        for n, trial in trials
    ]


def remembered(trials: Sequence[Trial], most: int | None) -> list[tuple[int, Trial]]:
    """Trials numbered from 1 in the order told: all, or the best half and the latest of `most`."""
    numbered = list(enumerate(trials, start=1))
    if most is None or len(numbered) <= most:
        return numbered
    scored = [pair for pair in numbered if pair[1].score is not None]
    best = sorted(scored, key=lambda pair: (-(pair[1].score or 0.0), pair[0]))[: most // 2]
    kept = {n for n, _ in best}
    for n, _ in reversed(numbered):
        if len(kept) >= most:
            break
        kept.add(n)
    return [pair for pair in numbered if pair[0] in kept]


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The trial with the highest score, the earliest among equals."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda t: (t.score, -t.index), default=None)


def best_line(trials: Iterable[Trial], unit: str) -> str:
    """The best trial in words."""
    best = best_of(trials)
    return "nothing has a score yet" if best is None else f"{best.asked} -> {outcome(best, unit)}"


def example_form(card: TaskCard) -> str:
    """The form of a configuration as JSON, by the example of the cheapest one."""
    return json.dumps(as_json(cheapest(card)), ensure_ascii=False)
