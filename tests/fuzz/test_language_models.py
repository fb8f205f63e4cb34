"""What language models write to agents, recordings of it, and files of experience."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents import TaskCard, available
from agents.llm import (
    Message,
    Recorder,
    Recording,
    Replay,
    Reply,
    Request,
    Sampling,
    ScriptedModel,
    experience,
)
from agents.llm.parsing import find_object, read_reply
from agents.llm.proposals import Proposal, read_candidate
from harness.search import SearchResult, run_search
from simulator import LookupTable, Simulator
from simulator.errors import AgentTTSError
from tests.fuzz.guard import fuzz, survive
from tests.fuzz.mutate import HUGE, damaged, garbled, twisted

NAMES = sorted(name for name, info in available().items() if info.llm)
TABLE = LookupTable.from_function(
    {"retrieve": [1, 2, 5, 10], "answer": [1, 5, 10, 20, 50]},
    lambda c: 0.9 - 0.01 * c.choices[0].samples - 0.003 * abs(c.choices[1].samples - 20),
)
CARD = TaskCard.of(Simulator(TABLE, 300), trials=6)
ASKED = {
    "retrieve": {"model": "small", "samples": 2},
    "answer": {"model": "large", "samples": 5},
}
REPLY = {
    "analysis": "-", "guidelines": ["try more"], "knowledge": ["more helps"], "lesson": "-",
    "candidates": [{"why": "more", "configuration": ASKED}, {"why": "-", "configuration": ASKED}],
    "explore": {"mutation": 1, "crossover": 2, "random": 1}, "accept": False, "why": "no",
    "configuration": ASKED,
}  # fmt: skip
TEXT = f"<think>hm {{</think>\nSure:\n```json\n{json.dumps(REPLY, indent=1)}\n```\nGood luck!"
REQUEST = Request((Message("user", "hi"),), Sampling(run_seed=3), {"type": "object"}, 0, "test")


@fuzz
@given(garbled(TEXT))
@example("```json" + "\n" * 100_000)
@example("```" + "a" * 100_000)
@example("``` " + " " * 100_000 + "{")
@example("<think>" * 20_000)
@example("{" * 100_000)
@example('{"a' * 50_000)
@example('{"n": ' + HUGE + "}")
def test_an_object_in_the_text_of_a_reply(text: str) -> None:
    found, problem = survive(find_object, text)
    assert (found is None) == bool(problem)
    assert len(problem) < 400
    for finish in ("stop", "length", "content_filter"):
        survive(read_reply, Reply(text, finish=finish, refusal=text[:5] if "no" in text else ""))


@fuzz
@given(twisted(REPLY["candidates"][0], keep_top=False), st.booleans())
@example({"configuration": "retrieve" + " " * 20_000}, False)
@example({"configuration": {"retrieve": {"model": "small", "samples": 10**30}}}, True)
def test_a_candidate(raw: Any, off_grid: bool) -> None:
    proposal = survive(read_candidate, raw, CARD, (), off_grid)
    assert isinstance(proposal, Proposal)
    assert (proposal.problem == "invalid") == (proposal.configuration is None)
    for text in (proposal.why, proposal.detail):
        text.encode()
    if proposal.configuration is not None:
        assert CARD.feasible(proposal.configuration) == (proposal.problem != "over budget")


@fuzz
@given(st.sampled_from(NAMES), st.lists(twisted(REPLY) | garbled(TEXT), min_size=1, max_size=2))
@example("agenttts", [{**REPLY, "explore": {"mutation": float("nan"), "crossover": 10**400}}])
@example("agenthpo", [{**REPLY, "candidates": [{"why": "\ud800", "configuration": ASKED}]}])
def test_agents_on_replies_of_any_form(name: str, replies: list[Any]) -> None:
    """Whatever comes back, every trial is used and each says what became of the proposal."""

    def target(replies: list[Any]) -> SearchResult:
        turns = iter(range(10**6))
        model = ScriptedModel(lambda _: replies[next(turns) % len(replies)])
        settings = {"model": model, "repairs": 1}
        settings |= {"planner": "random"} if name == "insight-llm" else {}
        settings |= {"explore": True} if name == "agenttts" else {}
        return run_search(TABLE, name, budget=300, trials=2, settings=settings)

    result = survive(target, replies)
    assert isinstance(result, SearchResult)
    assert len(result.trials) == 2
    assert not result.aborted


def recorded() -> bytes:
    """A recording of two calls."""
    path = Path("sound.jsonl")
    if not path.exists():
        recorder = Recorder(ScriptedModel(["hällo", '{"n": 1}'], name="m"), path)
        for request in (REQUEST, Request(REQUEST.messages, REQUEST.sampling, {}, 1, "test")):
            recorder.reply(request)
    return path.read_bytes()


def replayed(content: bytes) -> Reply:
    """Load a recording, answer from it, and go on writing it."""
    path = Path("run.jsonl")
    path.write_bytes(content)
    reply = Replay(Recording.load(path), "m").reply(REQUEST)
    Recorder(ScriptedModel(["again"] * 2, name="m"), path).reply(REQUEST)
    assert Replay(Recording.load(path), "m").reply(REQUEST) == reply
    return reply


@fuzz
@given(st.data())
def test_the_bytes_of_a_recording(data: st.DataObject) -> None:
    survive(replayed, data.draw(damaged(recorded())))


@fuzz
@given(st.data())
def test_the_structure_of_a_recording(data: st.DataObject) -> None:
    lines = [json.loads(line) for line in recorded().splitlines()]
    changed = data.draw(twisted(lines, keep_top=False))
    rows = changed if isinstance(changed, list) else [changed]
    survive(replayed, "".join(json.dumps(row) + "\n" for row in rows).encode())


@pytest.mark.parametrize("seconds", ["NaN", "Infinity"])
def test_a_recording_whose_seconds_are_no_number(seconds: str) -> None:
    content = recorded().replace(b'"seconds": 0.0', f'"seconds": {seconds}'.encode(), 1)
    assert seconds.encode() in content
    assert isinstance(survive(replayed, content), AgentTTSError)


@fuzz
@given(garbled("hällo {}"), st.booleans())
@example("\ud800", False)
@example("a\u2028b\x85c", False)
def test_any_text_of_a_model_can_be_recorded(text: str, refused: bool) -> None:
    """Recorded and replayed are the same, lone surrogates and line separators included."""

    def target(text: str) -> None:
        path = Path("any.jsonl")
        path.unlink(missing_ok=True)
        line = Reply("", refusal=text) if refused else Reply(text)
        said = Recorder(ScriptedModel([line], name="m"), path).reply(REQUEST)
        assert Replay(Recording.load(path)).reply(REQUEST) == said
        said.text.encode()

    survive(target, text)


@fuzz
@given(st.data())
def test_a_file_of_experience(data: st.DataObject) -> None:
    sound = [
        {
            "task": "other", "title": "Another task", "source": "here", "metric": "f1",
            "excluded_for": ["x*"], "models": {"M": 3e9},
            "trials": [{"configuration": f"s=M:{n}", "score": n / 9} for n in (1, 2, 5)],
        }
    ]  # fmt: skip
    if data.draw(st.booleans()):
        content = data.draw(damaged(json.dumps(sound).encode()))
    else:
        content = json.dumps(data.draw(twisted(sound, keep_top=False))).encode()

    def target(content: bytes) -> None:
        Path("experience.json").write_bytes(content)
        items = experience.usable(CARD, experience.load("experience.json"))
        for item in experience.nearest(CARD, items, 2):
            for line in experience.in_words(item)["lines"]:
                assert "score" in line

    survive(target, content)
