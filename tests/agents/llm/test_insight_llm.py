"""The hybrid: the planner's sequence is never lost, and a bad model is soon left aside."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from agents import TaskCard, create
from agents.llm import ScriptedModel
from harness.search import run_search
from simulator import LookupTable, Simulator
from simulator.errors import SearchFinished, UnknownName, UsageError
from tests.agents.llm.landscapes import COARSE, like_2wiki


def run(table, model, trials=12, seed=0, workers=1, **settings):
    """With a quick planner where its own merit does not matter."""
    settings = {"model": model, "planner": "random", **settings}
    return run_search(
        table, "insight-llm", trials=trials, seed=seed, workers=workers, settings=settings
    )


@pytest.fixture(scope="module")
def wiki():
    """A landscape with a valley: what `dear(1, n)` names scores next to nothing."""
    smooth = like_2wiki(1, COARSE)

    def score(c):
        retrieve, answer = c.choices
        valley = (retrieve.model, retrieve.samples, answer.model) == ("Qwen-7B", 1, "Llama-8B")
        found = smooth.scores()[smooth.space.cell(c)]
        return 0.001 * answer.samples if valley else found

    return LookupTable.from_function(smooth.task, score)


def overrule(configuration, why="I know better"):
    return {"why": why, "accept": False, "configuration": configuration}


def dear(retrieve, answer):
    return {
        "retrieve": {"model": "Qwen-7B", "samples": retrieve},
        "answer": {"model": "Llama-8B", "samples": answer},
    }


ACCEPT = {"why": "", "accept": True, "configuration": dear(1, 1)}


def planner_alone(wiki, trials=12, **settings):
    """What the planner asks with its own stream, as `accept` always gives it."""
    return run(wiki, ScriptedModel(lambda _: ACCEPT), trials=trials, **settings)


@pytest.mark.parametrize("planner", ["insight", "random"])
@pytest.mark.parametrize("workers", [1, 3])
def test_accepted_proposals_are_the_planners_own_sequence(wiki, workers, planner):
    result = planner_alone(wiki, workers=workers, planner=planner)
    card = TaskCard.of(Simulator(wiki), trials=12, workers=workers)
    agent = create("insight-llm", card, model=ScriptedModel([]), planner=planner)
    planner = agent.planner
    simulator, asks = Simulator(wiki), []
    if workers == 1:
        for _ in range(12):
            given = planner.ask()
            asked = getattr(given, "configuration", given)
            asks.append(asked)
            planner.tell(simulator.evaluate(asked))
        assert [t.asked for t in result.trials] == asks
    assert result.usage["invalid"] == result.usage["repeated"] == 0
    assert len({t.asked for t in result.trials}) == 12


@pytest.fixture(scope="module")
def good(wiki):
    return planner_alone(wiki, trials=12)


BAD = {
    "malformed": lambda _: "not JSON {",
    "empty": lambda _: "",
    "unknown model": lambda _: overrule(
        {"retrieve": {"model": "GPT-9", "samples": 1}, "answer": {"model": "x", "samples": 1}}
    ),
    "over budget": lambda _: overrule(
        {
            "retrieve": {"model": "Qwen-72B", "samples": 100},
            "answer": {"model": "Llama-70B", "samples": 100},
        }
    ),
    "repeats itself": lambda _: overrule(dear(2, 2)),
    "always worse": lambda r: overrule(dear(1, r.index + 1)),
    "neither": lambda _: {"why": "hm"},
}


@pytest.mark.parametrize("kind", sorted(BAD))
@pytest.mark.parametrize("patience", [1, 3])
def test_a_bad_model_costs_no_more_than_its_patience(wiki, good, kind, patience):
    """At every trial the run is at least as good as the planner alone `patience` trials before."""
    model = ScriptedModel(BAD[kind])
    bad = run(wiki, model, trials=12, patience=patience, share="never", repairs=1)
    wasted = len(bad.trials) - sum(t.asked in {g.asked for g in good.trials} for t in bad.trials)
    assert wasted <= patience
    best_good = np.maximum.accumulate([t.score for t in good.trials])
    best_bad = np.maximum.accumulate([-1.0 if t.score is None else t.score for t in bad.trials])
    assert (best_bad[patience:] >= best_good[:-patience]).all()
    # Left aside: no further calls, so the calls are few.
    assert len(model.requests) <= 2 * patience + patience
    assert bad.usage["invalid"] + bad.usage["repeated"] <= patience


@pytest.mark.parametrize("kind", sorted(BAD))
def test_with_several_workers_too(table, kind):
    good = planner_alone(table, trials=30, workers=4)
    bad = run(table, ScriptedModel(BAD[kind]), trials=30, workers=4, share="never", repairs=0)
    foreign = [t for t in bad.trials if t.why.startswith("overrules the planner")]
    assert len(foreign) <= 3
    asked = {t.asked for t in bad.trials}
    assert sum(t.asked not in asked for t in good.trials) <= 3


def test_the_guard_with_the_insight_planner(wiki):
    good = planner_alone(wiki, planner="insight")
    bad = run(wiki, ScriptedModel(BAD["always worse"]), trials=15, planner="insight")
    assert bad.incumbent.score >= good.incumbent.score
    assert sum(t.why.startswith("overrules") for t in bad.trials) == 3


def test_a_good_overruling_is_kept_and_clears_the_strikes(wiki):
    """A model that knows the optimum overrules once; afterwards it goes on being asked."""
    optimum = Simulator(wiki).optimum.configuration
    best = {c.stage: {"model": c.model, "samples": c.samples} for c in optimum.choices}

    def answer(request):
        return overrule(best, "the optimum is known") if request.index == 2 else ACCEPT

    model = ScriptedModel(answer)
    result = run(wiki, model, trials=10)
    assert result.trials_to_optimum == 3
    assert result.trials[2].why.startswith("overrules the planner: the optimum is known [")
    assert "insight_llm/review@1:" in result.trials[2].why
    # The planner's proposal of that turn is tried next, without asking again.
    assert len(model.requests) == 9
    assert _proposal(model.requests[2]) == str(result.trials[3].asked)


def _proposal(request):
    text = request.messages[1].content
    return re.search(r"wants to try next:\n(\S+)", text)[1]


def test_what_an_overruling_has_paid_for_is_not_paid_again(wiki):
    """The planner's later proposal of the same configuration is answered from memory."""
    plan = planner_alone(wiki, trials=12)
    later = plan.trials[6].asked
    given = {c.stage: {"model": c.model, "samples": c.samples} for c in later.choices}
    model = ScriptedModel(lambda r: overrule(given) if r.index == 0 else ACCEPT)
    result = run(wiki, model, trials=12, share="never")
    assert [t.asked for t in result.trials].count(later) == 1
    assert result.usage["repeated"] == 0
    rest = [t.asked for t in result.trials if t.asked != later]
    assert rest == [t.asked for t in plan.trials if t.asked != later]


@pytest.mark.parametrize("share", ["improving", "never", "all"])
def test_every_way_of_sharing_works_through(wiki, share, monkeypatch):
    rng = np.random.default_rng(0)

    def answer(request):
        if rng.random() < 0.5:
            return ACCEPT
        return overrule(dear(*(int(rng.choice([1, 2, 3, 4, 5, 10])) for _ in range(2))))

    result = run(wiki, ScriptedModel(answer), trials=20, share=share, patience=20)
    assert len(result.trials) == 20
    assert sum(t.why.startswith("overrules") for t in result.trials) > 3


def test_accepting_in_other_words_is_accepting(wiki):
    def answer(request):
        parts = (part.split("=") for part in _proposal(request).split(","))
        same = {s: {"model": c.split(":")[0], "samples": int(c.split(":")[1])} for s, c in parts}
        return overrule(same)

    result = run(wiki, ScriptedModel(answer), trials=6)
    assert not any(t.why.startswith("overrules") for t in result.trials)
    assert [t.asked for t in result.trials] == [t.asked for t in planner_alone(wiki, 6).trials]


def test_the_prompt_shows_the_proposal_its_reason_and_the_strikes(wiki):
    def count(r):
        return overrule(dear(1, 1 + r.index))

    model = ScriptedModel(count)
    run(wiki, model, trials=8, patience=3)
    texts = [r.messages[1].content for r in model.requests]
    left = [int(re.search(r"overrule (\d) more", text)[1]) for text in texts]
    assert left == [3, 2, 1]
    assert all("Its reason: " in t for t in texts)


def test_other_planners_by_name(wiki):
    model = ScriptedModel(lambda _: ACCEPT)
    result = run(wiki, model, trials=5, planner="random")
    assert len(result.trials) == 5
    card = TaskCard.of(Simulator(wiki))
    with pytest.raises(UnknownName, match="agent"):
        create("insight-llm", card, model=model, planner="insihgt")
    with pytest.raises(UsageError, match="needs a language model itself"):
        create("insight-llm", card, model=model, planner="agenttts")
    with pytest.raises(UnknownName, match="share"):
        create("insight-llm", card, model=model, share="some")
    with pytest.raises(UsageError, match="patience"):
        create("insight-llm", card, model=model, patience=0)


def test_when_the_planner_has_finished_so_has_the_run(table):
    card = TaskCard.of(Simulator(table, 1e9), trials=1000)
    accept = json.dumps({"why": "", "accept": True, "configuration": {}})
    agent = create("insight-llm", card, model=ScriptedModel(lambda _: accept), planner="random")
    for _ in range(table.space.n_cells):
        agent.ask()
    with pytest.raises(SearchFinished):
        agent.ask()
