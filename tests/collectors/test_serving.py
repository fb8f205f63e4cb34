"""The roofline model: its bounds, its monotone directions, and what batching does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.serving import (
    A100_80GB,
    Serving,
    batch_size,
    cache_bytes_per_token,
    card_count,
    configuration_seconds,
    layers,
    option_seconds,
    stage_seconds,
)
from simulator import Space
from simulator.errors import UsageError
from simulator.table import toy_task

servings = st.builds(
    Serving,
    bytes_per_parameter=st.sampled_from([0.5625, 1.0, 2.0]),
    max_batch=st.integers(1, 512),
    examples_at_once=st.none() | st.integers(1, 64),
    cards=st.just(8),
)
parameters = st.floats(1e8, 1e11)
tokens = st.integers(1, 4096)
counts = st.integers(1, 300)


@given(servings, parameters, tokens, tokens, counts)
def test_seconds_are_positive_and_rise_with_samples(serving, p, prompt, generated, examples):
    seconds = stage_seconds(serving, p, prompt, generated, np.arange(1, 101), examples)
    assert seconds.shape == (100,)
    assert (seconds > 0).all()
    assert (np.diff(seconds) >= -1e-9 * seconds[1:]).all()


@given(servings, parameters, st.floats(1, 5), tokens, tokens, counts, counts)
def test_seconds_rise_with_parameters_at_one_number_of_cards(
    serving, p, factor, prompt, generated, samples, examples
):
    small = stage_seconds(serving, p, prompt, generated, samples, examples)
    large = stage_seconds(serving, p * factor, prompt, generated, samples, examples)
    assert large >= small * (1 - 1e-9)


@given(servings, parameters, tokens, tokens, counts, counts, counts)
def test_seconds_rise_with_examples(serving, p, prompt, generated, samples, examples, more):
    few = stage_seconds(serving, p, prompt, generated, samples, examples)
    many = stage_seconds(serving, p, prompt, generated, samples, examples + more)
    assert many >= few * (1 - 1e-9)


@given(servings, parameters, tokens, tokens, counts, counts, counts)
def test_more_tokens_take_longer(serving, p, prompt, generated, samples, examples, more):
    base = stage_seconds(serving, p, prompt, generated, samples, examples)
    assert stage_seconds(serving, p, prompt + more, generated, samples, examples) >= base
    assert stage_seconds(serving, p, prompt, generated + more, samples, examples) > base


@given(servings, parameters, tokens, tokens, counts, counts)
def test_a_larger_batch_never_slows(serving, p, prompt, generated, samples, examples):
    narrow = stage_seconds(serving, p, prompt, generated, samples, examples)
    wide = stage_seconds(
        replace(serving, max_batch=serving.max_batch * 2), p, prompt, generated, samples, examples
    )
    assert wide <= narrow * (1 + 1e-9)


@given(servings, parameters, tokens, tokens, counts, counts)
def test_one_example_at_a_time_is_slowest(serving, p, prompt, generated, samples, examples):
    together = stage_seconds(
        replace(serving, examples_at_once=None), p, prompt, generated, samples, examples
    )
    apart = stage_seconds(
        replace(serving, examples_at_once=1), p, prompt, generated, samples, examples
    )
    assert together <= apart * (1 + 1e-9)


@given(parameters)
def test_the_cards_hold_the_weights(p):
    serving = Serving()
    cards = card_count(serving, p)
    assert cards & (cards - 1) == 0
    usable = 80e9 * 0.9 * 0.75
    assert 2 * p <= cards * usable * (1 + 1e-9)
    assert cards == 1 or 2 * p > cards / 2 * usable * (1 - 1e-9)
    assert batch_size(serving, p, 128, 64) >= 1


def test_gpu_seconds_count_every_card():
    wall = stage_seconds(Serving(), 70e9, 256, 64, [1, 50], 100)
    gpu = stage_seconds(Serving(), 70e9, 256, 64, [1, 50], 100, clock="gpu")
    assert card_count(Serving(), 70e9) == 4
    np.testing.assert_allclose(gpu, 4 * wall)


def test_a_single_sequence_decodes_at_the_speed_of_memory():
    """One sequence, 1000 steps, no cache to speak of: bytes of the weights over bandwidth."""
    seconds = stage_seconds(Serving(), 7e9, 1, 1000, 1, 1)
    floor = 1000 * 14e9 / (A100_80GB.bandwidth * 0.7)
    assert floor < seconds < 1.01 * floor


def test_a_long_prompt_is_bound_by_arithmetic():
    seconds = stage_seconds(Serving(), 7e9, 100_000, 1, 1, 1)
    arithmetic = 2 * 7e9 * 100_000 / (312e12 * 0.5)
    assert arithmetic < seconds < 1.05 * arithmetic


def test_a_second_sample_is_nearly_free_and_a_second_wave_is_not():
    serving = Serving(max_batch=64)
    one, two, full, double = stage_seconds(serving, 8e9, 128, 64, [1, 2, 64, 128], 1)
    assert two < 1.05 * one
    assert double - full == pytest.approx(full, rel=0.05)


def test_quantised_names_have_four_bit_weights():
    for name in ("Qwen2.5-7B-Instruct-AWQ", "m-GPTQ", "m-int4", "Llama W4A16"):
        assert Serving().for_model(name).bytes_per_parameter == 0.5625
    for name in ("Llama-3.1-8B-Instruct", "awqward-7B", "Qwen2.5-3B"):
        assert Serving().for_model(name).bytes_per_parameter == 2


@pytest.mark.parametrize(("p", "true_layers"), [(3.2e9, 28), (8e9, 32), (32e9, 64), (70e9, 80)])
def test_the_guessed_architecture_is_near_the_published_one(p, true_layers):
    assert layers(p) == pytest.approx(true_layers, rel=0.2)
    published = 2 * true_layers * 8 * 128 * 2
    assert cache_bytes_per_token(p) == pytest.approx(published, rel=0.2)


def test_a_configuration_takes_the_sum_over_its_stages():
    task = toy_task({"retrieve": [1, 5], "answer": [1, 2, 4]})
    space, seconds = Space(task), configuration_seconds(task, 50)
    per_stage = option_seconds(task, 50)
    assert seconds.shape == (space.n_cells,)
    for cell in range(space.n_cells):
        first, second = space.options(np.array([cell]))[0]
        expected = per_stage[0].ravel()[first] + per_stage[1].ravel()[second]
        assert seconds[cell] == pytest.approx(expected)


def test_no_examples_take_no_time():
    assert stage_seconds(Serving(), 3e9, 128, 64, [1, 2], 0).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_batch": 0}, "max_batch must be at least 1, not 0"),
        ({"cards": 0}, "cards must be at least 1"),
        ({"compute_utilisation": 0.0}, "compute_utilisation must be over 0"),
        ({"memory_share": 1.5}, "at most 1, not 1.5"),
        ({"cache_share": 1.0}, "cache_share must be from 0 to under 1"),
        ({"bytes_per_parameter": float("nan")}, "bytes_per_parameter must be over 0"),
    ],
)
def test_wrong_settings_say_what_would_be_right(wrong, message):
    with pytest.raises(UsageError, match=message):
        Serving(**wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 128, 64, 1, 1), "parameters must be over 0"),
        ((1e9, 0, 64, 1, 1), "prompt_tokens must be over 0"),
        ((1e9, 128, 64, [-1], 1), "samples must be at least 0"),
        ((1e9, 128, 64, 1, -1), "examples must be at least 0"),
    ],
)
def test_wrong_arguments_say_what_would_be_right(arguments, message):
    with pytest.raises(UsageError, match=message):
        stage_seconds(Serving(), *arguments)


def test_the_description_names_what_was_assumed():
    text = Serving(max_batch=32, examples_at_once=4).describe()
    assert "A100" in text
    assert "at most 32 sequences" in text
    assert "4 examples at once" in text
