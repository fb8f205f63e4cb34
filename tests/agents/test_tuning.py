"""`tuning = "best-case"`: one name for the settings chosen on generated landscapes."""

from __future__ import annotations

import inspect
import json

import pytest

from agents import TaskCard, agent_class, create
from agents.testing import run_trials, small_table
from agents.tuning import best_case, tuned
from harness.plan import make_plan
from harness.suite import make_suite
from simulator import Simulator
from simulator.errors import UnknownName, UsageError
from tools.tune_baselines import CHOICES, combinations

BASELINES = sorted(CHOICES)


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(small_table(), budget=250)


def test_every_baseline_has_a_best_case_among_what_was_tried() -> None:
    assert sorted(best_case()) == BASELINES
    for agent in BASELINES:
        assert dict(best_case()[agent]) in list(combinations(agent))


@pytest.mark.parametrize("agent", BASELINES)
def test_the_first_of_what_was_tried_is_the_default(agent: str) -> None:
    parameters = inspect.signature(agent_class(agent)).parameters
    for name, options in CHOICES[agent].items():
        assert parameters[name].default == options[0]


@pytest.mark.parametrize("agent", BASELINES)
def test_the_name_stands_for_the_settings(agent: str, simulator: Simulator) -> None:
    card = TaskCard.of(simulator, trials=6)
    named = run_trials(create(agent, card, 0, tuning="best-case"), simulator.restarted(0), 6)
    given = run_trials(create(agent, card, 0, **best_case()[agent]), simulator.restarted(0), 6)
    assert [trial.asked for trial in named.trials] == [trial.asked for trial in given.trials]


def test_what_is_given_beside_it_wins() -> None:
    assert tuned("tpe", {"tuning": "best-case", "warm_start": 3})["warm_start"] == 3
    assert tuned("tpe", {"tuning": "default"}) == {}


def test_another_tuning_or_another_agent_is_one_clear_line() -> None:
    with pytest.raises(UnknownName, match="best-case"):
        tuned("tpe", {"tuning": "best"})
    with pytest.raises(UsageError, match=r"'random' has no best case; these have: .*tpe"):
        tuned("random", {"tuning": "best-case"})


def test_in_a_bench_the_settings_decide_the_cell_and_the_tuning_its_label() -> None:
    plain = {"name": "genetic", "settings": dict(best_case()["genetic"]), "label": "by hand"}
    entries = [{"name": "genetic"}, {"name": "genetic", "settings": {"tuning": "best-case"}}, plain]
    suite = make_suite({"agents": entries, "tables": ["math"], "seeds": 1, "trials": 5})
    default, named, by_hand = make_plan(suite).cells
    assert (default.label, named.label) == ("genetic", "genetic (best-case)")
    assert json.loads(named.settings) == dict(best_case()["genetic"])
    assert named.file_name == by_hand.file_name != default.file_name
