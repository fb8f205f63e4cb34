"""A perfect reasoner for tests: it reads `agenttts` prompts and follows their guidelines literally.

It knows nothing but the text of the prompts. Asked for guidelines, it turns each digest of the
archive into rules of a fixed form; where a digest is not there, no rule follows. Asked for
candidates, it obeys the rules of the newest guidelines; what no rule decides, it picks blindly.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agents.llm import Request

Asked = dict[str, tuple[str, int]]

TRIAL = re.compile(r"^- trial \d+: (\S+) -> score ([\d.]+)", re.MULTILINE)
GROUP = re.compile(r"^- ([^\s=]+) \(with [^)]+\): (.+)$", re.MULTILINE)
CURVE = re.compile(
    r"^- ([^=\s]+)=(\S+)(?: \(with (\S+)\))?: .*; best at .*, inside it untried: ([\d, ]+)$",
    re.MULTILINE,
)
MODEL_RULE = re.compile(r"^- RULE models of (\S+): (.+)$", re.MULTILINE)
COUNT_RULE = re.compile(r"^- RULE samples of (\S+)=(\S+) with ?(\S*): try ([\d, ]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Card:
    """The task card as read from a system message; costs in units."""

    budget: float
    samples: dict[str, list[int]]
    models: dict[str, dict[str, float]]
    tokens: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, text: str) -> Card:
        budget = float(re.findall(r"may cost at most ([\d.e+]+) units", text)[0])
        samples, models, tokens = {}, {}, {}
        for part in re.split(r"^### Stage \d+: ", text, flags=re.MULTILINE)[1:]:
            name = part.split()[0]
            prompt, generated = re.findall(
                r"reads about (\d+) tokens and writes about (\d+)", part
            )[0]
            tokens[name] = int(prompt), int(generated)
            counts = re.findall(r"Sample counts: (.*)", part)[0]
            if every := re.match(r"every whole number from (\d+) to (\d+)", counts):
                samples[name] = list(range(int(every[1]), int(every[2]) + 1))
            else:
                samples[name] = [int(s) for s in counts.split(", ")]
            sizes = re.findall(r"^- (\S+): ([\d.e+]+) billion", part, re.MULTILINE)
            models[name] = {model: float(size) for model, size in sizes}
        return cls(budget, samples, models, tokens)

    def cost(self, asked: Asked) -> float:
        total = 0.0
        for stage, (model, samples) in asked.items():
            prompt, generated = self.tokens[stage]
            size = self.models[stage][model]
            total += max(0.0, 2 * (size / 3 * (prompt + samples * generated) / 128 - 1))
        return total


class Reasoner:
    """Script of a `ScriptedModel`; `seed` decides the blind picks."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)

    def __call__(self, request: Request) -> dict[str, Any]:
        card, text = Card.read(request.messages[0].content), request.messages[1].content
        trials = [(_read(asked), float(score)) for asked, score in TRIAL.findall(text)]
        best = max(trials, key=lambda t: t[1])[0] if trials else None
        if request.purpose == "agenttts/guidelines":
            rules = list(_rules(text, card))
            return {"analysis": "", "guidelines": rules or ["The digests support no rule."]}
        taken = [asked for asked, _ in trials]
        taken += [_read(asked) for asked in re.findall(r"^- (\S+=\S+)$", text, re.MULTILINE)]
        count = int(re.findall(r"Propose (?:up to )?(\d+)", text)[0])
        newest = re.split(r"^(?:Newest guidelines|Guidelines):$", text, flags=re.MULTILINE)[-1]
        chosen: list[Asked] = []
        for asked in self._ideas(newest, card, best):
            if len(chosen) == count:
                break
            if asked not in taken and asked not in chosen and card.cost(asked) <= card.budget:
                chosen.append(asked)
        candidates = [
            {
                "why": "the rules say so",
                "configuration": {s: {"model": m, "samples": n} for s, (m, n) in asked.items()},
            }
            for asked in chosen
        ]
        return {"candidates": candidates}

    def _ideas(self, rules: str, card: Card, best: Asked | None) -> Iterator[Asked]:
        """Candidates in the order in which the rules want them."""
        keep = {stage: names.split() for stage, names in MODEL_RULE.findall(rules)}
        together = "- RULE change the stages together" in rules

        def model(stage: str) -> str:
            return self.random.choice(keep.get(stage) or list(card.models[stage]))

        tries = []
        for stage, which, rest, counts in COUNT_RULE.findall(rules):
            others = _read(rest) if rest else {}
            tries.append((stage, which, others, [int(n) for n in counts.split(", ")]))
        for depth in range(max((len(counts) for *_, counts in tries), default=0)):
            for stage, which, others, counts in tries:
                for n in counts[depth : depth + 1]:
                    yield {s: (which, n) if s == stage else others[s] for s in card.samples}
            for stage, which, others, counts in tries if together else ():
                for n in counts[depth : depth + 1]:
                    yield from _together(card, {**others, stage: (which, n)}, stage, best)
        if best is not None and tries:
            around = {s: _around(card.samples[s], n) for s, (_, n) in best.items()}
            for _ in range(60):
                moved = {s: (model(s), self.random.choice(around[s])) for s in best}
                one = self.random.choice(list(best))
                yield moved if together else {**best, one: moved[one]}
        for _ in range(300 if keep else 0):
            yield {s: (model(s), self.random.choice(card.samples[s])) for s in card.samples}
        for _ in range(2000):
            yield {
                s: (self.random.choice(list(card.models[s])), self.random.choice(counts))
                for s, counts in card.samples.items()
            }


def _around(grid: list[int], at: int) -> list[int]:
    """Counts from a half to the double of one, and its neighbours: the level part of a curve."""
    here = min(range(len(grid)), key=lambda i: abs(grid[i] - at))
    return [s for i, s in enumerate(grid) if at / 2 <= s <= 2 * at or abs(i - here) <= 1]


def _together(card: Card, asked: Asked, stage: str, best: Asked | None) -> Iterator[Asked]:
    """One stage takes a count, every other one moves along: what it gives up or gets."""
    if best is None:
        return
    for other in (s for s in card.samples if s != stage):
        model, now = asked[other]
        more = asked[stage][1] > best[stage][1]
        # More here means less is needed there, and less here more there.
        side = [
            s
            for s in card.samples[other]
            if (s < now if more else s > now)
            and card.cost({**asked, other: (model, s)}) <= card.budget
        ]
        if side:
            yield {**asked, other: (model, side[len(side) // 2])}


def _rules(text: str, card: Card) -> Iterator[str]:
    for stage in card.samples:
        top: dict[str, float] = {}
        for where, scores in GROUP.findall(text):
            for item in scores.split("; ") if where == stage else ():
                choice, score = item.rsplit(" ", 1)
                model = choice.rsplit(":", 1)[0]
                top[model] = max(top.get(model, 0.0), float(score))
        if top:
            order = sorted(top, key=lambda m: -top[m])
            kept = [m for m in order[:2] if top[m] >= 0.95 * top[order[0]]]
            yield f"RULE models of {stage}: {' '.join(kept)}"
    for stage in card.samples:
        # The digest has the best curve first.
        for _, which, rest, inside in [c for c in CURVE.findall(text) if c[0] == stage][:1]:
            yield f"RULE samples of {stage}={which} with {rest}: try {inside}"
    if "### Where the best trials spend the budget" in text:
        yield "RULE change the stages together"


CURVES = 1


def _read(text: str) -> Asked:
    asked = {}
    for part in text.split(","):
        stage, choice = part.split("=")
        model, samples = choice.rsplit(":", 1)
        asked[stage] = model, int(samples)
    return asked
