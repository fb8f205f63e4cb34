"""What language models write to pipelines: parsed, fused, scored and passed on, whatever it is."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.data import DataSource
from collectors.pipeline import Context, ModelFuser, TaskSpec, key_of
from collectors.tasks import TASKS, chatdev, load_task, math
from tests.collectors.test_tasks import PIXEL, ROWS
from tests.fuzz.guard import fuzz, survive
from tests.fuzz.mutate import HUGE, garbled

SOUND = {
    "2wiki": ("Passages needed: 1, 3", "Let me think. **Answer:** 'Bo Ek'."),
    "hotpotqa": ("[1], [3]", "Final answer is: Bo Ek"),
    "cwq": ("Facts needed: 1,2", "Answer: the sea"),
    "webqsp": ("1", "Answer: x"),
    "taskbench": (
        'Steps: ["Step 1: find", "Step 2: draw"]',
        'Here: ["find_city", {"task": "get_map"}]',
        '```json\n[{"task": "get_map", "arguments": [{"name": "city", "value": "<node-0>"}]}]\n```',
    ),
    "chatdev": (
        "main.py\n```python\nimport sys\n\ndef add(a, b):\n    return a + b\nprint(add(1, 2))\n```",
        "**calc.py**\n```python\nclass A:\n    pass\n```",
        "print('x')\n```\n",
    ),
    "textvqa": ("A red sign.", "The sign says stop. Answer: stop"),
    "math": ("so the answer is $\\frac{1}{2}$.", "thus \\boxed{\\frac{1}{2}}", "= 3^{2}"),
    "synthetic": ("Answer: 42", "answer is = 'abc'", "7,000"),
}
PLAIN = "prose with 12 numbers, [lists] and {objects}; answer is 7"
SPACES = " " * 30_000


@cache
def task(name: str) -> TaskSpec:
    """A task of one example; programs are parsed, not run (the sandbox has tests of its own)."""
    Path("rows.json").write_text(json.dumps(ROWS[name]))
    Path("pixel.png").write_bytes(PIXEL)
    data = DataSource(path=Path("rows.json"), train_examples=1, test_examples=0, shuffle=False)
    return load_task(name, data, {}, 1)


@pytest.fixture(autouse=True)
def not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chatdev, "run_main", lambda *_: chatdev.Ran(False, "not run here"))
    monkeypatch.setattr(math._process(), "seconds", 1.0)


def passed_on(name: str, texts: list[str]) -> list[str]:
    """Every stage's results of these samples, by every fuser; the first goes to the next stage."""
    # The store, through which every sample goes, has replaced lone surrogates already.
    texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    example, upstream, results = task(name).examples[0], "", []
    for stage in task(name).stages:
        context = Context(example, upstream)
        stage.prompt(context).messages()
        found = []
        for fuser in stage.fusers.values():
            if isinstance(fuser, ModelFuser):
                result = fuser.finish(context, texts, texts[-1])
            else:
                result = fuser.fuse(context, texts)
            hash(fuser.vote(context, texts[0]))
            scores = stage.score(context, result)
            assert set(scores) == set(stage.metrics)
            assert all(0 <= value <= 1 for value in scores.values())
            if isinstance(fuser, ModelFuser):
                fuser.prompt(context, texts).plain()
            key_of(result)
            result.encode()  # a result is stored, hashed and sent to the next stage's engine
            found.append(result)
        results += found
        upstream = next((result for result in found if result), "")
    return results


def samples(name: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """Samples of a task: its own kind of answers with faults, now and then another task's."""
    own = st.sampled_from(SOUND[name]).flatmap(garbled)
    other = st.sampled_from([*(text for texts in SOUND.values() for text in texts), PLAIN])
    return st.tuples(st.just(name), st.lists(own | own | other, min_size=1, max_size=3))


@fuzz
@given(st.sampled_from(sorted(TASKS)).flatmap(samples))
@example(("taskbench", [f"[{HUGE}]"]))
@example(("taskbench", ['["\\ud800"]']))
@example(("taskbench", ['[{"task": "get_map", "arguments": [{"name": "\\ud800"}]}]']))
@example(("taskbench", ["[" * 990 + "1" + "]" * 990]))
@example(("taskbench", ["[" * 100_000]))
@example(("taskbench", ['["' + "[" * 100_000]))
@example(("taskbench", ['{"steps": {"a": 1}}', '{"tools": null}', '{"calls": 5}']))
@example(("math", ["answer is" + " " * 300 + "$$x"]))
@example(("math", ["the answer is" + SPACES + "$$"]))
@example(("math", ["answer" + SPACES]))
@example(("math", ["\\boxed{" * 5000]))
@example(("math", ["\\boxed{9^{9^{9^{9}}}}"]))
@example(("2wiki", ["answer" + SPACES, "final" + SPACES]))
@example(("2wiki", ["answer is" + SPACES + "x", "Answer" + SPACES + ":"]))
@example(("synthetic", ["answer" + " " * 3000 + "!!!!!!"]))
@example(("synthetic", ["answer: " + HUGE]))
@example(("synthetic", ["answer: ² ٣"]))
@example(("chatdev", ["```python\ndef f():\n    raise " + "a + " * 2500 + "a\n```"]))
@example(("chatdev", ["```python\nx = " + "(" * 150 + ")" * 150 + "\n```"]))
@example(("chatdev", ["```python\nx = " + "-" * 20_000 + "1\n```"]))
@example(("chatdev", ["a/" * 30_000 + "\n```\n"]))
@example(("chatdev", ["```" * 30_000]))
@example(("chatdev", ["#" * 60_000 + "\n"]))
@example(("textvqa", ["\ud800", SPACES]))
def test_every_stage_of_every_task(given: tuple[str, list[str]]) -> None:
    found = survive(passed_on, *given)
    assert isinstance(found, list), f"no text of a model is an error: {found}"


UNITS = (
    "answer ", "answer is ", "\\boxed{", "{", "[", '["', '{"a":', "```\n", "main.py\n```", "1, ",
    "$", "= ", "\n", " ", "a.py\n", "final ", "Answer: ", "-", "raise ", "(",
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_model_that_repeats_itself_until_it_is_cut_off(name: str) -> None:
    for unit in UNITS:
        text = unit * (4000 // len(unit))
        found = survive(passed_on, name, [text])
        assert isinstance(found, list), f"{unit!r}: {found}"
