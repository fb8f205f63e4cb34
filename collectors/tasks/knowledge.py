"""Questions over a knowledge graph, triples as knowledge: choose triples, then answer from them.

ComplexWebQuestions (Talmor and Berant 2018) and WebQSP (Yih et al. 2016). Rows come in one of
three shapes:

- `question`, `answer` (list), `graph` (triples), `q_entity`, `a_entity`: the Hub's RoG data sets,
  which hold no gold triples; those that name both a question and an answer entity, or lie next to
  both, count as gold;
- `question`, `answer`, `gt_triples` (candidates) and `crucial_triples` (gold): CWQ with triples;
- `RawQuestion`, `Parses`: WebQSP as released. A parse gives the triples (topic entity, chain of
  relations, answer); candidates are those of the question and, as distractors, those of other
  questions of the file. Such triples hold the answer, so the second stage is easier than over a
  graph; the table's card says which shape was used.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from collectors.data import DataSource, HubDefault, Row, choose, need, read_rows, shaped
from collectors.errors import SweepError
from collectors.fusers import MajorityVote, ModelFusion, SetVote
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec
from collectors.tasks.multihop import parse_answer, score_answer
from collectors.texts import normalise, numbered, numbers, set_f1

Triple = tuple[str, str, str]


class KnowledgeOptions(BaseModel):
    """`candidates`: how many triples retrieval chooses from; gold ones are always among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(default=40, ge=1)


def cwq(data: DataSource, options: KnowledgeOptions, seed: int) -> TaskSpec:
    """ComplexWebQuestions."""
    default = HubDefault("rmanluo/RoG-cwq", split="test")
    return _task("cwq", "ComplexWebQuestions over triples", default, data, options, seed)


def webqsp(data: DataSource, options: KnowledgeOptions, seed: int) -> TaskSpec:
    """WebQSP."""
    default = HubDefault("rmanluo/RoG-webqsp", split="test")
    return _task("webqsp", "WebQSP over triples", default, data, options, seed)


def _task(
    name: str,
    title: str,
    default: HubDefault,
    data: DataSource,
    options: KnowledgeOptions,
    seed: int,
) -> TaskSpec:
    rows = read_rows(data, default)
    if not rows:
        raise SweepError("data: there are no rows")
    with shaped():
        shape = _shape(rows[0])
        others = [t for row in rows for t in _parse_triples(row)] if shape == "parses" else []

    def make(index: int, row: Row) -> Mapping[str, Any] | None:
        rng = np.random.default_rng((seed, index))
        return example_fields(row, others, options.candidates, rng)

    def identify(index: int, row: Row) -> str:
        return str(row.get("ID") or row.get("id") or row.get("QuestionId") or index)

    return TaskSpec(
        name=name,
        title=title,
        metric="exact_match",
        stages=(RETRIEVE, ANSWER),
        examples=choose(data, rows, make, seed, identify),
        source=str(data.dataset or default.dataset) if data.path is None else "a local file",
        facts={
            "triples": _SHAPES[shape],
            "retrieval_f1": "F1 of the set of chosen triples with the gold ones",
            "exact_match": "1 where the normalised answer equals one of the gold answers",
            "token_f1": "largest F1 of the answer's words with a gold answer's",
            "answer_contained": "1 where a gold answer stands as whole words in the answer",
        },
    )


_SHAPES = {
    "graph": "from the question's graph; gold are those between question and answer entities",
    "crucial": "gt_triples as candidates, crucial_triples as gold",
    "parses": "made of the parses (topic, relations, answer), distractors from other questions",
}


def _shape(row: Row) -> str:
    if "Parses" in row:
        return "parses"
    return "crucial" if "crucial_triples" in row else "graph"


def example_fields(
    row: Row, others: Sequence[Triple], limit: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Question, candidate triples as texts, numbers of the gold ones, gold answers; `None` where
    the row has no gold triple or no answer."""
    shape = _shape(row)
    if shape == "parses":
        question = str(need(row, "RawQuestion", "ProcessedQuestion"))
        gold = list(dict.fromkeys(_parse_triples(row)))
        answers = [triple[2] for triple in gold]
        asked = {triple[0] for triple in gold}
        pool = [triple for triple in dict.fromkeys(others) if triple[0] not in asked]
    else:
        question = str(need(row, "question"))
        answers = [str(a) for a in _listed(need(row, "answer", "answers"))]
        if shape == "crucial":
            gold = _triples(need(row, "crucial_triples"))
            pool = _triples(need(row, "gt_triples"))
        else:
            pool = _triples(need(row, "graph"))
            gold = _between(pool, row)
    if not gold or not answers:
        return None
    gold = gold[:limit]
    rest = [triple for triple in dict.fromkeys(pool) if triple not in set(gold)]
    extra = rng.permutation(len(rest))[: max(0, limit - len(gold))]
    triples = [*gold, *(rest[i] for i in extra)]
    order = rng.permutation(len(triples))
    return {
        "question": question,
        "triples": [" | ".join(triples[i]) for i in order],
        "gold": sorted(place for place, i in enumerate(order.tolist(), 1) if i < len(gold)),
        "answers": list(dict.fromkeys(answers)),
    }


def _listed(value: Any) -> Iterable[Any]:
    return [value] if isinstance(value, str) else value


def _triples(value: Any) -> list[Triple]:
    return list(dict.fromkeys((str(h), str(r), str(t)) for h, r, t in value))


def _between(graph: Sequence[Triple], row: Row) -> list[Triple]:
    """Triples on a path of one or two edges from a question entity to an answer entity."""
    asked = {str(e) for e in _listed(need(row, "q_entity"))}
    answers = {str(e) for e in _listed(need(row, "a_entity"))}
    near_asked = {end for h, _, t in graph if h in asked or t in asked for end in (h, t)}
    near_answer = {end for h, _, t in graph if h in answers or t in answers for end in (h, t)}
    middle = (near_asked & near_answer) | asked | answers
    touched = asked | answers
    return [
        (h, r, t)
        for h, r, t in graph
        if h in middle and t in middle and (h in touched or t in touched)
    ]


def _parse_triples(row: Row) -> list[Triple]:
    found = []
    for parse in row.get("Parses") or []:
        chain = " / ".join(parse.get("InferentialChain") or [])
        topic = parse.get("TopicEntityName")
        if chain and topic:
            for answer in parse.get("Answers") or []:
                name = answer.get("EntityName") or answer.get("AnswerArgument")
                if name:
                    found.append((str(topic), chain, str(name)))
    return found


def _retrieve_prompt(context: Context) -> Prompt:
    fields = context.example.fields
    return Prompt(
        system="You choose the facts of a knowledge graph that are needed to answer a question.",
        text="Each fact is subject | relation | object.\n"
        f"{numbered(fields['triples'])}\n\nQuestion: {fields['question']}\n\n"
        "Which facts are needed? Give only their numbers, separated by commas.",
        lead="Facts needed:",
        stop=("\n",),
    )


def _numbers(context: Context, text: str) -> tuple[int, ...] | None:
    return numbers(text, len(context.example.fields["triples"]))


def _write(context: Context, chosen: tuple[Hashable, ...]) -> str:
    return ",".join(map(str, chosen))


def _read(result: str) -> list[int]:
    return [int(number) for number in result.split(",") if number]


def _score_retrieval(context: Context, result: str) -> dict[str, float]:
    return {"retrieval_f1": set_f1(_read(result), context.example.fields["gold"])}


def _answer_prompt(context: Context) -> Prompt:
    fields = context.example.fields
    known = "\n".join(fields["triples"][n - 1] for n in _read(context.upstream)) or "(none)"
    return Prompt(
        system="You answer questions from facts of a knowledge graph.",
        text=f"Facts (subject | relation | object):\n{known}\n\n"
        f"Question: {fields['question']}\n\n"
        "Answer with one name or value exactly as the facts write it, on one line.",
        lead="Answer:",
        stop=("\n",),
    )


RETRIEVE = StageSpec(
    name="retrieve",
    description="choose the numbered triples that the question needs",
    prompt=_retrieve_prompt,
    fusers={"set_vote": SetVote(_numbers, _write)},
    score=_score_retrieval,
    metrics=("retrieval_f1",),
    prompt_tokens=1024,
    generated_tokens=64,
    max_tokens=64,
    temperature=0.9,
)
ANSWER = StageSpec(
    name="answer",
    description="answer from the chosen triples",
    prompt=_answer_prompt,
    fusers={
        "majority": MajorityVote(parse_answer, same=normalise),
        "model": ModelFusion(
            parse_answer, lambda context: _answer_prompt(context).text, max_tokens=64
        ),
    },
    score=score_answer,
    metrics=("exact_match", "token_f1", "answer_contained"),
    prompt_tokens=256,
    generated_tokens=64,
    max_tokens=64,
    temperature=0.7,
)
