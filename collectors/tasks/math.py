"""MATH (Hendrycks et al. 2021): one stage, answers compared by math-verify.

Best-of-N chooses by a verifier that sees no gold answer: an answer that reads as mathematics,
is short and is finished. `oracle` chooses by the gold answer and says what the best choice among
the samples would give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from collectors.data import DataSource, HubDefault, Row, choose, need, read_rows
from collectors.fusers import BestOfN, MajorityVote
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec
from collectors.tasks.math_process import MathProcess

# Possessive: runs of spaces must not be divided in every way before a text is found not to fit.
_FINAL = re.compile(
    r"answer\s*+(?:is|:|=)\s*+:?\s*+\$?+([^$\n]+)\$?+\.?+[^\S\n]*+(?=\n|\Z)", re.IGNORECASE
)


class MathOptions(BaseModel):
    """`levels` of difficulty to keep, 1 to 5; all where empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: tuple[int, ...] = ()


def math(data: DataSource, options: MathOptions, seed: int) -> TaskSpec:
    """Problems with a boxed answer."""
    default = HubDefault("HuggingFaceH4/MATH-500", split="test")
    rows = read_rows(data, default)

    def make(index: int, row: Row) -> Mapping[str, Any] | None:
        level = re.sub(r"\D", "", str(row.get("level", "")))
        if options.levels and (not level or int(level) not in options.levels):
            return None
        answer = row.get("answer") or boxed(str(need(row, "solution", "answer")))
        return None if not answer else {"problem": str(need(row, "problem")), "answer": str(answer)}

    def identify(index: int, row: Row) -> str:
        return str(row.get("unique_id") or index)

    return TaskSpec(
        name="math",
        title="MATH: solve, best of N",
        metric="accuracy",
        stages=(SOLVE,),
        examples=choose(data, rows, make, seed, identify),
        source=str(data.dataset or default.dataset) if data.path is None else "a local file",
        facts={"accuracy": "1 where math-verify finds the answer equivalent to the gold answer"},
    )


def boxed(text: str) -> str | None:
    r"""Content of the last `\boxed{...}`, braces matched.

    >>> boxed(r"so \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    """
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed")
    for place in range(begin, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[begin + 1 : place].strip() or None
    return None


def _prompt(context: Context) -> Prompt:
    return Prompt(
        system="You solve mathematics problems step by step.",
        text=f"Problem: {context.example.fields['problem']}\n\n"
        "Show the steps that matter and end with the answer alone inside \\boxed{}.",
        lead="Solution:",
    )


def parse(context: Context, text: str) -> str | None:
    """The boxed answer, otherwise what follows "the answer is"."""
    found = boxed(text)
    if found is None:
        named = _FINAL.findall(text)
        found = named[-1].strip().removesuffix(".").rstrip() if named else None
    return found or None


@lru_cache(maxsize=1)
def _process() -> MathProcess:
    return MathProcess()


@lru_cache(maxsize=100_000)
def _readable(answer: str) -> bool:
    return _process().ask(None, answer)


@lru_cache(maxsize=100_000)
def equivalent(gold: str, answer: str) -> bool:
    """Whether two answers are the same mathematics; equal texts are.

    >>> equivalent("1/2", r"\\frac{1}{2}")
    True
    """
    if gold.strip() == answer.strip():
        return True
    if len(answer) > 500:
        return False
    return _process().ask(gold, answer)


def _same(answer: str) -> str:
    return re.sub(r"\\(?:left|right|,|!|;| )|\s|\\text(?=\{)|\^\\circ", "", answer).replace(
        "\\dfrac", "\\frac"
    )


def plausible(context: Context, answer: str) -> float:
    """A verifier without the gold answer: reads as mathematics, is short, and is evaluated."""
    parsed = len(answer) <= 500 and _readable(answer)
    unfinished = bool(re.search(r"[=?]|\.\.\.|\\(?:dots|ldots)", answer))
    return parsed + 0.5 * (not unfinished) - 0.002 * len(answer)


def _correct(context: Context, answer: str) -> float:
    return float(equivalent(context.example.fields["answer"], answer))


def _score(context: Context, result: str) -> dict[str, float]:
    right = bool(result) and equivalent(context.example.fields["answer"], result)
    return {"accuracy": float(right)}


SOLVE = StageSpec(
    name="solve",
    description="solve a problem and box the answer",
    prompt=_prompt,
    fusers={
        "best_of_n": BestOfN(parse, plausible),
        "majority": MajorityVote(parse, same=_same),
        "oracle": BestOfN(parse, _correct, oracle=True),
    },
    score=_score,
    metrics=("accuracy",),
    prompt_tokens=64,
    generated_tokens=512,
    max_tokens=1024,
)
