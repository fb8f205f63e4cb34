"""Configurations: reading, writing, and what is wrong with the wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Choice, Configuration, Model
from simulator.errors import InvalidConfiguration, TableError, UnknownName, UsageError
from simulator.space import Space
from simulator.table import toy_task
from simulator.task import Task

STAGES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
MODELS = st.text(
    st.characters(blacklist_characters=",=", blacklist_categories=("C",)), min_size=1, max_size=12
).filter(lambda name: not name[0].isspace() and name == name.strip())


@given(st.lists(st.tuples(STAGES, MODELS, st.integers(1, 999_999_999)), min_size=1, max_size=5))
def test_what_is_written_is_read(parts: list[tuple[str, str, int]]) -> None:
    configuration = Configuration(tuple(Choice(*part) for part in parts))
    assert Configuration.parse(str(configuration)) == configuration
    spaced = str(configuration).replace(",", " ,\t").replace("=", " = ")
    assert Configuration.parse(spaced) == configuration


@given(MODELS)
def test_every_name_that_a_task_takes_can_be_written(name: str) -> None:
    assert Model(name=name, parameters=1).name == name
    text = f"answer={name}:7"
    assert Configuration.parse(text).choices == (Choice("answer", name, 7),)


def test_a_model_may_hold_colons() -> None:
    (choice,) = Configuration.parse("answer=org/model:7b:3").choices
    assert choice == ("answer", "org/model:7b", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not stage=MODEL:SAMPLES"),
        ("answer", "'answer' is not stage=MODEL:SAMPLES"),
        ("answer=", "is not stage=MODEL:SAMPLES"),
        ("answer=small", "'answer=small' is not stage=MODEL:SAMPLES"),
        ("=small:1", "is not stage=MODEL:SAMPLES"),
        ("answer=:1", "is not stage=MODEL:SAMPLES"),
        ("answer=small:1,", "'' is not stage=MODEL:SAMPLES"),
        ("answer=small:1;b=small:2", "is not stage=MODEL:SAMPLES"),
        ("answer=small:", "samples of stage 'answer' must be a whole number from 1, not ''"),
        ("answer=small:many", "must be a whole number from 1, not 'many'"),
        ("answer=small:1.5", "must be a whole number from 1, not '1.5'"),
        ("answer=small:1e3", "must be a whole number from 1, not '1e3'"),
        ("answer=small:٣", "must be a whole number from 1"),
        ("answer=small:99999999999", "must be a whole number from 1"),
        ("answer=small:0", "must be at least 1, not 0"),
        ("answer=small:-4", "must be at least 1, not -4"),
    ],
)
def test_text_that_is_no_configuration(text: str, message: str) -> None:
    with pytest.raises(InvalidConfiguration, match=re.escape(message)) as caught:
        Configuration.parse(text)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.fixture
def space() -> Space:
    return Space(toy_task({"retrieve": [1, 5, 10], "answer": [2, 20]}))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("retrieve=small:1", InvalidConfiguration, "stage 'answer' is missing; 'toy' has the"),
        ("retrieve=small:1,retrieve=small:1", InvalidConfiguration, "'retrieve' is given twice"),
        ("retreive=small:1,answer=small:2", UnknownName, "did you mean retrieve"),
        ("retrieve=smal:1,answer=small:2", UnknownName, "did you mean small"),
        ("retrieve=small:11,answer=small:2", InvalidConfiguration, "from 1 to 10, not 11"),
    ],
)
def test_what_the_task_does_not_have(
    space: Space, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        space.indices(Configuration.parse(text))


@pytest.mark.parametrize("samples", [0, -1, 11, 2.0, 1.5, True, "2", None])
def test_samples_of_another_kind(space: Space, samples: object) -> None:
    choices = (Choice("retrieve", "small", samples), Choice("answer", "small", 2))
    with pytest.raises(InvalidConfiguration, match="must be a whole number from 1 to 10, not"):
        space.indices(Configuration(choices))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": [5, 1]}, "stages.0.samples: sample counts must ascend"),
        ({"samples": [0, 1]}, "stages.0.samples.0: Input should be greater than 0"),
        ({"samples": []}, "stages.0.samples: "),
        ({"samples": [1.5]}, "stages.0.samples.0: "),
        ({"models": []}, "stages.0.models: "),
        ({"models": [{"name": "a", "parameters": 0}]}, "stages.0.models.0.parameters: "),
        ({"models": [{"name": "a,b", "parameters": 1}]}, "stages.0.models.0.name: "),
        ({"models": [{"name": "a\x1b[2J", "parameters": 1}]}, "stages.0.models.0.name: "),
        ({"models": [{"name": "a", "parameters": 1}] * 2}, "names a model twice"),
        ({"prompt_tokens": "many"}, "stages.0.prompt_tokens: "),
        ({"colour": "red"}, "stages.0.colour: "),
    ],
)
def test_a_task_that_is_wrong(change: dict[str, object], message: str) -> None:
    stage = {
        "name": "a", "prompt_tokens": 1, "generated_tokens": 1, "samples": [1],
        "models": [{"name": "m", "parameters": 1}],
    }  # fmt: skip
    task = {
        "name": "t", "kind": "modelled", "metric": "score", "metrics": ["score"],
        "default_budget": 1, "stages": [stage | change],
    }  # fmt: skip
    with pytest.raises(TableError, match=re.escape(message)) as caught:
        Task.from_mapping(task, source="task.toml")
    assert str(caught.value).startswith("task.toml: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "other"}, "metric 'other' is not among metrics ['score']"),
        ({"metrics": ["score", "score"]}, "names a metric twice"),
        ({"kind": "invented"}, "kind: "),
        ({"default_budget": 0}, "default_budget: "),
        ({"paper_distance": 7}, "paper_distance: "),
        ({"name": "../up"}, "name: "),
    ],
)
def test_a_task_that_is_wrong_as_a_whole(change: dict[str, object], message: str) -> None:
    task = toy_task({"a": [1]}).model_dump() | change
    with pytest.raises(TableError, match=re.escape(message)):
        Task.from_mapping(task)


def test_a_task_file_that_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        Task.from_toml(tmp_path / "task.toml")
    (tmp_path / "task.toml").write_text("name = ]\n")
    with pytest.raises(TableError, match=r"task\.toml: .*line 1"):
        Task.from_toml(tmp_path / "task.toml")


def test_errors_cross_to_another_process() -> None:
    import copy

    for error in (UnknownName("agent", "tpee", ["tpe"]), InvalidConfiguration("x")):
        again = copy.copy(error)  # by __reduce__, as multiprocessing does
        assert isinstance(again, UsageError)
        assert str(again) == str(error)
