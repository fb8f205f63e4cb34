"""Experience on other tasks, for agents that carry it over: trials, told in words.

A file of experience is a JSON list of `Experience`. The shipped one holds curves that were
published for single stages; further files are made with `from_trials`. An item is never shown to a
run on its own task: not by its name, not by the names it is excluded for, and not where one of its
stages has the name and a model of a stage of the run's task.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agents.card import TaskCard
from simulator import Configuration, Trial
from simulator.errors import InvalidConfiguration, UsageError

LEVELS = ("very low", "low", "medium", "high", "very high")
_MOST_LINES = 40


class Record(BaseModel):
    """One trial of another task."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    configuration: str
    score: float


class Experience(BaseModel):
    """Trials of one other task; `models` gives the parameter count of each model by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    task: str
    title: str
    source: str
    metric: str
    excluded_for: tuple[str, ...] = ()
    models: dict[str, float]
    trials: tuple[Record, ...]

    def parsed(self) -> list[tuple[Configuration, float]]:
        """The trials with their configurations read."""
        return [(Configuration.parse(r.configuration), r.score) for r in self.trials]


def load(path: str | Path | None = None) -> list[Experience]:
    """A file of experience, the shipped one without a path; `UsageError` says what is wrong."""
    try:
        if path is None:
            data = files("agents.llm").joinpath("experience_data/published.json").read_text("utf-8")
        else:
            data = Path(path).read_text(encoding="utf-8")
        items = TypeAdapter(list[Experience]).validate_json(data)
        for item in items:
            for asked, _ in item.parsed():
                for choice in asked.choices:
                    if choice.model not in item.models:
                        raise UsageError(
                            f"{path}: task {item.task!r} gives no parameter count of the model "
                            f"{choice.model!r}"
                        )
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file of experience") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    except InvalidConfiguration as error:
        raise UsageError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where + ': ' if where else ''}{first['msg']}") from None
    return items


def from_trials(
    card: TaskCard, trials: Iterable[Trial], *, source: str, excluded_for: Sequence[str] = ()
) -> Experience:
    """A finished search as experience for other tasks; trials without a score are left out."""
    models = {m.name: m.parameters for stage in card.stages for m in stage.models}
    return Experience(
        task=card.task.name,
        title=card.task.title or card.task.name,
        source=source,
        metric=card.task.metric,
        excluded_for=tuple(excluded_for),
        models=models,
        trials=tuple(
            Record(configuration=str(t.asked), score=t.score) for t in trials if t.score is not None
        ),
    )


def dump(items: Sequence[Experience]) -> str:
    """The text of a file of experience."""
    return json.dumps([item.model_dump(mode="json") for item in items], indent=1) + "\n"


def usable(card: TaskCard, items: Iterable[Experience]) -> list[Experience]:
    """The items that say nothing of the card's own task (see the top of this module)."""
    kept = []
    for item in items:
        if any(fnmatch(card.task.name, pattern) for pattern in (item.task, *item.excluded_for)):
            continue
        own = {(stage.name, model.name) for stage in card.stages for model in stage.models}
        theirs = {(c.stage, c.model) for asked, _ in item.parsed() for c in asked.choices}
        if not own & theirs:
            kept.append(item)
    return kept


def nearest(card: TaskCard, items: Sequence[Experience], count: int) -> list[Experience]:
    """The items whose words are most like the task's (cosine of word counts), nearest first."""
    words = [card.task.title, card.task.description, card.task.metric]
    words += [text for stage in card.stages for text in (stage.name, stage.description)]
    own = _words(" ".join(words))

    def likeness(item: Experience) -> float:
        stages = {c.stage for asked, _ in item.parsed()[:1] for c in asked.choices}
        other = _words(" ".join([item.title, item.metric, *stages]))
        dot = sum(own[word] * n for word, n in other.items())
        return dot / math.sqrt(max(1, _square(own)) * max(1, _square(other)))

    order = sorted(range(len(items)), key=lambda n: (-likeness(items[n]), n))
    return [items[n] for n in order[:count]]


def levels(values: Sequence[float]) -> list[str]:
    """Numbers as words by quantiles of themselves.

    >>> levels([1, 2, 3, 4, 5])
    ['very low', 'low', 'medium', 'high', 'very high']
    """
    if not values:
        return []
    edges = np.quantile(np.asarray(values, dtype=np.float64), [0.2, 0.4, 0.6, 0.8])
    return [LEVELS[int(n)] for n in np.searchsorted(edges, values, side="right")]


def in_words(item: Experience) -> dict[str, Any]:
    """An item for `mlcopilot/experience.j2`: every figure as a word."""
    parsed = item.parsed()
    if len(parsed) > _MOST_LINES:
        chosen = np.linspace(0, len(parsed) - 1, _MOST_LINES).astype(int)
        parsed = [parsed[int(n)] for n in chosen]
    scores = levels([score for _, score in parsed])
    counts = sorted({c.samples for asked, _ in parsed for c in asked.choices})
    count_word = dict(zip(counts, levels(counts), strict=True))
    sizes = sorted(set(item.models.values()))
    size_word = dict(zip(sizes, levels(sizes), strict=True))
    lines = []
    for (asked, _), score in zip(parsed, scores, strict=True):
        parts = [
            f"{c.stage} with {c.model} (size {size_word[item.models[c.model]]}), "
            f"samples {count_word[c.samples]}"
            for c in asked.choices
        ]
        lines.append(f"{'; '.join(parts)} -> score {score}")
    return {
        "title": item.title,
        "source": item.source,
        "metric": item.metric,
        "lines": list(dict.fromkeys(lines)),
    }


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[a-z]{3,}", text.lower()))


def _square(words: Counter[str]) -> int:
    return sum(n * n for n in words.values())
