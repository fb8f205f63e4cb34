"""Two-hop questions over text: retrieve sentences, then answer from them.

2WikiMultiHopQA and HotpotQA share their fields on the Hub (`question`, `answer`, `context` with
titles and sentences, `supporting_facts`); a local file may instead list `ctxs_candidate` (all
candidate passages), `ctxs_gt` (the gold ones) and `answers`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from collectors.data import DataSource, HubDefault, Row, choose, need, read_rows
from collectors.fusers import BestOfN, MajorityVote, ModelFusion, SetVote
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec
from collectors.texts import (
    contains_answer,
    exact_match,
    normalise,
    numbered,
    numbers,
    set_f1,
    short_answer,
    token_f1,
)


class MultihopOptions(BaseModel):
    """`candidates`: how many passages retrieval chooses from (`None` for all); the gold ones are
    always among them, the others drawn by the sweep's seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int | None = Field(default=None, ge=1)


def two_wiki(data: DataSource, options: MultihopOptions, seed: int) -> TaskSpec:
    """2WikiMultiHopQA (Ho et al. 2020)."""
    default = HubDefault("framolfese/2WikiMultihopQA")
    return _task("2wiki", "2WikiMultiHopQA: retrieve, then answer", default, data, options, seed)


def hotpot(data: DataSource, options: MultihopOptions, seed: int) -> TaskSpec:
    """HotpotQA (Yang et al. 2018), distractor setting."""
    default = HubDefault("hotpotqa/hotpot_qa", subset="distractor")
    return _task("hotpotqa", "HotpotQA: retrieve, then answer", default, data, options, seed)


def _task(
    name: str,
    title: str,
    default: HubDefault,
    data: DataSource,
    options: MultihopOptions,
    seed: int,
) -> TaskSpec:
    rows = read_rows(data, default)

    def make(index: int, row: Row) -> Mapping[str, Any] | None:
        return example_fields(row, options.candidates, np.random.default_rng((seed, index)))

    def identify(index: int, row: Row) -> str:
        return str(row.get("id") or row.get("_id") or index)

    return TaskSpec(
        name=name,
        title=title,
        metric="exact_match",
        stages=(RETRIEVE, ANSWER),
        examples=choose(data, rows, make, seed, identify),
        version=2,
        source=str(data.dataset or default.dataset) if data.path is None else "a local file",
        facts={
            "retrieval_f1": "F1 of the set of chosen passages with the gold ones",
            "exact_match": "1 where the normalised answer equals a normalised gold answer",
            "token_f1": "largest F1 of the answer's words with a gold answer's",
            "answer_contained": "1 where a gold answer stands as whole words in the answer",
        },
    )


def example_fields(row: Row, limit: int | None, rng: np.random.Generator) -> dict[str, Any] | None:
    """Question, passages, 1-based numbers of the gold ones, gold answers; `None` without gold."""
    if "ctxs_candidate" in row:
        passages = [str(p) for p in need(row, "ctxs_candidate")]
        gold = {str(p) for p in need(row, "ctxs_gt")}
        answers = [str(a) for a in need(row, "answers")]
    else:
        context, facts = need(row, "context"), need(row, "supporting_facts")
        pairs = list(zip(context["title"], context["sentences"], strict=True))
        passages = [f"{title}: {s.strip()}" for title, sentences in pairs for s in sentences]
        by_title = dict(pairs)
        gold = {
            f"{title}: {by_title[title][number].strip()}"
            for title, number in zip(facts["title"], facts["sent_id"], strict=True)
            if title in by_title and number < len(by_title[title])
        }
        answers = [str(need(row, "answer"))]
    passages = list(dict.fromkeys(passages))
    gold &= set(passages)
    if not gold:
        return None
    if limit is not None and len(passages) > limit:
        others = [p for p in passages if p not in gold]
        extra = rng.permutation(len(others))[: max(0, limit - len(gold))]
        kept = gold | {others[i] for i in extra}
        passages = [p for p in passages if p in kept]
    passages = [passages[i] for i in rng.permutation(len(passages))]
    return {
        "question": str(need(row, "question")),
        "passages": passages,
        "gold": [i for i, p in enumerate(passages, start=1) if p in gold],
        "answers": list(dict.fromkeys(answers)),
    }


def _choose_text(passages: Sequence[str], question: str) -> str:
    return (
        f"Passages:\n{numbered(passages)}\n\nQuestion: {question}\n\n"
        "Which passages together hold what is needed to answer? Give only their numbers, "
        "separated by commas, and nothing else."
    )


def _answer_text(passages: Sequence[str], question: str) -> str:
    known = "\n".join(f"- {passage}" for passage in passages) or "- (none)"
    return (
        f"What is known:\n{known}\n\nQuestion: {question}\n\n"
        "Answer with a name, a date or a short phrase only, on one line."
    )


# Made up for base models; no example of a data set.
_SHOTS = (
    (
        (
            "Lake Orun: Lake Orun lies in the north of Vallia.",
            "The Tin Drummer: The Tin Drummer is a film directed by Ada Brecht.",
            "Ada Brecht: Ada Brecht was born in Harstad in 1931.",
            "Harstad Fair: The fair is held in June.",
        ),
        "Where was the director of The Tin Drummer born?",
        (2, 3),
        "Harstad",
    ),
    (
        (
            "Peter Lund: Peter Lund (born 4 May 1902) was a painter.",
            "Lund Bridge: The bridge was opened in 1960.",
            "River Esk: The Esk is 40 km long.",
            "Karl Moe: Karl Moe (born 9 March 1911) was a sculptor.",
        ),
        "Who was born first, Peter Lund or Karl Moe?",
        (1, 4),
        "Peter Lund",
    ),
)


def _retrieve_prompt(context: Context) -> Prompt:
    fields = context.example.fields
    return Prompt(
        system="You choose the passages that are needed to answer a question.",
        text=_choose_text(fields["passages"], fields["question"]),
        lead="Passages needed:",
        stop=("\n",),
        shots=tuple(
            (_choose_text(passages, question), ", ".join(map(str, needed)))
            for passages, question, needed, _ in _SHOTS
        ),
    )


def _numbers(context: Context, text: str) -> tuple[int, ...] | None:
    return numbers(text, len(context.example.fields["passages"]))


def _write_numbers(context: Context, chosen: tuple[Hashable, ...]) -> str:
    return ",".join(map(str, chosen))


def _read_numbers(result: str) -> list[int]:
    return [int(number) for number in result.split(",") if number]


def _score_retrieval(context: Context, result: str) -> dict[str, float]:
    return {"retrieval_f1": set_f1(_read_numbers(result), context.example.fields["gold"])}


def _answer_prompt(context: Context) -> Prompt:
    fields = context.example.fields
    chosen = [fields["passages"][number - 1] for number in _read_numbers(context.upstream)]
    return Prompt(
        system="You answer questions in a few words.",
        text=_answer_text(chosen, fields["question"]),
        lead="Answer:",
        stop=("\n",),
        shots=tuple(
            (_answer_text([passages[number - 1] for number in needed], question), answer)
            for passages, question, needed, answer in _SHOTS
        ),
    )


def parse_answer(context: Context, text: str) -> str | None:
    """A short answer."""
    return short_answer(text)


def score_answer(context: Context, result: str) -> dict[str, float]:
    """Exact match, token F1 and containment with the example's gold `answers`."""
    golds = context.example.fields["answers"]
    return {
        "exact_match": exact_match(result, golds),
        "token_f1": token_f1(result, golds),
        "answer_contained": contains_answer(result, golds),
    }


def _oracle(context: Context, answer: str) -> float:
    return token_f1(answer, context.example.fields["answers"])


RETRIEVE = StageSpec(
    name="retrieve",
    description="choose the numbered passages that the question needs",
    prompt=_retrieve_prompt,
    fusers={"set_vote": SetVote(_numbers, _write_numbers)},
    score=_score_retrieval,
    metrics=("retrieval_f1",),
    prompt_tokens=2048,
    generated_tokens=128,
    max_tokens=128,
    temperature=0.9,
)
ANSWER = StageSpec(
    name="answer",
    description="answer in a few words from the chosen passages",
    prompt=_answer_prompt,
    fusers={
        "majority": MajorityVote(parse_answer, same=normalise),
        "model": ModelFusion(
            parse_answer, lambda context: _answer_prompt(context).text, max_tokens=64
        ),
        "oracle": BestOfN(parse_answer, _oracle, oracle=True),
    },
    score=score_answer,
    metrics=("exact_match", "token_f1", "answer_contained"),
    prompt_tokens=256,
    generated_tokens=64,
    max_tokens=64,
    temperature=0.7,
)
