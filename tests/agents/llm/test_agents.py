"""What every agent that thinks with a model must do, whatever its model does."""

from __future__ import annotations

import gc
import json
import re

import numpy as np
import pytest

from agents import TaskCard, available, create
from agents.llm import ModelError, Reply, ScriptedModel, stand_in
from harness.search import run_search
from simulator import Configuration, LookupTable, Simulator
from simulator.errors import UnknownName, UsageError

NAMES = sorted(name for name, info in available().items() if info.llm)
PROPOSERS = [name for name in NAMES if name != "insight-llm"]


def own(name):
    """Settings that make an agent quick where its own merit does not matter."""
    return {"planner": "random"} if name == "insight-llm" else {}


def search(table, name, model, *, trials=20, budget=300, workers=1, **settings):
    return run_search(
        table, name, budget=budget, trials=trials, workers=workers,
        settings={"model": model, **own(name), **settings},
    )  # fmt: skip


def candidates(*configurations, why="because"):
    """A reply that every agent understands as far as it concerns it."""
    given = [{"why": why, "configuration": c} for c in configurations]
    return {
        "analysis": "-", "guidelines": ["try more"], "knowledge": ["more helps"], "lesson": "-",
        "candidates": given, "why": why, "accept": False,
        "configuration": configurations[0] if configurations else None,
    }  # fmt: skip


def config(retrieve=("small", 1), answer=("small", 1)):
    return {
        "retrieve": {"model": retrieve[0], "samples": retrieve[1]},
        "answer": {"model": answer[0], "samples": answer[1]},
    }


def test_the_agents_are_registered_with_their_extra():
    assert NAMES == ["agenthpo", "agenttts", "insight-llm", "llm-zero-shot", "mlcopilot"]
    assert all(available()[name].extra == "llm" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("workers", [1, 4])
def test_the_whole_loop(name, workers, table, card):
    model = stand_in(card, np.random.default_rng(1))
    result = search(table, name, model, workers=workers)
    assert len(result.trials) == 20
    assert result.finished_early == ""
    assert result.incumbent is not None
    assert all(trial.why for trial in result.trials)
    assert result.usage["calls"] == len(model.requests)
    assert result.usage["tokens_in"] > 1000
    assert result.usage["proposals"] > 0
    labels = [t.why for t in result.trials if "[" in t.why]
    assert labels
    assert all("@1:" in why for why in labels)
    if workers == 4:
        assert any("measured" in r.text.lower() for r in model.requests) or name == "llm-zero-shot"
        clocks = [t.clock for t in result.trials]
        assert clocks == sorted(clocks)
        assert max(clocks) < sum(t.seconds for t in result.trials)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_and_the_same_model_give_the_same_trace(name, table, card):
    runs = [
        search(table, name, stand_in(card, np.random.default_rng(5)), trials=12) for _ in range(2)
    ]
    assert runs[0].trials == runs[1].trials


@pytest.mark.parametrize("name", PROPOSERS)
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("{'candidates': oops", "malformed"),
        ("", "the reply is empty"),
        ("As a language model I cannot do that.", "holds no JSON object"),
        (Reply("", refusal="I must not"), "the model refused: I must not"),
        (candidates(config(answer=("huge", 1))), "no model of stage 'answer' named 'huge'"),
        (candidates(config(answer=("small", 3))), "must be one of its grid, not 3"),
        (candidates(config(answer=("small", 0))), "from 1 to 50, not 0"),
        (candidates({"retrieve": {"model": "small", "samples": 1}}), "stage 'answer' is missing"),
        (candidates("retrieve=small"), "is not stage=MODEL:SAMPLES"),
        (candidates({"retrieve": 5}), "configuration"),
        (candidates(), '"candidates" must be a list'),
        ({"candidates": "all of them"}, '"candidates" must be a list'),
    ],
    ids=[
        "malformed", "empty", "prose", "refusal", "model", "off-grid", "zero", "missing-stage",
        "text", "shape", "none", "no-list",
    ],
)  # fmt: skip
def test_what_stays_invalid_is_a_failed_trial(name, reply, reason, table):
    model = ScriptedModel(lambda _: reply)
    result = search(table, name, model, trials=8, repairs=1)
    assert len(result.trials) == 8
    failed = [t for t in result.trials if not t.asked.choices]
    assert failed
    for trial in failed:
        assert not trial.feasible
        assert (trial.score, trial.seconds, trial.answered) == (None, 0.0, None)
        assert trial.reason.startswith("invalid proposal: ")
        assert reason in trial.reason
    assert result.usage["invalid"] == len(failed) == result.usage["proposals"]
    assert result.usage["repairs"] >= 1
    # The initial trials of agenttts need no model; nothing else was asked in place of a proposal.
    initial = [t for t in result.trials if t.asked.choices]
    assert all(t.why.startswith("initial trial") for t in initial)
    assert bool(initial) == (name == "agenttts")


@pytest.mark.parametrize("name", PROPOSERS)
def test_a_mistake_is_told_and_corrected(name, table):
    def answer(request):
        if len(request.messages) > 2:
            return candidates(config(("small", 2), ("small", 5)))
        return candidates(config(("tiny", 2), ("small", 5)))

    model = ScriptedModel(answer)
    agent = create(name, TaskCard.of(Simulator(table, 300), trials=12), model=model)
    for _ in range(6 if name == "agenttts" else 1):
        ask = agent.ask()
        if "[" in ask.why:
            break
        agent.tell(Simulator(table, 300).evaluate(ask.configuration, why=ask.why))
    assert str(ask.configuration) == "retrieve=small:2,answer=small:5"
    assert ask.invalid == ""
    repaired = model.requests[-1]
    assert [m.role for m in repaired.messages] == ["system", "user", "assistant", "user"]
    assert (
        "no model of stage 'retrieve' named 'tiny'; there are large, small"
        in repaired.messages[3].content
    )
    assert agent.usage["invalid"] == 0


@pytest.mark.parametrize("name", PROPOSERS)
def test_over_the_budget_stays_an_infeasible_trial(name, table):
    dear = config(("large", 10), ("large", 50))
    model = ScriptedModel(lambda _: candidates(dear))
    result = search(table, name, model, trials=8, repairs=1)
    over = [t for t in result.trials if t.reason.startswith("over the budget")]
    assert over
    assert all(str(t.asked) == "retrieve=large:10,answer=large:50" for t in over)
    told = [r.messages[3].content for r in model.requests if len(r.messages) > 2]
    assert any("over the budget of 300 units" in text for text in told)
    assert result.usage["invalid"] == len(over)


@pytest.mark.parametrize("name", PROPOSERS)
def test_what_stays_repeated_is_asked_again_and_charged(name, table):
    model = ScriptedModel(lambda _: candidates(config()))
    result = search(table, name, model, trials=9, repairs=1)
    repeated = [t for t in result.trials if t.repeated]
    assert repeated
    assert all(str(t.asked) == "retrieve=small:1,answer=small:1" for t in repeated)
    assert result.usage["repeated"] == len(repeated)


@pytest.mark.parametrize("name", ["agenttts", "llm-zero-shot", "mlcopilot"])
def test_a_partly_wrong_batch_keeps_what_is_right(name, table):
    good = [config(("small", 2), ("small", 10)), config(("small", 5), ("small", 10))]
    model = ScriptedModel(lambda _: candidates(*good, config(("nope", 1))))
    agent = create(
        name, TaskCard.of(Simulator(table, 300), trials=20), model=model, repairs=0, batch=3
    )
    simulator, asks = Simulator(table, 300), []
    for _ in range(8):
        asks.append(agent.ask())
        if asks[-1].invalid:
            break
        agent.tell(simulator.evaluate(asks[-1].configuration, why=asks[-1].why))
    assert [str(a.configuration) for a in asks[-3:]] == [
        "retrieve=small:2,answer=small:10", "retrieve=small:5,answer=small:10", "",
    ]  # fmt: skip


def test_off_grid_counts_are_accepted_where_the_setting_says_so(table):
    model = ScriptedModel(lambda _: candidates(config(("small", 3), ("small", 7))))
    result = search(table, "agenthpo", model, trials=1, off_grid=True)
    assert str(result.trials[0].asked) == "retrieve=small:3,answer=small:7"
    assert result.trials[0].feasible


@pytest.mark.parametrize("name", NAMES)
def test_limits_stop_cleanly_and_keep_what_was_done(name, table, card):
    model = stand_in(card, np.random.default_rng(1))
    free = search(table, name, model)
    limit = free.usage["tokens_in"] + free.usage["tokens_out"]
    model = stand_in(card, np.random.default_rng(1))
    result = search(table, name, model, max_tokens=limit * 0.8, max_output_tokens=500)
    assert result.finished_early.startswith("max_tokens=")
    assert not result.aborted
    assert 0 < len(result.trials) < 20
    assert result.incumbent is not None
    assert result.usage["tokens_in"] + result.usage["tokens_out"] <= limit * 0.8
    done = len(result.trials)
    assert [t.asked for t in result.trials] == [t.asked for t in free.trials[:done]]
    prices = {"price_in": 1.0, "price_out": 4.0, "max_output_tokens": 500}
    model = stand_in(card, np.random.default_rng(1))
    result = search(table, name, model, **prices, max_dollars=0.01)
    assert result.finished_early.startswith("max_dollars=0.01 reached: ")
    assert result.usage["dollars"] <= 0.01


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_fails_later_ends_the_run_and_keeps_it(name, table, card):
    answers = stand_in(card, np.random.default_rng(1))

    def answer(request):
        if request.index >= 3:
            raise ModelError("model 'm', call 3: status 500: broken")
        return answers.reply(request)

    result = search(table, name, ScriptedModel(answer), trials=40)
    assert result.aborted
    assert "status 500" in result.finished_early
    assert 0 < len(result.trials) < 40
    assert result.incumbent is not None


@pytest.mark.parametrize("name", PROPOSERS)
def test_a_model_that_fails_at_once_is_an_error(name, table):
    def broken(_):
        raise ModelError("model 'm', call 0: status 401: no key")

    if name == "agenttts":
        assert search(table, name, ScriptedModel(broken)).aborted
    else:
        with pytest.raises(ModelError, match="status 401"):
            search(table, name, ScriptedModel(broken))


# What a prompt may hold ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("workers", [1, 3])
def test_no_score_that_was_not_asked_for_reaches_a_prompt(name, workers, table):
    """Every cell has a score of its own, and every prompt is looked through for all of them."""
    task = table.task
    n = table.space.n_cells
    scores = {
        split: (np.random.default_rng(seed).permutation(n) * 31 + offset) / 1e4
        for split, seed, offset in (("train", 0, 3017), ("test", 1, 5018))
    }
    secret = LookupTable.from_arrays(
        task,
        {split: {"score": values} for split, values in scores.items()},
        seconds={split: np.linspace(1, 9, n) for split in scores},
    )
    simulator = Simulator(secret, 300)
    card = TaskCard.of(simulator, trials=15, workers=workers)
    told: set[str] = set()
    answers = stand_in(card, np.random.default_rng(2))
    seen = []

    def answer(request):
        figures = set(re.findall(r"\d+\.\d+", request.text))
        shown = {
            f"{score:.4f}"
            for score in (*scores["train"], *scores["test"])
            if figures & {f"{score:.4f}", f"{100 * score:.2f}"}
        }
        assert shown <= told, f"{request.purpose} holds {sorted(shown - told)[:3]}"
        seen.append(shown)
        return answers.reply(request)

    def watch(trial, _):
        if trial.score is not None:
            told.add(f"{trial.score:.4f}")

    run_search(
        secret, name, budget=300, trials=15, workers=workers,
        settings={"model": ScriptedModel(answer), **own(name)}, on_trial=watch,
    )  # fmt: skip
    assert len(seen) > 1
    blind = name in ("llm-zero-shot", "mlcopilot")
    assert (max(len(shown) for shown in seen) == 0) == blind


def test_nothing_that_an_agent_holds_leads_to_a_table(card):
    agent = create("agenttts", card, model=stand_in(card, np.random.default_rng(0)))
    found, todo = {id(agent): agent}, [agent]
    while todo:
        for child in gc.get_referents(todo.pop()):
            if id(child) in found or isinstance(child, type):
                continue
            if type(child).__name__ in ("module", "function", "builtin_function_or_method"):
                continue
            assert not isinstance(child, LookupTable | Simulator), type(child)
            found[id(child)] = child
            todo.append(child)
    assert len(found) > 100


@pytest.mark.parametrize("name", NAMES)
def test_prompts_hold_the_task_card(name, table, card):
    model = stand_in(card, np.random.default_rng(0))
    search(table, name, model, trials=10)
    text = model.requests[-1].text
    for part in (
        "Stage 1: retrieve", "Stage 2: answer", "large: 70 billion parameters", "300 units",
        "2 * ((P / 3e9) * (prompt + samples * generated) / 128 - 1)", "1, 5, 10, 20, 50",
        "The score is score; higher is better",
    ):  # fmt: skip
        assert part in text


# Settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_known_by_name(name, card):
    with pytest.raises(UnknownName, match=r"temprature.*did you mean temperature"):
        create(name, card, temprature=1)
    model = ScriptedModel([])
    for wrong in (
        {"temperature": 3}, {"repairs": -1}, {"max_output_tokens": 0}, {"max_tokens": -5},
        {"price_in": 1}, {"max_dollars": 1}, {"record": "a", "replay": "b"}, {"replay": "b"},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            create(name, card, model=model, **wrong)
    with pytest.raises(UsageError, match="model must be a name"):
        create(name, card, model=5)


@pytest.mark.parametrize("name", ["agenthpo", "agenttts", "insight-llm", "mlcopilot"])
def test_a_short_memory_shows_the_best_and_the_latest(name, table, card):
    model = stand_in(card, np.random.default_rng(0))
    result = search(table, name, model, trials=16, max_history=5)
    text = model.requests[-1].messages[1].content
    shown = [int(n) for n in re.findall(r"^- trial (\d+): ", text, re.MULTILINE)]
    done = [t for t in result.trials if f"trial {t.index + 1}: {t.asked}" in text]
    assert len(shown) == len(done) == 5
    told = result.trials[: max(shown)]
    assert max(told, key=lambda t: (t.score, -t.index)).index + 1 in shown
    assert len(told) in shown
    assert len(told) - 1 in shown
    with pytest.raises(UsageError, match="max_history"):
        create(name, card, model=model, max_history=0)


def test_a_run_seed_reaches_the_model_and_differs_by_seed(card):
    seeds = []
    for seed in (0, 0, 1):
        model = stand_in(card, np.random.default_rng(0))
        create("agenthpo", card, seed, model=model, temperature=0.5).ask()
        seeds.append(model.requests[0].sampling.run_seed)
        assert model.requests[0].sampling.temperature == 0.5
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_replayed_or_scripted_run_needs_no_openai(monkeypatch, card):
    import sys

    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setitem(sys.modules, "tenacity", None)
    agent = create("agenthpo", card, model=stand_in(card, np.random.default_rng(0)))
    assert isinstance(agent.ask().configuration, Configuration)


def test_the_schema_that_is_sent_allows_only_what_the_task_has(card):
    model = stand_in(card, np.random.default_rng(0))
    create("agenthpo", card, model=model).ask()
    schema = json.dumps(model.requests[0].schema)
    assert '"enum": ["small", "large"]' in schema
    assert '"enum": [1, 5, 10, 20, 50]' in schema
    for part in model.requests[0].schema["$defs"].values():
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
