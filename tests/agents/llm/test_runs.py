"""Whole runs as users start them: against a server, recorded, replayed in other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from agents import TaskCard, available, create
from agents.llm import Message, Recording, Request, Sampling, estimate, stand_in
from harness.code_version import closure
from harness.search import run_search
from lookup_tables import load
from simulator import Simulator
from simulator.errors import UsageError

NAMES = sorted(name for name, info in available().items() if info.llm)
TABLE = "math"


def command(*words, environment=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AGENTTTS_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**clean, **(environment or {})},
    )


def believable(card, seed=0):
    """What the fake server says to a request body: a valid reply of the schema it was sent."""
    model = stand_in(card, np.random.default_rng(seed))

    def line(body):
        schema = body["response_format"]["json_schema"]["schema"]
        messages = tuple(Message(m["role"], m["content"]) for m in body["messages"])
        return model.reply(Request(messages, Sampling(), schema)).text

    return line


def deterministic(text):
    """A search's JSON without real seconds, which no seed decides."""
    data = json.loads(text)
    for name in ("agent_seconds", "lookup_seconds", "settings"):
        data.pop(name)
    return json.dumps(data)


@pytest.fixture
def card():
    return TaskCard.of(Simulator(load(TABLE)), trials=6)


def test_record_a_live_run_then_replay_it_in_another_process(server, card, tmp_path, key):
    """The same recording gives the same trace, byte for byte, without server, key or `openai`."""
    server.script = [believable(card)]
    path = tmp_path / "run.jsonl"
    words = ("search", TABLE, "--agent", "agenttts", "--trials", "6", "--json")
    live = command(
        *words, "--model", "fake", "--base-url", server.url, "--record", str(path),
        "--set", "price_in=1", "--set", "price_out=4", "--max-dollars", "1",
        environment={"OPENAI_API_KEY": key},
    )  # fmt: skip
    assert live.returncode == 0, live.stderr
    assert "about" in live.stderr
    assert "dollars" in live.stderr
    calls = len(server.bodies)
    assert calls > 1
    assert key not in live.stdout + live.stderr + path.read_text()
    server.close()
    again = [
        command(
            *words, "--replay", str(path), "--set", "price_in=1", "--set", "price_out=4",
            environment={"PYTHONHASHSEED": str(n)},
        ).stdout
        for n in (1, 2)
    ]  # fmt: skip
    assert deterministic(live.stdout) == deterministic(again[0]) == deterministic(again[1])
    assert len(server.bodies) == calls
    usage = json.loads(live.stdout)["usage"]
    assert usage["tokens_in"] == 100 * calls
    assert usage["dollars"] == pytest.approx((100 * calls + 4 * 20 * calls) / 1e6)
    other = command(*words, "--replay", str(path), "--seed", "1")
    assert other.returncode == 2
    assert "the nearest recorded call differs in the setting run_seed" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_agent_recorded_and_replayed(name, server, card, tmp_path):
    server.script = [believable(card)]
    path = str(tmp_path / "run.jsonl")
    settings = {"model": "fake", "base_url": server.url}
    own = {"planner": "random"} if name == "insight-llm" else {}
    live, replayed = (
        run_search(load(TABLE), name, trials=6, workers=2, settings={**more, **own})
        for more in ({**settings, "record": path}, {"replay": path})
    )
    assert live.trials == replayed.trials
    assert live.usage == replayed.usage
    assert Recording.load(path).models == ("fake",)


@pytest.mark.parametrize("name", NAMES)
def test_every_agent_survives_a_bad_line(name, server, card):
    """Rate limits, server errors and malformed JSON on the way to the answers."""
    good = believable(card)
    troubles = [
        (429, {"error": {"message": "slow"}}, {"retry-after": "0"}),
        (503, {"error": {"message": "busy"}}, {"retry-after": "0"}),
    ]
    count = 0

    def line(body):
        nonlocal count
        count += 1
        if count % 4 == 1:
            return troubles[count % 2]
        return '{"broken": ' if count % 4 == 2 else good(body)

    server.script = [line]
    settings = {"model": "fake", "base_url": server.url}
    result = run_search(load(TABLE), name, trials=6, settings=settings)
    assert len(result.trials) == 6
    assert result.usage["repairs"] > 0
    assert result.usage["invalid"] == 0
    assert not result.aborted


def test_an_interrupted_recorded_run_goes_on_without_paying_again(server, card, tmp_path):
    good, path = believable(card), str(tmp_path / "run.jsonl")
    served = 0

    def line(body):
        nonlocal served
        served += 1
        return good(body) if served <= 3 else (401, {"error": {"message": "key expired"}})

    server.script = [line]
    settings = {"model": "fake", "base_url": server.url, "record": path}
    first = run_search(load(TABLE), "agenthpo", trials=6, settings=settings)
    assert first.aborted
    assert "status 401" in first.finished_early
    asked = len(server.bodies)
    server.script = [good]
    second = run_search(load(TABLE), "agenthpo", trials=6, settings=settings)
    assert not second.aborted
    assert second.trials[: len(first.trials)] == first.trials
    assert len(server.bodies) - asked == second.usage["calls"] - 3


def test_a_run_that_aborts_prints_what_it_did_and_fails(server, card, key):
    good, served = believable(card), 0

    def line(body):
        nonlocal served
        served += 1
        return good(body) if served <= 2 else (401, {"error": {"message": f"bad key {key}"}})

    server.script = [line]
    done = command(
        "search", TABLE, "--agent", "agenthpo", "--trials", "6", "--model", "fake",
        "--base-url", server.url, environment={"OPENAI_API_KEY": key, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "ended early: the search stops and keeps its trials: model 'fake'" in done.stdout
    assert "test score of the incumbent" in done.stdout
    assert "status 401: " in done.stderr
    assert key not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ((), 2, "no language model is named"),
        (("--replay", "nowhere.jsonl"), 2, "nowhere.jsonl: no such recording"),
        (
            ("--model", "m", "--base-url", "http://127.0.0.1:9", "--max-dollars", "1"),
            2,
            "max_dollars needs the model's prices",
        ),
    ],
)
def test_wrong_use_is_one_clear_line(words, status, line):
    done = command("search", TABLE, "--agent", "agenttts", "--trials", "3", *words)
    assert done.returncode == status
    assert line in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


# Estimates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_estimate_is_near_what_a_well_behaved_model_uses(name, table):
    card = TaskCard.of(Simulator(table, 300), trials=20)
    own = {"planner": "random"} if name == "insight-llm" else {}
    expected = estimate(name, card, price_in=1.0, price_out=4.0, max_dollars=0.0, **own)
    model = stand_in(card, np.random.default_rng(7))
    used = run_search(
        table, name, budget=300, trials=20, settings={"model": model, "repairs": 0, **own}
    ).usage
    assert 0.5 * used["calls"] <= expected.calls <= 2 * used["calls"]
    assert 0.5 * used["tokens_in"] <= expected.tokens_in <= 2 * used["tokens_in"]
    assert expected.dollars == pytest.approx((expected.tokens_in + 4 * expected.tokens_out) / 1e6)
    assert estimate(name, card, **own) == estimate(name, card, **own)
    assert "price unknown" in str(estimate(name, card, **own))


def test_an_estimate_asks_nobody_and_grows_with_the_run(table, tmp_path):
    small, large = (
        estimate("agenttts", TaskCard.of(Simulator(table, 300), trials=n), base_url="http://x",
                 model="m", record=str(tmp_path / "r.jsonl"))
        for n in (10, 40)
    )  # fmt: skip
    assert large.calls > 2 * small.calls
    assert large.tokens_in > 4 * small.tokens_in
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="asks no language model"):
        estimate("random", TaskCard.of(Simulator(table, 300)))
    assert create("random", TaskCard.of(Simulator(table, 300)))


# In a bench ---------------------------------------------------------------------------------------


def test_a_bench_replays_recorded_runs_beside_other_agents(server, card, tmp_path):
    """From an endpoint to a row on the leaderboard, the second time without the endpoint."""
    server.script = [believable(card)]
    path = str(tmp_path / "calls.jsonl")
    for seed in (0, 1):
        settings = {"model": "fake", "base_url": server.url, "record": path}
        run_search(load(TABLE), "agenttts", trials=6, seed=seed, settings=settings)
    server.close()
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f'tables = ["{TABLE}"]\nseeds = 2\ntrials = 6\nagents = [{{ name = "random" }}, '
        f'{{ name = "agenttts", label = "agenttts, fake", settings = {{ replay = "{path}" }} }}]\n'
    )
    done = command("bench", str(suite), "--out", str(tmp_path / "out"), "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "agenttts, fake" in (tmp_path / "out" / "summary.md").read_text()
    import polars as pl

    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    used = [json.loads(u) for u in runs.filter(pl.col("agent") == "agenttts, fake")["usage"]]
    assert [u["tokens_in"] > 0 for u in used] == [True, True]
    trials = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    assert trials.filter(pl.col("agent") == "agenttts, fake").height == 12


def test_a_failed_proposal_is_a_row_of_a_bench(server, tmp_path):
    server.script = ["no JSON at all"]
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f'tables = ["{TABLE}"]\nseeds = 1\ntrials = 3\nagents = [{{ name = "llm-zero-shot", '
        f'settings = {{ model = "fake", base_url = "{server.url}", repairs = 0 }} }}]\n'
    )
    done = command(
        "bench", str(suite), "--out", str(tmp_path / "out"), "--jobs", "1",
        environment={"OPENAI_API_KEY": "sk-none"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    import polars as pl

    trials = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    assert trials["feasible"].to_list() == [False] * 3
    assert all("invalid proposal" in reason for reason in trials["reason"])


def test_a_changed_prompt_is_changed_code():
    modules = closure("agents.llm.agenttts").modules
    assert b"version 1: asks for a batch of candidates" in modules["agents.llm"]
    assert b"version 1: asks for a batch of candidates" not in modules["agents"]
