"""The generative model: what the theory says of it, for any parameters; and its draws."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.landscape import model
from collectors.landscape.draw import draw, mean_levels, outcome_levels
from collectors.landscape.model import StageParameters
from collectors.landscape.parameters import frame
from collectors.landscape.supply import landscape

SAMPLES = np.arange(1, 101)


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def stages(draw_: st.DrawFn, models: int = 2) -> StageParameters:
    def many(low: float, high: float) -> np.ndarray:
        return np.array([draw_(positive(low, high)) for _ in range(models)])

    levels = draw_(st.integers(1, 6))
    return StageParameters(
        ability=many(-3, 4),
        difficulty=draw_(positive(0.2, 5)),
        reliance=many(0, 5),
        diversity=many(0.01, 1),
        redundancy=many(0.01, 1),
        window=np.exp(many(8, 13)),
        power=draw_(positive(1, 3)),
        relief=draw_(positive(0, 1)),
        levels=levels,
        spread=draw_(positive(0, 4)) if levels > 1 else 0.0,
    )


@given(positive(0, 1), positive(0.01, 1))
def test_effective_samples_rise_more_and_more_slowly(diversity: float, redundancy: float) -> None:
    n = model.effective_samples(diversity, redundancy, SAMPLES)
    assert n[0] == 1.0
    assert np.all(np.diff(n) >= 0)
    assert np.all(np.diff(n, 2) <= 1e-12)
    assert np.all(n <= SAMPLES + 1e-9)
    assert n[-1] <= 1 + diversity / redundancy + 1e-9


@given(stages(), st.integers(32, 2048))
def test_one_sample_is_not_fused(stage: StageParameters, tokens: int) -> None:
    d, q = np.array([-1.0, 0.0, 2.0]), np.array([0.25, 1.0])
    f = model.stage_success(stage, tokens, [1], d, q)[:, 0]
    odds = (
        stage.ability[:, None, None]
        - stage.difficulty * d[:, None]
        - stage.reliance[:, None, None] * (1 - q)
    )
    np.testing.assert_allclose(f, 1 / (1 + np.exp(-odds)), rtol=1e-9, atol=1e-12)


@given(stages(), st.integers(32, 2048))
def test_success_is_a_probability_and_monotone_where_it_must_be(
    stage: StageParameters, tokens: int
) -> None:
    d, q = np.linspace(-3, 3, 13), np.linspace(0, 1, 5)
    one = replace(stage, relief=0.0)
    f = model.stage_success(one, tokens, SAMPLES[::7], d, q)
    assert np.all((f >= 0) & (f <= 1))
    assert np.all(np.diff(f, axis=3) >= -1e-12), "a better input never hurts"
    assert np.all(np.diff(f, axis=2) <= 1e-12), "a harder example is never easier"
    abler = replace(one, ability=one.ability + 0.5)
    assert np.all(model.stage_success(abler, tokens, SAMPLES[::7], d, q) >= f - 1e-12)
    wider = replace(one, window=one.window * 2)
    assert np.all(model.stage_success(wider, tokens, SAMPLES[::7], d, q) >= f - 1e-12)


@given(stages(), st.integers(32, 2048))
def test_success_is_log_concave_in_samples(stage: StageParameters, tokens: int) -> None:
    """Insight 2: it rises, saturates and declines, for every example."""
    f = model.stage_success(stage, tokens, SAMPLES, np.linspace(-2, 2, 5), np.array([0.5, 1.0]))
    curves = np.log(np.maximum(np.moveaxis(f, 1, -1).reshape(-1, len(SAMPLES)), 1e-300))
    curves = curves[curves.min(axis=1) > -100]
    assert np.all(np.diff(curves, 2, axis=1) <= 1e-7)


@given(stages(models=1), st.integers(32, 512))
def test_a_better_input_needs_no_more_samples(stage: StageParameters, tokens: int) -> None:
    """Insight 3, where agreement does not shield the fuser: the peak moves down with quality."""
    one = replace(stage, relief=0.0)
    f = model.stage_success(one, tokens, SAMPLES, np.array([0.0]), np.linspace(0, 1, 6))[0, :, 0]
    peaks = [int(np.flatnonzero(curve >= curve.max() * (1 - 1e-9))[0]) for curve in f.T]
    assert all(a >= b for a, b in pairwise(peaks))


@given(stages(), st.lists(positive(0, 1), min_size=1, max_size=6))
def test_levels_are_a_distribution_with_the_expected_mean(
    stage: StageParameters, success: list[float]
) -> None:
    f = np.array(success)
    p = model.level_probabilities(stage, f)
    assert p.shape == (len(f), stage.levels + 1)
    assert np.all(p >= -1e-12)
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-9)
    mean = p @ np.arange(stage.levels + 1) / stage.levels
    np.testing.assert_allclose(mean, model.expected_quality(stage, f), atol=1e-9)


def test_right_or_wrong_is_the_success_itself() -> None:
    stage = landscape("cwq", 0).stages[-1]
    f = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(model.expected_quality(stage, f), f, atol=1e-9)


@pytest.mark.parametrize("like", ["cwq", "taskbench", None])
def test_single_configurations_agree_with_the_grid(like: str | None) -> None:
    scene = landscape(like, 1, spread=0.3)
    stages_ = scene.task.stages
    samples = [stage.samples[:3] for stage in stages_]
    scores = model.expected_scores(scene, samples, size=64)
    rng = np.random.default_rng(0)
    counts = [len(stage.models) * 3 for stage in stages_]
    for _ in range(20):
        options = [int(rng.integers(n)) for n in counts]
        row = [(o // 3, samples[i][o % 3]) for i, o in enumerate(options)]
        cell = int(np.ravel_multi_index(options, counts))
        assert model.expected_at(scene, [row], size=64)[0] == pytest.approx(scores[cell], abs=1e-9)


@pytest.mark.parametrize("name", ["2wiki", "math", "textvqa"])
def test_draws_average_to_the_expectation(name: str) -> None:
    """The fixed population stands for all examples, to half a hundredth."""
    this = frame(name)
    task = this.task.model_copy(
        update={
            "stages": tuple(s.model_copy(update={"samples": (1, 10, 50)}) for s in this.task.stages)
        }
    )
    scene = replace(this, task=task).landscape(this.means)
    drawn = mean_levels(draw(scene, 20_000, (5,)))[-1] / scene.stages[-1].levels
    np.testing.assert_allclose(drawn, model.expected_scores(scene), atol=0.012)


def test_quicker_means_are_the_means_of_the_outcomes() -> None:
    drawn = draw(landscape("chatdev", 3), 30, (1,))
    for means, outcomes in zip(mean_levels(drawn), outcome_levels(drawn), strict=True):
        np.testing.assert_allclose(means, outcomes.mean(axis=1), atol=1e-12)


def test_a_better_input_never_makes_an_example_worse() -> None:
    for levels in draw(landscape("taskbench", 4), 50, (2,)).levels:
        assert np.all(np.diff(levels.astype(int), axis=2) >= 0)


def test_neighbouring_sample_counts_share_their_luck() -> None:
    """Outcomes at adjacent counts differ for a few examples; with luck drawn anew, for many."""
    scene = landscape("2wiki", 0, spread=0)
    outcomes = outcome_levels(draw(scene, 400, (3,)))[1].reshape(51, 3, 17, 400)[34, 0]
    adjacent = (outcomes[8:-1] != outcomes[9:]).mean()
    p = outcomes[8:].mean()
    assert 0.01 < adjacent < 0.5 * 2 * p * (1 - p)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_draw_is_its_seed(seed: int) -> None:
    scene = landscape("cwq", 0)
    a, b = draw(scene, 20, (seed,)), draw(scene, 20, (seed,))
    assert all(np.array_equal(x, y) for x, y in zip(a.levels, b.levels, strict=True))


def test_a_population_must_be_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        model.population(2, 0.3, 100)
