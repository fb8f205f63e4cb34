"""Small tasks made by seed, with answers that a few lines verify: arithmetic and strings.

Single stage, so that majority vote and Best-of-N can be compared without a data set. The verifier
of Best-of-N recomputes nothing from the gold answer: it checks what any reader can check of a
candidate from the question alone (parity and last digit of a sum or product, length and letters of
a string), and so is right about wrong answers often, not always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from collectors.data import DataSource, Row, choose
from collectors.fusers import BestOfN, MajorityVote
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec

Kind = Literal["add", "multiply", "reverse", "count"]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ANSWER = re.compile(
    r"(?:answer\s*+(?:is\s*+)?[:=]?\s*+|=\s*+)\W{0,3}?([a-z]+|[-\u2212]?\d[\d,]*)",
    re.IGNORECASE,
)
_LONGEST = 100
"""Digits of an answer that is still looked at; Python reads no integer of more than 4,300."""


class SyntheticOptions(BaseModel):
    """`kinds` of questions, in equal shares; `digits` of the numbers, `letters` of the strings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[Kind, ...] = Field(default=("add", "multiply", "reverse", "count"), min_length=1)
    digits: int = Field(default=2, ge=1, le=8)
    letters: int = Field(default=5, ge=2, le=20)


def synthetic(data: DataSource, options: SyntheticOptions, seed: int) -> TaskSpec:
    """Questions made by seed; `[data]` gives only how many."""
    wanted = data.train_examples + data.test_examples
    made = [make_question(options, np.random.default_rng((seed, i)), i) for i in range(wanted)]

    def fields(index: int, row: Row) -> Mapping[str, Any]:
        return row

    return TaskSpec(
        name="synthetic",
        title="Arithmetic and strings made by seed",
        version=2,
        metric="accuracy",
        stages=(SOLVE,),
        examples=choose(data.model_copy(update={"shuffle": False}), made, fields, seed),
        licence="Apache-2.0",
        source=f"made by seed {seed} with {options.model_dump_json()}",
        facts={"accuracy": "1 where the answer is the right number or string"},
    )


def make_question(
    options: SyntheticOptions, rng: np.random.Generator, index: int
) -> dict[str, Any]:
    """One question with its answer; kinds take turns."""
    kind = options.kinds[index % len(options.kinds)]
    low, high = 10 ** (options.digits - 1), 10**options.digits
    a, b = (int(n) for n in rng.integers(low, high, size=2))
    word = "".join(rng.choice(list(_LETTERS), size=options.letters))
    if kind == "add":
        text, answer = f"What is {a} + {b}?", str(a + b)
    elif kind == "multiply":
        text, answer = f"What is {a} * {b % 10}?", str(a * (b % 10))
    elif kind == "reverse":
        text, answer = f"Write the letters of '{word}' in reverse order.", word[::-1]
    else:
        letter = word[int(rng.integers(len(word)))]
        text = f"How often does the letter '{letter}' occur in '{word}'?"
        answer = str(word.count(letter))
    return {"kind": kind, "question": text, "answer": answer}


def _prompt(context: Context) -> Prompt:
    question = context.example.fields["question"]
    return Prompt(
        system="You solve small puzzles.",
        text="Question: What is 3 + 4?\nAnswer: 7\n"
        "Question: Write the letters of 'sun' in reverse order.\nAnswer: nus\n"
        f"Question: {question}",
        lead="Answer:",
        stop=("\n",),
    )


def parse(context: Context, text: str) -> str | None:
    """The last number or word that is given as the answer, lower case, without thousands marks.

    Version 1 of the task lost a minus after "answer" or "=", which the project's first tables of
    puzzles were scored with: there a wrong -12 counts as 12.
    """
    wants_word = context.example.fields["kind"] == "reverse"
    named = [m for m in _ANSWER.findall(text) if m.isalpha() == wants_word]
    plain = re.findall(r"[A-Za-z]{2,}" if wants_word else r"[-\u2212]?\d[\d,]*", text)
    found = named or plain
    return found[-1].replace(",", "").replace("\u2212", "-").lower() if found else None


def verify(context: Context, answer: str) -> float:
    """How many of the checks that need no solving the answer passes, from 0 to 1."""
    fields = context.example.fields
    kind, question = fields["kind"], fields["question"]
    if kind in ("add", "multiply"):
        a, b = (int(n) for n in re.findall(r"\d+", question))
        if not answer.lstrip("-").isdecimal() or len(answer) > _LONGEST:
            return 0.0
        value = int(answer)
        a1, b1 = a % 10, b % 10
        last = (a1 + b1 if kind == "add" else a1 * b1) % 10
        checks = [value % 10 == last, value % 2 == last % 2, value >= max(a, b) or b == 0]
        return sum(checks) / len(checks)
    word = re.findall(r"'([a-z]+)'", question)[-1]
    if kind == "count":
        whole = answer.isdecimal() and len(answer) <= _LONGEST
        return float(whole and 1 <= int(answer) <= len(word))
    checks = [len(answer) == len(word), sorted(answer) == sorted(word), answer[:1] == word[-1]]
    return sum(checks) / len(checks)


def _score(context: Context, result: str) -> dict[str, float]:
    return {"accuracy": float(result == context.example.fields["answer"])}


SOLVE = StageSpec(
    name="solve",
    description="answer a small arithmetic or string question",
    prompt=_prompt,
    fusers={"majority": MajorityVote(parse), "best_of_n": BestOfN(parse, verify)},
    score=_score,
    metrics=("accuracy",),
    prompt_tokens=64,
    generated_tokens=16,
    max_tokens=32,
    temperature=0.8,
)
