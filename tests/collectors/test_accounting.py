"""What a sweep costs: by hand on small cases, and on the published grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.accounting import (
    Rate,
    StageSize,
    Totals,
    fit_rate,
    naive_totals,
    plan,
    plan_stages,
)
from collectors.planner import StageTable
from collectors.sweep import Sweep
from simulator.errors import UnknownName

SMALL, LARGE = ("m-3B", 3e9), ("m-70B", 70e9)


def test_a_plan_of_one_stage_by_hand() -> None:
    made = plan_stages([StageSize((SMALL,), (1, 2, 4), 100, 10)], 5)
    # Naive: three configurations, each on five examples: 3 * 5 prompts, (1 + 2 + 4) * 5 samples.
    assert (made.naive.prompt_tokens, made.naive.generated_tokens) == (1500, 350)
    # Planned: one pool of four an example.
    assert (made.planned.prompt_tokens, made.planned.generated_tokens) == (500, 200)
    assert made.planned == made.at_most
    assert made.saving == pytest.approx(1850 / 700)
    assert (made.configurations, made.naive.requests, made.planned.requests) == (3, 15, 5)


def test_a_plan_of_two_stages_counts_distinct_results() -> None:
    stages = [StageSize((SMALL, LARGE), (1, 2), 100, 10), StageSize((SMALL,), (3,), 50, 20)]
    made = plan_stages(stages, 1, share=0.5)
    # Four options in the first stage: two distinct results assumed, four at most.
    assert made.planned.requests == 2 + 2
    assert made.at_most.requests == 2 + 4
    assert made.naive.requests == 4 * 1 + 1 * 4
    assert made.planned.generated_tokens == 2 * 2 * 10 + 2 * 3 * 20


def test_a_fusing_model_is_counted() -> None:
    plain = plan_stages([StageSize((SMALL,), (1, 4), 100, 10)], 1)
    fused = plan_stages([StageSize((SMALL,), (1, 4), 100, 10, fusion_tokens=30)], 1)
    # One fusion, of four: its prompt holds the four samples, its answer is one of nominal length.
    assert fused.planned.tokens - plain.planned.tokens == 100 + 4 * 10 + 10
    assert fused.naive.tokens - plain.naive.tokens == 100 + 4 * 10 + 10


def test_gpu_hours_grow_with_the_model_and_unknown_hardware_is_named() -> None:
    small = plan_stages([StageSize((SMALL,), (8,), 100, 10)], 50)
    large = plan_stages([StageSize((LARGE,), (8,), 100, 10)], 50)
    assert 0 < small.planned.seconds < large.planned.seconds
    with pytest.raises(UnknownName, match="hardware"):
        plan_stages([StageSize((SMALL,), (8,), 100, 10)], 50, hardware="H1000")


def test_the_plan_of_a_sweep(sweep: Sweep) -> None:
    made = plan(sweep)
    assert made.configurations == 6 * 6
    assert made.examples == 5
    shown = made.as_dict()
    assert shown["naive"]["tokens"] == made.naive.tokens
    assert shown["planned"]["gpu_hours"] == pytest.approx(made.planned.seconds / 3600)
    assert shown["saving"] == made.saving


# The published tasks: candidate models, and nominal tokens a call, of arXiv 2508.00890's grid.
Q7, Q32, Q72 = ("Qwen2.5-7B-AWQ", 7e9), ("Qwen2.5-32B-AWQ", 32e9), ("Qwen2.5-72B-AWQ", 72e9)
L3, L8, L70 = ("Llama-3B", 3e9), ("Llama-8B", 8e9), ("Llama-70B", 70e9)
V11, V90 = ("Llama-11B", 11e9), ("Llama-90B", 90e9)
PUBLISHED = {
    "2wiki": (550, [((Q7, Q32, Q72), 2048, 128), ((L3, L8, L70), 256, 64)]),
    "cwq": (600, [((Q7, Q72), 1024, 64), ((L8, L70), 256, 64)]),
    "taskbench": (
        600,
        [((L8, L70), 1024, 64), ((L8, L70), 1024, 256), ((L8, L70), 1024, 2048)],
    ),
    "chatdev": (600, [((L3, L70), 1024, 1024), ((L3, L70), 1024, 512), ((L3, L70), 1024, 256)]),
    "textvqa": (500, [((V11, V90), 256, 128), ((L8, L70), 128, 256)]),
}


@pytest.mark.parametrize("task", sorted(PUBLISHED))
@pytest.mark.parametrize(
    "grid", [tuple(range(1, 101)), (1, *range(5, 101, 5))], ids=["every-count", "steps-of-5"]
)
def test_the_saving_on_the_published_grid_is_at_least_twenty(
    task: str, grid: tuple[int, ...]
) -> None:
    examples, stages = PUBLISHED[task]
    sizes = [StageSize(models, grid, prompt, generated) for models, prompt, generated in stages]
    made = plan_stages(sizes, examples)
    assert made.saving >= 20
    # Where no two results agree, half of the grid's length is left: a pool of 100 instead of
    # samples of 50 on average, for each of the counts.
    assert made.least_saving > 0.4 * len(grid)


def test_naive_totals_by_hand() -> None:
    # Two options; both lead to the same result, so the second stage has one upstream.
    first = StageTable(
        [[""]], [["r"]], [np.array([[0, 0]], dtype=np.int32)], [np.array([[5, 5]])],
        [np.array([[1, 2]])],
    )  # fmt: skip
    second = StageTable(
        [["r"]], [["x", "y"]], [np.array([[0, 1, 1]], dtype=np.int32)],
        [np.array([[7, 7, 7]])], [np.array([[1, 2, 4]])],
    )  # fmt: skip
    rates = [[Rate(1.0, 0.0)] * 2, [Rate(0.0, 10.0)] * 3]
    totals = naive_totals([first, second], rates)
    # Six configurations of two calls each.
    assert totals.requests == 12
    assert totals.prompt_tokens == 3 * (5 + 5) + 2 * (7 * 3)
    assert totals.generated_tokens == 3 * (1 + 2) + 2 * (1 + 2 + 4)
    assert totals.seconds == 30 + 10 * 14


def test_naive_totals_leave_out_what_is_missing() -> None:
    table = StageTable(
        [[""]], [["r"]], [np.array([[0, -1]], dtype=np.int32)], [np.array([[5, 0]])],
        [np.array([[1, 0]])],
    )  # fmt: skip
    assert naive_totals([table], [[Rate(1, 1)] * 2]) == Totals(1, 5, 1, 6.0)


@given(
    st.floats(1e-6, 1e-2),
    st.floats(1e-5, 1e-1),
    st.lists(st.tuples(st.integers(1, 10**5), st.integers(1, 10**5)), min_size=1, max_size=20),
)
def test_rates_explain_the_seconds_that_were_measured(
    prompt: float, generated: float, tokens: list[tuple[int, int]]
) -> None:
    costs = [(p, g, p * prompt + g * generated) for p, g in tokens]
    rate = fit_rate(costs)
    assert rate.prompt >= 0
    assert rate.generated >= 0
    total = math.fsum(seconds for *_, seconds in costs)
    fitted = math.fsum(p * rate.prompt + g * rate.generated for p, g, _ in costs)
    assert fitted == pytest.approx(total, rel=1e-6)


def test_rates_are_found_where_chunks_tell_them_apart() -> None:
    rate = fit_rate([(1000, 10, 1000 * 1e-4 + 10 * 1e-2), (10, 1000, 10 * 1e-4 + 1000 * 1e-2)])
    assert rate.prompt == pytest.approx(1e-4)
    assert rate.generated == pytest.approx(1e-2)
    assert fit_rate([]) == Rate(0.0, 0.0)
    assert fit_rate([(10, 10, 0.0)]) == Rate(0.0, 0.0)
