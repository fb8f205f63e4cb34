"""Experience of other tasks: what is shipped, what is shown, and what must never be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agents import TaskCard, create
from agents.llm import ScriptedModel, experience, stand_in
from harness.search import run_search
from lookup_tables import load
from simulator import LookupTable, Model, Simulator, Stage, Task
from simulator.errors import UsageError


def card_of(name="other", stage="solve", models=("m-1", "m-2"), title="") -> TaskCard:
    made = tuple(Model(name=m, parameters=3e9) for m in models)
    only = Stage(name=stage, models=made, prompt_tokens=64, generated_tokens=64, samples=(1, 5))
    task = Task(
        name=name, title=title, kind="modelled", metric="accuracy", metrics=("accuracy",),
        default_budget=1000,
        stages=(only,),
    )  # fmt: skip
    return TaskCard.of(Simulator(LookupTable.from_function(task, lambda c: 0.5)))


def test_the_shipped_experience_is_that_of_the_published_tables():
    items = {item.task: item for item in experience.load()}
    assert set(items) == {"math", "textvqa-summarise", "textvqa-reason"}
    for name, item in items.items():
        table = load(name)
        for asked, score in item.parsed():
            if table.task.stages[0].name == asked.choices[0].stage:
                assert table.scores()[table.space.cell(asked)] == pytest.approx(score)


@pytest.mark.parametrize("name", ["math", "textvqa-summarise", "textvqa-reason"])
def test_no_task_is_shown_experience_of_itself(name):
    card = TaskCard.of(Simulator(load(name)), trials=4)
    model = stand_in(card, np.random.default_rng(0))
    run_search(load(name), "mlcopilot", trials=4, settings={"model": model})
    family = name.partition("-")[0]
    for request in model.requests:
        text = request.messages[1].content.lower()
        assert "source: figures" in text
        assert family not in text


def test_names_patterns_and_shared_models_exclude_an_item():
    item = experience.Experience(
        task="mine", title="t", source="s", metric="accuracy", excluded_for=("kin*",),
        models={"m-1": 1e9, "x": 2e9}, trials=({"configuration": "solve=m-1:5", "score": 0.3},),
    )  # fmt: skip
    assert experience.usable(card_of("mine", models=("a",)), [item]) == []
    assert experience.usable(card_of("kindred", models=("a",)), [item]) == []
    assert experience.usable(card_of("stranger"), [item]) == []
    assert experience.usable(card_of("stranger", models=("a", "b")), [item]) == [item]
    assert experience.usable(card_of("stranger", stage="plan"), [item]) == [item]


def test_the_nearest_tasks_come_first():
    items = experience.load()
    card = card_of(stage="reason", title="Read an image and reason over its summary")
    assert experience.nearest(card, items, 2)[0].task == "textvqa-reason"
    assert experience.nearest(card_of(title="MATH competition problem"), items, 1)[0].task == "math"
    assert len(experience.nearest(card, items, 9)) == 3


def test_numbers_become_words_and_none_is_left():
    for item in experience.load():
        shown = experience.in_words(item)
        assert len(shown["lines"]) > 4
        for line in shown["lines"]:
            for model in item.models:
                line = line.replace(model, "")
            assert not any(c.isdigit() for c in line)
    assert experience.levels([]) == []
    assert experience.levels([0.5, 0.5]) == ["very high", "very high"]


def test_a_search_becomes_experience_for_another_task(tmp_path, table):
    card = TaskCard.of(Simulator(table, 300), trials=8)
    result = run_search(table, "random", budget=300, trials=8)
    item = experience.from_trials(card, result.trials, source="a test", excluded_for=["toy*"])
    path = tmp_path / "own.json"
    path.write_text(experience.dump([item]))
    assert experience.load(path) == [item]
    assert len(item.trials) == 8
    other = card_of(models=("a", "b"))
    model = stand_in(other, np.random.default_rng(0))
    agent = create("mlcopilot", other, model=model, experience=str(path))
    agent.ask()
    assert "Source: a test" in model.requests[0].text


def test_without_usable_experience_the_agent_goes_on(tmp_path, table):
    path = tmp_path / "none.json"
    path.write_text("[]")
    card = TaskCard.of(Simulator(table, 300), trials=3)
    model = stand_in(card, np.random.default_rng(0))
    settings = {"model": model, "experience": str(path)}
    assert len(run_search(table, "mlcopilot", budget=300, trials=3, settings=settings).trials) == 3
    assert "None is at hand." in model.requests[0].text


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "Invalid JSON"),
        ('[{"task": "x"}]', "0.title: Field required"),
        (None, "no such file"),
        ("bad configuration", "is not stage=MODEL:SAMPLES"),
        ("unknown model", "gives no parameter count of the model 'b'"),
    ],
)
def test_damaged_files_are_named(content, line, tmp_path):
    path = tmp_path / "x.json"
    good = {
        "task": "x", "title": "x", "source": "x", "metric": "x", "models": {"a": 1e9},
        "trials": [{"configuration": "s=a:1", "score": 1}],
    }  # fmt: skip
    if content == "bad configuration":
        good["trials"][0]["configuration"] = "s=a"
        content = json.dumps([good])
    if content == "unknown model":
        good["trials"][0]["configuration"] = "s=b:1"
        content = json.dumps([good])
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError) as caught:
        create("mlcopilot", card_of(), model=ScriptedModel([]), experience=str(path))
    assert line in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("score", "size"), [("NaN", "1e9"), ("Infinity", "1e9"), ("0.5", "1e999")])
def test_a_figure_that_is_no_number_is_refused(tmp_path, score, size):
    path = tmp_path / "experience.json"
    path.write_text(
        '[{"task": "t", "title": "t", "source": "s", "metric": "m", '
        f'"models": {{"a": {size}}}, '
        f'"trials": [{{"configuration": "answer=a:1", "score": {score}}}]}}]'
    )
    with pytest.raises(UsageError, match="finite number"):
        experience.load(path)
