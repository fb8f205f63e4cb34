"""Every task: loads invented rows, parses, fuses and scores them as worked out by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from collectors.data import DataSource
from collectors.errors import SandboxError, SweepError
from collectors.pipeline import Context, ModelFuser, TaskSpec
from collectors.planner import fuse_prefix
from collectors.tasks import TASKS, load_task
from collectors.tasks import chatdev as chatdev_module
from collectors.tasks.math import boxed, equivalent
from collectors.tasks.math import parse as parse_math
from collectors.tasks.synthetic import SyntheticOptions, make_question
from collectors.tasks.textvqa import vqa_accuracy
from simulator.errors import UnknownName

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
HOP = {
    "id": "q7",
    "question": "Who founded the town where Ada was born?",
    "answer": "Bo Ek",
    "context": {
        "title": ["Ada", "Elm"],
        "sentences": [["Ada was born in Elm.", "She sang."], ["Elm was founded by Bo Ek."]],
    },
    "supporting_facts": {"title": ["Ada", "Elm"], "sent_id": [0, 0]},
}
GRAPH = {
    "id": "g1",
    "question": "Where does the river Oo end?",
    "answer": ["Lake Ii"],
    "q_entity": ["Oo"],
    "a_entity": ["Lake Ii"],
    "graph": [
        ["Oo", "flows_to", "m.1"],
        ["m.1", "ends_in", "Lake Ii"],
        ["Oo", "length", "40"],
        ["Uu", "length", "50"],
    ],
}
PARSED = [
    {
        "QuestionId": f"W{i}",
        "RawQuestion": f"who rules land {i}?",
        "Parses": [
            {
                "TopicEntityName": f"Land {i}",
                "InferentialChain": ["land.ruler"],
                "Answers": [{"EntityName": f"Queen {i}", "AnswerArgument": "m.0"}],
            }
        ],
    }
    for i in range(5)
]
TOOLS = {
    "nodes": [
        {"id": "find_city", "desc": "Find a city.", "parameters": [{"name": "name"}]},
        {
            "id": "get_map",
            "desc": "Draw a map.",
            "parameters": [{"name": "city"}, {"name": "zoom"}],
        },
        {"id": "send", "desc": "Send.", "parameters": [{"name": "to"}]},
    ]
}
BENCH = {
    "id": "b1",
    "user_request": "Draw a map of Elm at zoom 3",
    "tool_steps": ["Step 1: Find the city", "Step 2: Draw the map"],
    "tool_nodes": json.dumps(
        [
            {"task": "find_city", "arguments": [{"name": "name", "value": "Elm"}]},
            {
                "task": "get_map",
                "arguments": [
                    {"name": "city", "value": "<node-0>"},
                    {"name": "zoom", "value": "3"},
                ],
            },
        ]
    ),
}
SOFTWARE: list[Any] = [
    {"names": ["Adder", "Echo"], "tasks": ["A program that adds numbers", "An echo tool"]}
]
MATHS = [
    {"problem": "One half?", "answer": "\\frac{1}{2}", "level": 1, "unique_id": "m1"},
    {"problem": "Two?", "solution": "It is \\boxed{2}.", "level": "Level 5", "unique_id": "m2"},
]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., TaskSpec]:
    def made(name: str, rows: list[Any], options: dict[str, Any] | None = None) -> TaskSpec:
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(rows))
        (tmp_path / "pixel.png").write_bytes(PIXEL)
        wanted = 2 if "names" in rows[0] else len(rows)
        data = DataSource(path=path, train_examples=wanted, test_examples=0, shuffle=False)
        return load_task(name, data, options or {}, 1)

    return made


ROWS: Mapping[str, list[Any]] = {
    "2wiki": [HOP],
    "hotpotqa": [HOP],
    "cwq": [GRAPH],
    "webqsp": PARSED,
    "taskbench": [BENCH],
    "chatdev": SOFTWARE,
    "textvqa": [
        {
            "question": "What does it say?",
            "image": "pixel.png",
            "answers": ["stop"] * 8 + ["no"] * 2,
        }
    ],
    "math": MATHS,
    "synthetic": [{}],
}


def test_every_task_of_the_registry_is_tested() -> None:
    assert set(ROWS) == set(TASKS)


NONSENSE = ["", "?", "[[[", "{}", "Answer:", "```python\n", "1,2,99999999", "\\boxed{", "[1, {}]"]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_renders_prompts_and_survives_nonsense(
    name: str, load: Callable[..., TaskSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        chatdev_module, "run_main", lambda *a: chatdev_module.Ran(False, "not run here")
    )
    task = load(name, ROWS[name])
    seen: set[str] = set()
    for example in task.examples:
        upstream = ""
        for stage in task.stages:
            context = Context(example, upstream)
            prompt = stage.prompt(context)
            assert prompt.text
            assert prompt.plain().endswith(prompt.lead)
            assert all(shot in prompt.plain() for pair in prompt.shots for shot in pair)
            assert prompt.messages()[-1]["role"] == "user"
            results = []
            for fuser in stage.fusers.values():
                for texts in ([n] for n in NONSENSE):
                    found = fuse_prefix(fuser, context, texts, None)
                    assert isinstance(found, str)
                    results.append(found)
                    assert fuser.vote(context, texts[0]) is None or found
                if not isinstance(fuser, ModelFuser):
                    results.append(fuser.fuse(context, NONSENSE))
                else:
                    assert fuser.prompt(context, NONSENSE).text
            for result in results:
                scores = stage.score(context, result)
                assert set(scores) == set(stage.metrics)
                assert all(0 <= value <= 1 for value in scores.values())
                stage.prompt(Context(example, upstream))
            upstream = results[0]
            seen |= set(stage.metrics)
    assert task.metric in seen
    assert set(task.metrics) == seen
    assert set(task.facts) >= {task.metric}


def test_hop_fields_of_the_hub_and_gold_passages(load: Callable[..., TaskSpec]) -> None:
    task = load("hotpotqa", [HOP])
    example = task.examples[0]
    assert example.id == "q7"
    gold = {example.fields["passages"][i - 1] for i in example.fields["gold"]}
    assert gold == {"Ada: Ada was born in Elm.", "Elm: Elm was founded by Bo Ek."}
    retrieve, answer = task.stages
    right = ",".join(map(str, example.fields["gold"]))
    assert retrieve.score(Context(example), right) == {"retrieval_f1": 1.0}
    assert retrieve.score(Context(example), "") == {"retrieval_f1": 0.0}
    shown = answer.prompt(Context(example, right)).text
    assert "Elm was founded by Bo Ek." in shown
    assert "She sang" not in shown
    assert answer.score(Context(example, right), "the Bo-Ek") == {
        "exact_match": 1.0,
        "token_f1": 1.0,
        "answer_contained": 1.0,
    }
    partly = answer.score(Context(example, right), "It was Bo Ek himself")
    assert partly["exact_match"] == 0
    assert partly["token_f1"] == pytest.approx(2 * 2 / (2 + 5))
    assert partly["answer_contained"] == 1


def test_candidates_are_reduced_around_the_gold_ones(tmp_path: Path) -> None:
    row = {
        "question": "?",
        "answers": ["x"],
        "ctxs_candidate": [f"p{i}" for i in range(50)],
        "ctxs_gt": ["p7", "p9"],
    }
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row) + "\n")
    data = DataSource(path=path, train_examples=1, test_examples=0)
    fields = load_task("2wiki", data, {"candidates": 5}, 3).examples[0].fields
    assert len(fields["passages"]) == 5
    assert {fields["passages"][i - 1] for i in fields["gold"]} == {"p7", "p9"}
    again = load_task("2wiki", data, {"candidates": 5}, 3).examples[0].fields
    assert again == fields
    assert load_task("2wiki", data, {"candidates": 5}, 4).examples[0].fields != fields


def test_triples_of_a_graph_between_question_and_answer(load: Callable[..., TaskSpec]) -> None:
    example = load("cwq", [GRAPH]).examples[0]
    gold = {example.fields["triples"][i - 1] for i in example.fields["gold"]}
    assert gold == {"Oo | flows_to | m.1", "m.1 | ends_in | Lake Ii"}
    assert len(example.fields["triples"]) == 4


def test_triples_with_crucial_ones_named(load: Callable[..., TaskSpec]) -> None:
    row = {
        "ID": "c1",
        "question": "?",
        "answer": ["B"],
        "gt_triples": [["A", "r", "B"], ["A", "r", "B"], ["A", "s", "C"]],
        "crucial_triples": [["A", "r", "B"]],
    }
    example = load("cwq", [row]).examples[0]
    assert sorted(example.fields["triples"]) == ["A | r | B", "A | s | C"]
    assert [example.fields["triples"][i - 1] for i in example.fields["gold"]] == ["A | r | B"]


def test_triples_made_of_parses_take_distractors_from_other_questions(
    load: Callable[..., TaskSpec],
) -> None:
    task = load("webqsp", PARSED, {"candidates": 3})
    for example in task.examples:
        number = example.id.removeprefix("W")
        assert len(example.fields["triples"]) == 3
        gold = [example.fields["triples"][i - 1] for i in example.fields["gold"]]
        assert gold == [f"Land {number} | land.ruler | Queen {number}"]
        assert example.fields["answers"] == [f"Queen {number}"]
    assert "parses" in task.facts["triples"]


def test_taskbench_stages_pass_on_and_score(load: Callable[..., TaskSpec], tmp_path: Path) -> None:
    tools = tmp_path / "tool_desc.json"
    tools.write_text(json.dumps(TOOLS))
    task = load("taskbench", [BENCH], {"tools": str(tools)})
    example = task.examples[0]
    decompose, select, fill = task.stages
    steps = '["Step 1: Find the city", "Step 2: Draw the map"]'
    first = fuse_prefix(decompose.fuser(None), Context(example), [f"Here: {steps}"], None)
    assert first is not None
    assert decompose.score(Context(example), first) == {"step_rouge_l": 1.0}
    half = fuse_prefix(decompose.fuser(None), Context(example), ['["Step 1: Find the city"]'], None)
    # ROUGE-L counts the subsequence "step 1 find the citi": 5 of 5 found, of 10 gold words.
    assert decompose.score(Context(example), half or "")["step_rouge_l"] == pytest.approx(2 / 3)
    second = select.fuser(None).fuse(  # type: ignore[union-attr]
        Context(example, first), ['["find_city", "get_map", "unknown"]', '["get_map", "find_city"]']
    )
    assert json.loads(second)["tools"] == ["find_city", "get_map"]
    assert json.loads(second)["steps"] == json.loads(steps)
    assert select.score(Context(example, first), second) == {"node_f1": 1.0}
    context = Context(example, second)
    shown = fill.prompt(context).text
    assert "- get_map: city, zoom" in shown
    assert "- send" not in shown
    calls = json.dumps(json.loads(BENCH["tool_nodes"]))  # type: ignore[arg-type]
    wrong = calls.replace('"3"', '"4"')
    result = fill.fuser(None).fuse(context, [calls, wrong, calls])  # type: ignore[union-attr]
    assert fill.score(context, result) == {"parameter_f1": 1.0}
    bad = fill.fuser(None).fuse(context, [wrong])  # type: ignore[union-attr]
    assert fill.score(context, bad)["parameter_f1"] == pytest.approx(2 / 3)
    assert fill.score(context, "") == {"parameter_f1": 0.0}


def test_a_tool_named_twice_counts_twice(load: Callable[..., TaskSpec]) -> None:
    task = load("taskbench", [BENCH])
    select = task.stages[1]
    found = select.fuser(None).fuse(Context(task.examples[0]), ['["get_map", "get_map"]'])  # type: ignore[union-attr]
    assert json.loads(found)["tools"] == ["get_map", "get_map"]
    assert select.score(Context(task.examples[0]), found) == {"node_f1": 0.5}


GOOD = "main.py\n```python\nfrom calc import add\nprint(add(2, 3))  # adds numbers\n```\n"
CALC = "**calc.py**\n```python\ndef add(a, b):\n    return a + b\n```"


def test_chatdev_reads_files_and_keeps_those_of_the_stage_before(
    load: Callable[..., TaskSpec],
) -> None:
    task = load("chatdev", SOFTWARE)
    assert [e.id for e in task.examples] == ["Adder", "Echo"]
    context = Context(task.examples[0])
    first = chatdev_module.parse_program(context, GOOD + CALC)
    assert first is not None
    assert sorted(chatdev_module.read_program(first)) == ["calc.py", "main.py"]
    later = Context(task.examples[0], first)
    mended = chatdev_module.parse_program(later, "```python\nprint('new')\n```")
    files = chatdev_module.read_program(mended or "")
    assert files["main.py"] == "print('new')\n"
    assert "def add" in files["calc.py"]
    continued = chatdev_module.parse_program(context, "import os\nprint(os.sep)\n```\nThat is it.")
    assert chatdev_module.read_program(continued or "") == {"main.py": "import os\nprint(os.sep)\n"}
    evil = "../../etc/x.py\n```python\nx = 1\n```"
    assert "../../etc/x.py" not in chatdev_module.read_program(
        chatdev_module.parse_program(context, evil) or ""
    )
    assert chatdev_module.parse_program(context, "I cannot do that.") is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    return 1\nf()", True),
        ("def f():\n    pass", False),
        ("def f():\n    'text'\n    ...", False),
        ("def f():\n    raise NotImplementedError", False),
        ("x = 1  # TODO more", False),
        ("def f(:", False),
        ("class E(Exception):\n    pass\nprint(1)", True),
    ],
)
def test_completeness(source: str, expected: bool) -> None:
    assert chatdev_module.complete(json.dumps({"main.py": source})) is expected


def test_chatdev_scores_what_runs(load: Callable[..., TaskSpec]) -> None:
    try:
        chatdev_module.sandbox.check()
    except SandboxError as error:
        pytest.skip(str(error))
    task = load("chatdev", SOFTWARE, {"seconds": 0.5})
    example, last = task.examples[0], task.stages[-1]
    context = Context(example)
    good = chatdev_module.parse_program(context, GOOD + CALC) or ""
    scores = last.score(context, good)
    assert scores["completeness"] == scores["executability"] == 1
    assert 0 < scores["consistency"] < 1
    broken = json.dumps({"main.py": "import calc_that_is_not_there"})
    assert last.score(context, broken)["executability"] == 0
    waits = json.dumps({"main.py": "input('number? ')"})
    assert last.score(context, waits)["executability"] == 1
    assert last.score(context, "") == {
        "completeness": 0.0,
        "executability": 0.0,
        "consistency": 0.0,
    }
    shown = last.prompt(Context(example, broken)).text
    assert "ModuleNotFoundError" in shown
    tested = last.fusers["tested"]
    texts = ["main.py\n```python\nimport nothing_here\n```", GOOD + CALC]
    assert tested.fuse(context, texts) == good  # type: ignore[union-attr]


def test_consistency_is_higher_for_the_program_that_was_asked_for() -> None:
    request = "A calculator that adds and multiplies numbers"
    near = json.dumps({"main.py": "def add_numbers(): ...\ndef multiply_numbers(): ..."})
    far = json.dumps({"main.py": "def draw_maze(): ..."})
    assert chatdev_module.consistency(request, near) > chatdev_module.consistency(request, far)
    assert chatdev_module.consistency(request, far) == 0


def test_textvqa_sends_the_image_and_scores_by_agreement(load: Callable[..., TaskSpec]) -> None:
    task = load("textvqa", ROWS["textvqa"])
    message = task.stages[0].prompt(Context(task.examples[0])).messages()[-1]
    url = message["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == PIXEL
    # Ten people, eight say "stop": leaving one out, at least seven of nine agree.
    assert vqa_accuracy("Stop.", task.examples[0].fields["answers"]) == 1.0
    # Two say "no": 8 times 2 of the others agree, twice 1 does: (8 * 2/3 + 2 * 1/3) / 10.
    assert vqa_accuracy("no", ["stop"] * 8 + ["no"] * 2) == pytest.approx(0.6)
    assert vqa_accuracy("go", ["stop"] * 10) == 0
    reason = task.stages[1]
    assert (
        reason.fuser(None).fuse(  # type: ignore[union-attr]
            Context(task.examples[0], "A red sign."),
            ["The sign is red. Answer: stop", "Answer: go", "So... Answer: Stop!"],
        )
        == "stop"
    )


def test_textvqa_names_an_image_that_is_not_there(load: Callable[..., TaskSpec]) -> None:
    with pytest.raises(SweepError, match=r"no image .*missing\.png"):
        load("textvqa", [{"question": "?", "image": "missing.png", "answers": ["a"]}])


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("\\frac{1}{2}", "0.5", True),
        ("\\frac{1}{2}", "\\dfrac12", True),
        ("2", "x = 2", True),
        ("(1,2)", "(1, 2)", True),
        ("\\sqrt{8}", "2\\sqrt{2}", True),
        ("3", "4", False),
        ("10", "", False),
        ("5", "five \\frac", False),
    ],
)
def test_mathematical_equivalence(gold: str, answer: str, same: bool) -> None:
    assert equivalent(gold, answer) is same


def test_math_fusers_choose_as_they_say(load: Callable[..., TaskSpec]) -> None:
    task = load("math", MATHS)
    assert [e.id for e in task.examples] == ["m1", "m2"]
    assert task.examples[1].fields["answer"] == "2"
    context = Context(task.examples[0])
    solve = task.stages[0]
    texts = [
        "So it is \\boxed{3}",
        "Thus \\boxed{\\dfrac{1}{2}}.",
        "\\boxed{3}",
        "The final answer is $\\frac{1}{2}$.",
        "\\boxed{\\frac{1}{2}}",
    ]
    majority = solve.fusers["majority"].fuse(context, texts)  # type: ignore[union-attr]
    assert solve.score(context, majority) == {"accuracy": 1.0}
    oracle = solve.fusers["oracle"].fuse(context, texts[:2])  # type: ignore[union-attr]
    assert solve.score(context, oracle) == {"accuracy": 1.0}
    best = solve.fusers["best_of_n"].fuse(context, ["\\boxed{...}", "\\boxed{7}"])  # type: ignore[union-attr]
    assert best == "7"
    assert boxed("\\boxed{a{b}c} and \\boxed{d") is None
    assert parse_math(context, "no answer") is None


def test_math_keeps_the_levels_asked_for(load: Callable[..., TaskSpec], tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(MATHS))
    data = DataSource(path=path, train_examples=1, test_examples=0, shuffle=False)
    assert load_task("math", data, {"levels": [5]}, 0).examples[0].id == "m2"


def test_synthetic_questions_have_right_answers_and_fallible_verifiers() -> None:
    data = DataSource(train_examples=24, test_examples=8)
    task = load_task("synthetic", data, {}, 9)
    assert {e.fields["kind"] for e in task.examples} == {"add", "multiply", "reverse", "count"}
    stage = task.stages[0]
    best = stage.fusers["best_of_n"]
    fooled = 0
    for example in task.examples:
        context, gold = Context(example), example.fields["answer"]
        assert stage.score(context, gold) == {"accuracy": 1.0}
        assert stage.fuser("majority").fuse(context, [f"Answer: {gold}", "?"]) == gold  # type: ignore[union-attr]
        wrong = gold[1:] + gold[:1] if example.fields["kind"] == "reverse" else f"{int(gold) + 1}"
        fooled += best.fuse(context, [wrong, gold]) != gold  # type: ignore[union-attr]
    assert 0 < fooled < len(task.examples), "the verifier is of use, and not an oracle"
    rng = __import__("numpy").random.default_rng(0)
    made = make_question(SyntheticOptions(kinds=("multiply",), digits=3), rng, 0)
    a, b = (int(n) for n in made["question"].removeprefix("What is ").rstrip("?").split(" * "))
    assert int(made["answer"]) == a * b


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-12", "-12"), ("Answer: -12", "-12"), ("3 - 15 = -12", "-12"), ("= **-12**", "-12"),
        ("The answer is \u221212.", "-12"), ("Answer - 12", "12"), ("Answer: 12", "12"),
        ("= 1,234", "1234"), ("Answer: $12", "12"), ("5 + 7 = 12 - done", "12"),
    ],
)  # fmt: skip
def test_a_minus_of_an_answer_is_kept(text: str, number: str) -> None:
    task = load_task("synthetic", DataSource(train_examples=1, test_examples=1), {}, 9)
    stage, example = task.stages[0], task.examples[0]
    assert example.fields["kind"] == "add"
    assert stage.fuser("majority").fuse(Context(example), [text]) == number  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_examples() -> None:
    data = DataSource(train_examples=3, test_examples=3)
    first, again = (load_task("synthetic", data, {}, 4).examples for _ in range(2))
    assert first == again
    assert load_task("synthetic", data, {}, 5).examples != first


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nothing", {}, "no task named 'nothing'"),
        ("2wiki", {"candidats": 4}, "options.candidats: Extra inputs"),
        ("synthetic", {"digits": 0}, "options.digits: Input should be greater"),
        ("collectors.data:HubDefault", {}, "must annotate its options"),
    ],
)
def test_wrong_tasks_and_options_get_one_line(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((SweepError, UnknownName), match=message):
        load_task(name, DataSource(), options, 0)


def test_rows_of_the_wrong_shape_are_named(load: Callable[..., TaskSpec]) -> None:
    with pytest.raises(SweepError, match="lacks the field question; it has answers, ctxs"):
        load("2wiki", [{"answers": ["a"], "ctxs_candidate": ["p"], "ctxs_gt": ["p"]}])
    with pytest.raises(SweepError, match="lacks the field tool_nodes or task_nodes"):
        load("taskbench", [{"user_request": "x"}])
