"""AgentTTS: initial trials, guidelines, memory, ablations, exploration, and a perfect reasoner."""

from __future__ import annotations

import numpy as np
import pytest

from agents import TaskCard, create
from agents.llm import ScriptedModel, stand_in
from agents.llm.agenttts import initial_trials
from agents.llm.analysis import analyse
from harness.search import run_search
from lookup_tables import load
from simulator import Configuration, LookupTable, Simulator
from simulator.errors import UsageError
from tests.agents.llm.landscapes import like_2wiki
from tests.agents.llm.reasoner import Reasoner


def run(table, model, trials=24, seed=0, **settings):
    return run_search(
        table, "agenttts", trials=trials, seed=seed, settings={"model": model, **settings}
    )


@pytest.fixture(scope="module")
def wiki() -> LookupTable:
    return like_2wiki(0)


# Initial trials -----------------------------------------------------------------------------------


def test_initial_trials_of_the_2wiki_task(wiki):
    """Worked by hand. One sample of the 72B retriever costs 814, which pays for 24 samples of the
    32B (20 on the grid) and 158 of the 7B (100); one of the 70B answerer costs 114.67, which pays
    for 101 samples of the 3B (100) and 38 of the 8B (30)."""
    made = initial_trials(TaskCard.of(Simulator(wiki)))
    assert [str(asked) for asked, _ in made] == [
        "retrieve=Qwen-7B:100,answer=Llama-70B:1",
        "retrieve=Qwen-32B:20,answer=Llama-70B:1",
        "retrieve=Qwen-72B:1,answer=Llama-70B:1",
        "retrieve=Qwen-72B:1,answer=Llama-3B:100",
        "retrieve=Qwen-72B:1,answer=Llama-8B:30",
    ]
    assert "at what 1 of Qwen-72B would cost" in made[0][1]


def test_initial_trials_within_small_budgets(wiki):
    """The other stages' largest models give way to their smallest; what cannot be had goes."""
    card = TaskCard.of(Simulator(wiki, 850))
    assert [str(asked) for asked, _ in initial_trials(card)][:3] == [
        "retrieve=Qwen-7B:100,answer=Llama-70B:1",
        "retrieve=Qwen-32B:20,answer=Llama-3B:1",
        "retrieve=Qwen-72B:1,answer=Llama-3B:1",
    ]
    card = TaskCard.of(Simulator(wiki, 120))
    assert all(card.feasible(asked) for asked, _ in initial_trials(card))
    assert all("Qwen-7B" in str(asked) for asked, _ in initial_trials(card))


def test_initial_trials_at_fewer_samples_where_the_budget_ends_first():
    table = LookupTable.from_function({"answer": [5, 10, 100]}, lambda c: 0.5)
    card = TaskCard.of(Simulator(table, 6))
    assert [str(asked) for asked, _ in initial_trials(card)] == ["answer=small:5"]
    model = stand_in(card, np.random.default_rng(0))
    assert (
        len(run_search(table, "agenttts", budget=6, trials=3, settings={"model": model}).trials)
        == 3
    )


def test_without_insight_1_the_initial_trials_are_as_many_at_random(wiki):
    asks = []
    for seed in (0, 0, 1):
        model = ScriptedModel([])
        agent = create("agenttts", TaskCard.of(Simulator(wiki)), seed, model=model, insights=[2, 3])
        asks.append([agent.ask() for _ in range(5)])
    assert all(a.why == "initial trial: at random" for a in asks[0])
    assert asks[0] == asks[1] != asks[2]
    assert len({a.configuration for a in asks[0]}) == 5


# Guidelines and memory ----------------------------------------------------------------------------


def answers(card, **lines):
    """A stand-in whose guidelines are numbered by the call that made them."""
    plain = stand_in(card, np.random.default_rng(3))

    def answer(request):
        if request.purpose == "agenttts/guidelines":
            return {"analysis": "-", "guidelines": [f"guideline of call {request.index}"]}
        return plain.reply(request)

    return ScriptedModel(answer)


def prompts(model, purpose):
    return [r.messages[1].content for r in model.requests if r.purpose == f"agenttts/{purpose}"]


def test_memory_is_the_archive_with_the_first_and_the_last_two_guidelines(wiki):
    card = TaskCard.of(Simulator(wiki), trials=24)
    model = answers(card)
    result = run(wiki, model, batch=4)
    made = [r.index for r in model.requests if r.purpose == "agenttts/guidelines"]
    assert len(made) >= 5
    last = prompts(model, "propose")[-1]
    assert "First guidelines:\n- Insight 1 (models)" in last
    assert f"Guidelines before:\n- guideline of call {made[-2]}\n" in last
    assert f"Newest guidelines:\n- guideline of call {made[-1]}\n" in last
    assert f"guideline of call {made[-3]}" not in last
    for trial in result.trials[:-4]:
        assert f"{trial.asked} -> score {trial.score:.4f}" in last
    first = prompts(model, "guidelines")[0]
    assert "Guidelines:\n- Insight 1 (models)" in first.replace("## Guidelines so far\n", "")
    assert "Guidelines before" not in first


def test_guidelines_that_are_not_revised_stay_the_first(wiki):
    model = answers(TaskCard.of(Simulator(wiki), trials=24))
    run(wiki, model, revise_guidelines=False)
    assert prompts(model, "guidelines") == []
    assert all("guideline of call" not in text for text in prompts(model, "propose"))
    assert all("Insight 2 (samples)" in text for text in prompts(model, "propose"))


def test_guidelines_that_cannot_be_read_leave_the_last_ones(wiki):
    plain = stand_in(TaskCard.of(Simulator(wiki), trials=24), np.random.default_rng(3))

    def answer(request):
        return "no JSON" if request.purpose == "agenttts/guidelines" else plain.reply(request)

    result = run(wiki, ScriptedModel(answer), trials=12, repairs=1)
    assert all(trial.asked.choices for trial in result.trials)
    assert result.usage["invalid"] == 0
    assert result.usage["repairs"] >= 1


@pytest.mark.parametrize("insights", [(1, 2, 3), (1, 3), (2,), (), "1,3", 2])
def test_insights_that_are_off_are_nowhere_in_a_prompt(insights, wiki):
    on = {int(c) for c in str(insights) if c.isdigit()}
    model = answers(TaskCard.of(Simulator(wiki), trials=14))
    run(wiki, model, trials=14, insights=insights)
    signs = {
        1: ("Insight 1 (models)", "### Models under equal conditions"),
        2: ("Insight 2 (samples)", "### Samples with the model fixed"),
        3: ("Insight 3 (stages together)", "### Where the best trials spend the budget"),
    }
    for n, (stated, digest) in signs.items():
        assert all((stated in text) == (n in on) for text in prompts(model, "propose"))
        assert all((digest in text) == (n in on) for text in prompts(model, "guidelines"))


@pytest.mark.parametrize("wrong", [[0], [4], ["two"], "all", 7, None, [1, 9]])
def test_wrong_insights(wrong, wiki):
    with pytest.raises(UsageError, match="insights must be among"):
        create("agenttts", TaskCard.of(Simulator(wiki)), model=ScriptedModel([]), insights=wrong)


# Units left beside the 72B's first sample (814) and 3B's n samples (n + 2), at 48 a sample.
ALONE = {10: 4, 40: 4, 100: 2}


def test_digests_of_an_archive_worked_by_hand(wiki):
    simulator = Simulator(wiki)
    card = TaskCard.of(simulator)
    asked = [
        "retrieve=Qwen-72B:1,answer=Llama-3B:10",
        "retrieve=Qwen-72B:1,answer=Llama-3B:40",
        "retrieve=Qwen-72B:1,answer=Llama-3B:100",
        "retrieve=Qwen-32B:20,answer=Llama-3B:40",
        "retrieve=Qwen-72B:100,answer=Llama-3B:40",
    ]
    trials = [simulator.evaluate(Configuration.parse(text)) for text in asked]
    s = [trial.score for trial in trials]
    found = analyse(card, trials)
    group = found["models"][0]["groups"]
    order = sorted([(s[1], "Qwen-72B:1"), (s[3], "Qwen-32B:20")], reverse=True)
    assert group == [
        {"rest": "answer=Llama-3B:40", "scores": "; ".join(f"{m} {x:.4f}" for x, m in order)}
    ]
    assert found["models"][1]["groups"] == []
    # The curve with the best score is first; curves of one point below it are not shown.
    assert len(found["curves"]) == 2
    curve = next(c for c in found["curves"] if c["stage"] == "answer")
    best = [10, 40, 100][int(np.argmax(s[:3]))]
    assert (curve["stage"], curve["model"], curve["best"]) == ("answer", "Llama-3B", best)
    assert curve["rest"] == " (with retrieve=Qwen-72B:1)"
    # Above 100 the grid ends.
    assert (curve["low"], curve["high"]) == {10: (1, 40), 40: (10, 100), 100: (40, 100)}[best]
    # The best trial's retriever has one point, and its answerer leaves 3 more samples affordable.
    alone = next(c for c in found["curves"] if c["stage"] == "retrieve")
    assert (alone["points"], alone["low"], alone["high"]) == (
        f"1: {max(s[:3]):.4f}",
        1,
        ALONE[best],
    )
    top = trials[int(np.argmax([x or 0 for x in s]))]
    assert found["spending"][0].startswith(f"{top.asked} scores {top.score:.4f}: retrieve ")
    assert len(found["spending"]) == 3


# Exploration --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["crossover", "mutation", "random"])
def test_exploration_that_the_model_orders_is_carried_out(operator, wiki):
    def answer(request):
        if request.purpose == "agenttts/guidelines":
            return {"analysis": "-", "guidelines": ["explore"]}
        order = {"crossover": 0, "mutation": 0, "random": 0, operator: 4}
        return {"explore": order, "candidates": []}

    result = run(wiki, ScriptedModel(answer), trials=17, explore=True)
    made = result.trials[5:]
    sign = {
        "crossover": "crossover of trials",
        "mutation": "mutation of trial",
        "random": "at random",
    }
    ordered = [t for t in made if t.why.startswith(sign[operator])]
    assert len(ordered) >= (4 if operator == "crossover" else 12)
    assert all("ordered by the model" in t.why for t in ordered)
    assert all(t.feasible and not t.repeated for t in ordered)
    by_number = {t.index + 1: t.asked.choices for t in result.trials}
    for trial in ordered:
        numbers = [int(w.strip(",")) for w in trial.why.split() if w.strip(",").isdigit()]
        if operator == "crossover":
            pairs = zip(*(by_number[n] for n in numbers), trial.asked.choices, strict=True)
            assert all(child in (a, b) for a, b, child in pairs)
        if operator == "mutation":
            (parent,) = (by_number[n] for n in numbers)
            assert sum(a != b for a, b in zip(parent, trial.asked.choices, strict=True)) == 1


def test_candidates_and_exploration_share_a_batch(wiki):
    card = TaskCard.of(Simulator(wiki), trials=13)
    plain = stand_in(card, np.random.default_rng(3))

    def answer(request):
        if request.purpose == "agenttts/guidelines":
            return {"analysis": "-", "guidelines": ["explore a little"]}
        import json

        given = json.loads(plain.reply(request).text)
        given["candidates"] = given["candidates"][:2]
        return {**given, "explore": {"crossover": 0, "mutation": 1, "random": 9}}

    result = run(wiki, ScriptedModel(answer), trials=13, explore=True)
    kinds = [t.why.split()[0] for t in result.trials[5:]]
    assert kinds == ["An", "An", "mutation", "at"] * 2


def test_exploration_of_nothing_is_a_failed_trial_and_off_it_is_not_offered(wiki):
    none = {"candidates": [], "explore": {"crossover": 0, "mutation": 0, "random": 0}}
    result = run(wiki, ScriptedModel(lambda _: none), trials=7, explore=True, repairs=0)
    assert [t.reason for t in result.trials[5:]] == [
        'invalid proposal: "candidates" must be a list of at least one candidate'
    ] * 2
    model = answers(TaskCard.of(Simulator(wiki), trials=12))
    run(wiki, model, trials=12)
    assert not any("crossover" in text for text in prompts(model, "propose"))


# The machinery carries the insights ---------------------------------------------------------------

ARMS = {
    "full": {},
    "without insight 1": {"insights": [2, 3]},
    "without insight 2": {"insights": [1, 3]},
    "without insight 3": {"insights": [1, 2]},
    "without revision": {"revise_guidelines": False},
}


@pytest.fixture(scope="module")
def trials_to_optimum() -> dict[str, list[int]]:
    """Trials until the optimum over landscapes, 51 where it was not found in 50."""
    found: dict[str, list[int]] = {arm: [] for arm in ARMS}
    for seed in range(8):
        table = like_2wiki(seed)
        for arm, settings in ARMS.items():
            model = ScriptedModel(Reasoner(seed))
            result = run(table, model, trials=50, seed=seed, **settings)
            found[arm].append(result.trials_to_optimum or 51)
    return found


def test_a_perfect_reasoner_reaches_the_optimum_in_few_trials(trials_to_optimum):
    """Measured: 15 to 21 trials, median 17, of 1,205 affordable configurations."""
    affordable = len(Simulator(like_2wiki(0)).feasible_cells)
    assert affordable > 1000
    assert np.median(trials_to_optimum["full"]) <= 18
    assert max(trials_to_optimum["full"]) <= 30


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "full"])
def test_each_ablation_costs_trials(arm, trials_to_optimum):
    """Measured medians: over 50 without insight 1, 46 without 2, 28.5 without 3, over 50 without
    revision."""
    full, less = np.array(trials_to_optimum["full"]), np.array(trials_to_optimum[arm])
    assert np.median(less) >= 1.3 * np.median(full)
    assert np.count_nonzero(less > full) >= 6


def test_landscapes_that_were_not_looked_at_while_the_digests_were_made():
    """Measured over seeds 100 to 119: 10 to 23 trials, median 15; 28 without insight 3."""
    full, less = [], []
    for seed in range(100, 110):
        table = like_2wiki(seed)
        for found, settings in ((full, {}), (less, ARMS["without insight 3"])):
            result = run(table, ScriptedModel(Reasoner(seed)), trials=50, seed=seed, **settings)
            found.append(result.trials_to_optimum or 51)
    assert np.median(full) <= 18
    assert np.median(less) >= 1.3 * np.median(full)


TABLE_SEEDS = 9


@pytest.fixture(scope="module")
def on_the_table() -> dict[str, list[int]]:
    """Trials until the one best cell of 1,205 of the modelled table, 51 where not in 50."""
    table = load("2wiki")
    return {
        arm: [
            run(
                table, ScriptedModel(Reasoner(seed)), trials=50, seed=seed, **settings
            ).trials_to_optimum
            or 51
            for seed in range(TABLE_SEEDS)
        ]
        for arm, settings in ARMS.items()
    }


def test_the_modelled_2wiki_table(on_the_table):
    """Measured: 18 trials with every seed, as no pick before that is blind; the planner `insight`
    needs 37. The best score is one cell's, one of 50 examples above ten others."""
    assert max(on_the_table["full"]) <= 25


@pytest.mark.parametrize("arm", ["without insight 1", "without insight 2", "without revision"])
def test_ablations_on_the_modelled_2wiki_table(arm, on_the_table):
    """Measured medians: over 50 without insight 1 or revision, 42 without 2. Without insight 3 it
    takes 15: the best cell has the initial trials' retriever and is one count away in the other
    stage, so that moving both cannot help; landscapes where it can are tested above."""
    full, less = np.array(on_the_table["full"]), np.array(on_the_table[arm])
    assert np.median(less) >= 1.3 * np.median(full)
    assert np.count_nonzero(less > full) >= 7
