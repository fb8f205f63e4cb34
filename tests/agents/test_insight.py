"""The insight planner: its belief against a dense computation, its asks, its explanations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from agents import TaskCard, create
from agents.insight import InsightPlanner
from agents.insight.belief import Belief, Outlook, Posterior
from agents.insight.prior import (
    CONSTANT_MEAN,
    SCALE_SD,
    Hypothesis,
    StageFeatures,
    hypotheses,
    join_stages,
    stage_covariances,
    stage_mean,
)
from harness.search import run_search
from simulator import Choice, Configuration, LookupTable, Simulator
from simulator.errors import SearchFinished, UsageError
from simulator.table import toy_task

GRID = [1, 2, 5, 10, 20, 50, 100]


def hill(configuration: Configuration, peaks: tuple[float, ...] = (5.0, 20.0)) -> float:
    """Unimodal over log(samples) in every stage, the large model better in the first."""
    score = 0.5
    for i, (choice, peak) in enumerate(zip(configuration.choices, peaks, strict=True)):
        score -= 0.03 * np.log(choice.samples / peak) ** 2
        score += 0.1 * ((choice.model == "large") == (i == 0))
    return float(score)


def card_of(table: LookupTable, budget: float, trials: int = 50) -> TaskCard:
    return TaskCard.of(Simulator(table, budget), trials=trials)


@pytest.fixture(scope="module")
def table() -> LookupTable:
    return LookupTable.from_function({"retrieve": GRID, "answer": GRID}, hill)


def dense(h: Hypothesis, features: tuple[StageFeatures, ...], options: np.ndarray) -> np.ndarray:
    """Covariance of all pairs of configurations, straight from the prior's definition."""
    parts = [stage_covariances(h, stage) for stage in features]
    own = [p[0][np.ix_(options[:, i], options[:, i])] for i, p in enumerate(parts)]
    local = [p[1][np.ix_(options[:, i], options[:, i])] for i, p in enumerate(parts)]
    return join_stages(h, own, local)


def dense_outlook(
    h: Hypothesis,
    features: tuple[StageFeatures, ...],
    options: np.ndarray,
    trials: np.ndarray,
    scores: np.ndarray,
) -> Outlook:
    """The textbook posterior by one solve, averaged over the same grid of scales."""
    everything = np.vstack([options, trials])
    covariance = dense(h, features, everything)
    mean = sum(stage_mean(h, f)[everything[:, i]] for i, f in enumerate(features))
    n, told = len(options), len(scores)
    noisy = covariance[n:, n:] + h.noise * np.eye(len(trials))
    seen = slice(n, n + told)
    grid = np.log(h.scale) + np.linspace(-2, 2, 9)
    log_weights = [
        multivariate_normal(
            CONSTANT_MEAN + np.exp(s) * mean[seen], np.exp(2 * s) * noisy[:told, :told]
        ).logpdf(scores)
        - 0.5 * ((s - np.log(h.scale)) / SCALE_SD) ** 2
        for s in grid
    ]
    weights = np.exp(log_weights - np.max(log_weights))
    scale = np.exp((weights / weights.sum()) @ grid)
    gain = np.linalg.solve(noisy[:told, :told], covariance[seen, :n]).T
    posterior_mean = CONSTANT_MEAN + scale * (
        mean[:n] + gain @ ((scores - CONSTANT_MEAN) / scale - mean[seen])
    )
    every = np.linalg.solve(noisy, covariance[n:, :n])
    variance = np.diag(covariance)[:n] - np.einsum("ij,ij->j", covariance[n:, :n], every)
    return Outlook(posterior_mean, scale * np.sqrt(np.maximum(variance, 1e-10)))


@settings(max_examples=25, deadline=None)
@given(
    which=st.integers(0, len(hypotheses()) - 1),
    cells=st.lists(st.integers(0, 195), min_size=1, max_size=8, unique=True),
    pending=st.integers(0, 3),
    seed=st.integers(0, 2**16),
)
def test_posterior_is_the_textbook_one(
    which: int, cells: list[int], pending: int, seed: int
) -> None:
    table = LookupTable.from_function({"retrieve": GRID, "answer": GRID}, hill)
    card = card_of(table, 1e6)
    h = replace(hypotheses()[which], noise=0.01)
    features = StageFeatures.of(card)
    options = card.space.options(np.arange(card.space.n_cells))
    trials = options[cells]
    told = max(1, len(cells) - pending)
    scores = np.random.default_rng(seed).uniform(0.3, 0.8, told)
    posterior = Posterior(h, features, options)
    for trial in trials:
        posterior.add(trial)
    found = posterior.outlook(scores)
    expected = dense_outlook(h, features, options, trials, scores)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(found.deviation, expected.deviation, atol=1e-5)


def test_dropping_trials_and_replacing_candidates_changes_nothing_else(table: LookupTable) -> None:
    card = card_of(table, 1e6)
    features = StageFeatures.of(card)
    options = card.space.options(np.arange(card.space.n_cells))
    scores = np.array([0.5, 0.6])
    plain, moved = (Posterior(hypotheses()[0], features, options) for _ in range(2))
    for trial in options[[3, 90]]:
        plain.add(trial)
        moved.add(trial)
    moved.add(options[17])
    moved.drop(2)
    moved.extend(options[::2])
    moved.extend(options)
    np.testing.assert_allclose(moved.outlook(scores).mean, plain.outlook(scores).mean, atol=1e-9)
    np.testing.assert_allclose(
        moved.outlook(scores).deviation, plain.outlook(scores).deviation, atol=1e-7
    )


def test_expected_improvement_is_the_integral() -> None:
    outlook = Outlook(np.array([0.5, 0.2]), np.array([0.1, 0.3]))
    draws = np.random.default_rng(0).normal(outlook.mean, outlook.deviation, (400_000, 2))
    found = outlook.expected_improvement(0.45)
    np.testing.assert_allclose(found, np.maximum(draws - 0.45, 0).mean(axis=0), rtol=0.02)


def test_weights_turn_to_the_hypothesis_that_foretells_the_archive(table: LookupTable) -> None:
    """Where the smaller model and fewer samples are better, the insights lose their weight."""
    card = card_of(table, 1e6)
    features = StageFeatures.of(card)
    options = card.space.options(np.arange(card.space.n_cells))
    belief = Belief(hypotheses(), features, options)
    cells = np.random.default_rng(3).choice(len(options), 15, replace=False)
    for cell in cells:
        belief.add(options[cell])
    upside_down = np.array([1.0 - hill(card.space.configuration(int(c))) for c in cells])
    before, after = belief.weights(np.empty(0)), belief.weights(upside_down)
    assert after.sum() == pytest.approx(1.0)
    assert after[0] < 0.5 * before[0]


def test_reaches_the_peak_sooner_than_random(table: LookupTable) -> None:
    found = run_search(table, "insight", budget=800, trials=40)
    by_chance = [
        run_search(table, "random", budget=800, trials=40, seed=seed).trials_to_optimum or 80
        for seed in range(10)
    ]
    assert found.trials_to_optimum is not None
    assert 2 * found.trials_to_optimum <= np.mean(by_chance)


def test_never_asks_twice_and_ends_with_the_space(table: LookupTable) -> None:
    small = LookupTable.from_function({"answer": [1, 2, 5]}, lambda c: c.choices[0].samples / 10)
    result = run_search(small, "insight", budget=1e4, trials=50)
    assert len(result.trials) == 6
    assert len({trial.asked for trial in result.trials}) == 6
    assert "every affordable configuration" in result.finished_early
    result = run_search(table, "insight", budget=300, trials=60, workers=4)
    assert len({trial.asked for trial in result.trials}) == len(result.trials)
    assert all(trial.feasible for trial in result.trials)


def test_every_ask_names_its_move(table: LookupTable) -> None:
    result = run_search(table, "insight", budget=800, trials=30)
    whys = [trial.why for trial in result.trials]
    assert whys[0].startswith("Start")
    moves = {why.split(" ")[0].rstrip(":") for why in whys[1:]}
    assert moves <= {"Shortlist", "Localise", "Coordinate"}
    best = result.trials[0]
    for trial in result.trials[1:]:
        changed = sum(a != b for a, b in zip(trial.asked.choices, best.asked.choices, strict=True))
        assert trial.why.startswith("Coordinate") == (changed > 1), trial.why
        if (trial.score or 0) > (best.score or 0):
            best = trial


def test_an_answer_from_another_cell_counts_for_that_cell() -> None:
    """A hole is answered by its neighbour: neither is asked again."""
    holes = LookupTable.from_function(
        {"answer": GRID}, lambda c: None if c.choices[0].samples in (5, 10) else 0.5
    )
    result = run_search(holes, "insight", budget=1e4, trials=14)
    answered = [trial.answered for trial in result.trials]
    assert len({trial.asked for trial in result.trials}) == len(result.trials)
    assert len(set(answered)) >= 10


def test_tells_of_strangers_failures_and_partial_looks_are_borne(table: LookupTable) -> None:
    simulator = Simulator(table, 500)
    agent = create("insight", TaskCard.of(simulator), seed=0)
    off_grid = Configuration((Choice("retrieve", "small", 7), Choice("answer", "small", 3)))
    too_dear = Configuration((Choice("retrieve", "large", 100), Choice("answer", "large", 100)))
    for asked in (off_grid, too_dear):
        agent.tell(simulator.evaluate(asked))
    agent.tell(simulator.record_failure("not a configuration"))
    ask = agent.ask()
    asked_next = getattr(ask, "configuration", ask)
    assert isinstance(asked_next, Configuration)
    assert simulator.evaluate(asked_next).feasible


def test_scores_beyond_one_are_brought_to_scale() -> None:
    """A metric in per cent is searched as the same metric in shares."""
    shares = LookupTable.from_function({"retrieve": GRID, "answer": GRID}, hill)
    per_cent = LookupTable.from_function(
        {"retrieve": GRID, "answer": GRID}, lambda c: 100 * hill(c)
    )
    asked = [
        [str(trial.asked) for trial in run_search(t, "insight", budget=800, trials=15).trials]
        for t in (shares, per_cent)
    ]
    assert asked[0] == asked[1]


def test_a_space_beyond_the_limit_is_thinned_and_still_searched() -> None:
    samples = list(range(1, 41))
    task = toy_task({"one": samples, "two": samples})
    space = Simulator(LookupTable.from_function(task, hill), 1e6).space
    table = LookupTable.from_function(task, hill)
    result = run_search(table, "insight", budget=2000, trials=40, settings={"max_candidates": 300})
    assert space.n_cells == 6400
    assert result.incumbent is not None
    assert result.incumbent.score is not None
    assert result.incumbent.score >= result.optimum.score - 0.01


def test_each_insight_can_be_left_out(table: LookupTable) -> None:
    asked = {
        insights: tuple(
            str(trial.asked)
            for trial in run_search(
                table, "insight", budget=800, trials=12, settings={"insights": insights}
            ).trials
        )
        for insights in ((1, 2, 3), (2, 3), (1, 3), (1, 2))
    }
    assert len(set(asked.values())) == 4
    with pytest.raises(UsageError, match="insights are 1, 2 and 3"):
        InsightPlanner(card_of(table, 800), np.random.default_rng(0), insights=(4,))


def test_ends_by_saying_so(table: LookupTable) -> None:
    card = card_of(table, 2.0)
    agent = create("insight", card, seed=0)
    for _ in card.feasible_cells:
        agent.ask()
    with pytest.raises(SearchFinished, match="every affordable configuration"):
        agent.ask()
