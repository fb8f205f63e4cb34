"""Fusers: how the samples of one call become the stage's one result.

Each is a pure function of the texts in the order drawn, so the result of the first S samples of a
pool is what a run with S samples would have given. Ties go to what was drawn first, except where
said otherwise. Samples that do not parse do not vote; where none parses, the result is `empty`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from collectors.pipeline import Context, Prompt

Parse = Callable[[Context, str], str | None]
SetParse = Callable[[Context, str], Sequence[Hashable] | None]
Render = Callable[[Context, tuple[Hashable, ...]], str]
Judge = Callable[[Context, str], float]


@dataclass(frozen=True)
class MajorityVote:
    """The most common parsed answer, as it was first written.

    `same` maps a parsed answer to what votes count as equal (a normalised form).
    """

    parse: Parse
    same: Callable[[str], Hashable] = str
    empty: str = ""

    def fuse(self, context: Context, texts: Sequence[str]) -> str:
        answers = [a for a in (self.parse(context, t) for t in texts) if a is not None]
        if not answers:
            return self.empty
        keys = [self.same(answer) for answer in answers]
        winner = Counter(keys).most_common(1)[0][0]
        return answers[keys.index(winner)]

    def vote(self, context: Context, text: str) -> Hashable | None:
        """What a sample votes for; equal votes agree, `None` does not vote."""
        answer = self.parse(context, text)
        return None if answer is None else self.same(answer)


@dataclass(frozen=True)
class SetVote:
    """The vote over sets that retrieval uses: the most common length, then that many of the most
    common members.

    `parse` gives a sample's distinct members; equal lengths and members rank by first appearance.
    `render` writes the chosen members, sorted, as the result.
    """

    parse: SetParse
    render: Render
    empty: str = ""

    def fuse(self, context: Context, texts: Sequence[str]) -> str:
        sets = [tuple(dict.fromkeys(s)) for t in texts if (s := self.parse(context, t)) is not None]
        if not sets:
            return self.empty
        length = Counter(len(s) for s in sets).most_common(1)[0][0]
        members = Counter(member for s in sets for member in s)
        chosen = [member for member, _ in members.most_common(length)]
        return self.render(context, tuple(sorted(chosen, key=_rank)))

    def vote(self, context: Context, text: str) -> Hashable | None:
        """The sample's set; `None` where it does not parse."""
        members = self.parse(context, text)
        return None if members is None else frozenset(members)


def _rank(member: Hashable) -> tuple[int, float, str]:
    if isinstance(member, int):
        return 0, member, ""
    return 1, 0, str(member)


@dataclass(frozen=True)
class BestOfN:
    """The parsed answer with the highest judgement by a scorer or verifier; ties to the first.

    A judgement must not look at the gold answer, except in an oracle (`oracle=True`), which says
    what the best choice among the samples would give.
    """

    parse: Parse
    judge: Judge
    empty: str = ""
    oracle: bool = False

    def fuse(self, context: Context, texts: Sequence[str]) -> str:
        answers = [a for a in (self.parse(context, t) for t in texts) if a is not None]
        if not answers:
            return self.empty
        judged: dict[str, float] = {}
        for answer in answers:
            if answer not in judged:
                judged[answer] = self.judge(context, answer)
        return max(judged, key=lambda answer: judged[answer])

    def vote(self, context: Context, text: str) -> Hashable | None:
        """The parsed answer."""
        return self.parse(context, text)


@dataclass(frozen=True)
class ModelFusion:
    """The same model reads all samples and writes one, at low temperature.

    Its prompt and generated tokens are counted with the configuration that it serves. A sample
    that does not parse is left out of the prompt; where the model's answer does not parse, the
    result is the first sample that does.
    """

    parse: Parse
    request: Callable[[Context], str]
    empty: str = ""
    temperature: float = 0.1
    max_tokens: int = 512
    lead: str = "Answer:"
    longest: int = 4000

    def prompt(self, context: Context, texts: Sequence[str]) -> Prompt:
        """What the model is asked; each candidate is cut at `longest` characters."""
        parsed = [a for a in (self.parse(context, t) for t in texts) if a is not None]
        shown = "\n\n".join(
            f"Candidate {i}:\n{answer[: self.longest]}" for i, answer in enumerate(parsed, start=1)
        )
        return Prompt(
            system="You merge candidate answers into the single best answer.",
            text=f"{self.request(context)}\n\n{shown}\n\n"
            "Weigh the candidates against each other and write one final answer, in the same "
            "format as the candidates and with nothing added.",
            lead=self.lead,
        )

    def finish(self, context: Context, texts: Sequence[str], answer: str) -> str:
        """The model's answer, or the first sample that parses."""
        for text in (answer, *texts):
            parsed = self.parse(context, text)
            if parsed is not None:
                return parsed
        return self.empty

    def vote(self, context: Context, text: str) -> Hashable | None:
        """The parsed answer."""
        return self.parse(context, text)
