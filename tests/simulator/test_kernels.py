"""Every kernel against its plain twin, on random tables with holes and at random budgets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulator import LookupTable, Task, kernels
from simulator.cost import COST_MODELS, largest_allowed
from simulator.lattice import Lattice
from simulator.near import packed_options
from simulator.outcomes import Coded
from simulator.space import Space
from tests.simulator import twins
from tests.simulator.cases import Case, cases, random_asks, random_scores, tasks

CODES = {
    twins.OVER_BUDGET: kernels.OVER_BUDGET,
    twins.NO_NEIGHBOUR: kernels.NO_NEIGHBOUR,
    twins.TOO_FAR: kernels.TOO_FAR,
    twins.NOT_IN_TABLE: kernels.OFF_GRID,
    twins.INVALID: kernels.INVALID,
}
MODES = ("exact", "nearest", "paper")


def code(answer: twins.Answer) -> int:
    return CODES[answer] if isinstance(answer, str) else answer


def paper_limit(task: Task, mode: str) -> int:
    return task.paper_distance if mode == "paper" else -1


def matched(case: Case, mode: str, asked: np.ndarray | None = None) -> list[int]:
    answers = kernels.match_many(
        case.asked if asked is None else asked, *case.lattice, case.scores, case.limit,
        paper_limit(case.task, mode), mode == "exact",
    )  # fmt: skip
    return [int(answer) for answer in answers]


@pytest.mark.parametrize("mode", MODES)
@given(case=cases())
def test_matching(mode: str, case: Case) -> None:
    grid = twins.Grid.of(case.task, case.costs)
    want = [code(twins.match(grid, case.scores, row, case.limit, mode)) for row in case.asked]
    assert matched(case, mode) == want
    assert matched(case, mode, case.asked.astype(np.int32)) == want


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("mode", MODES)
@given(case=cases(n_asks=12))
def test_lookups(mode: str, remembers: bool, case: Case) -> None:
    grid = twins.Grid.of(case.task, case.costs)
    lattice = case.lattice
    near = packed_options(case.space, case.costs, case.limit, mode)
    memo = np.full(lattice.n_asks if remembers else 0, kernels.NOT_ASKED, dtype=np.int16)
    answers = [twins.match(grid, case.scores, row, case.limit, mode) for row in case.asked]
    wrong = [a in (twins.INVALID, twins.NOT_IN_TABLE) for a in answers]
    want = [case.scores[a] if isinstance(a, int) else np.nan for a in answers]
    for asked in (case.asked, case.asked, case.asked.astype(np.int32)):  # again from memory
        out = np.empty(len(asked))
        first = kernels.lookup_many(
            asked, *lattice, case.scores, case.limit, paper_limit(case.task, mode),
            mode == "exact", near, memo, out,
        )  # fmt: skip
        np.testing.assert_array_equal(out, want)
        assert first == (wrong.index(True) if any(wrong) else -1)


@given(case=cases(invalid=0.0))
def test_most_lookups_need_no_search(case: Case) -> None:
    """Without a budget or a hole only equally near and unequally dear grid points are searched."""
    scores = np.arange(len(case.scores), dtype=float)
    near = packed_options(case.space, case.costs, np.inf, "nearest")
    memo = np.full(case.lattice.n_asks, kernels.NOT_ASKED, dtype=np.int32)
    kernels.lookup_many(
        case.asked, *case.lattice, scores, np.inf, -1, False, near, memo, np.empty(len(case.asked))
    )
    even = 0
    for row in case.asked:
        gaps = [
            sorted(abs(point - samples) for point in stage.samples)
            for stage, samples in zip(case.task.stages, row[:, 1].tolist(), strict=True)
        ]
        even += any(len(gap) > 1 and gap[0] == gap[1] for gap in gaps)
    assert np.count_nonzero(memo != kernels.NOT_ASKED) <= even


@pytest.mark.parametrize("mode", ["nearest", "paper"])
@given(task=tasks(max_stages=3), seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_ties_of_real_costs_are_ties(mode: str, task: Task, seed: int, share: float) -> None:
    """Costs in budget units are rounded sums; the twin adds them up as fractions."""
    rng = np.random.default_rng(seed)
    space = Space(task)
    costs = COST_MODELS["units"].stage_costs(task, None, "train")
    exact = [
        [
            [Fraction(0), *(_units(stage, m, s) for s in range(1, stage.samples[-1] + 1))]
            for m in range(len(stage.models))
        ]
        for stage in task.stages
    ]
    grid = twins.Grid.of(task, exact)
    scores = random_scores(space, rng)
    budget = sorted(grid.totals)[int(share * (len(grid.totals) - 1))]
    limit = largest_allowed(float(budget))
    asked = random_asks(task, rng, 8)
    got = kernels.match_many(
        asked, *Lattice.build(space, costs), scores, limit, paper_limit(task, mode), False
    )
    assert [int(a) for a in got] == [
        code(twins.match(grid, scores, row, Fraction(limit), mode)) for row in asked
    ]


def _units(stage: object, model: int, samples: int) -> Fraction:
    tokens = stage.prompt_tokens + samples * stage.generated_tokens
    raw = 2 * (Fraction(stage.models[model].parameters) / 3_000_000_000 * tokens / 128 - 1)
    return max(raw, Fraction(0))


def one_model_task(*stages: tuple[float, float, list[int]], paper: int = 5) -> Task:
    """Stages of (parameters of the model asked, of the largest, sample counts)."""
    return Task.from_mapping(
        {
            "name": "ties", "kind": "modelled", "metric": "score", "metrics": ["score"],
            "default_budget": 1e9, "paper_distance": paper,
            "stages": [
                {
                    "name": f"s{i}", "prompt_tokens": 1, "generated_tokens": 1, "samples": samples,
                    "models": [
                        {"name": "asked", "parameters": own},
                        {"name": "largest", "parameters": largest},
                    ],
                }
                for i, (own, largest, samples) in enumerate(stages)
            ],
        }
    )  # fmt: skip


def answer(
    task: Task, asked: list[int], cell_costs: dict[int, float], scores: np.ndarray, limit: int = -1
) -> int:
    """The nearest cell where a cell's cost is carried by its first stage."""
    space = Space(task)
    costs = [np.zeros((2, int(top) + 1)) for top in space.max_samples]
    for samples, cost in cell_costs.items():
        costs[0][0, samples] = cost
    row = np.array([[[0, s] for s in asked]])
    return int(
        kernels.match_many(row, *Lattice.build(space, tuple(costs)), scores, np.inf, limit, False)[
            0
        ]
    )


def test_three_thirds_are_one() -> None:
    """P = Pmax / 1.5 has the step 1/3: three samples there are as far as one at the largest."""
    task = one_model_task((2e9, 3e9, [3, 6]), (3e9, 3e9, [4, 5]))
    space = Space(task)
    scores = np.full(space.n_cells, np.nan)
    off_first, off_second = (
        space.cell(space.from_indices([[0, 6], [0, 5]])),
        space.cell(space.from_indices([[0, 3], [0, 4]])),
    )
    scores[[off_first, off_second]] = 0.25, 0.75
    asked = [3, 5]  # 3 samples of 1/3 from the one, 1 sample of 1 from the other
    assert answer(task, asked, {3: 2.0, 6: 1.0}, scores) == off_first
    assert answer(task, asked, {3: 1.0, 6: 2.0}, scores) == off_second
    assert answer(task, asked, {}, scores) == min(off_first, off_second)
    assert answer(task, asked, {3: 2.0, 6: 1.0}, scores, limit=5) == off_second  # scores higher


@pytest.mark.parametrize(("paper", "far"), [(5, 5), (20, 20)])
def test_the_limit_of_paper_matching_is_included(paper: int, far: int) -> None:
    task = one_model_task((3e9, 3e9, [1, 100]), paper=paper)
    scores = np.array([0.5, np.nan, np.nan, np.nan])
    assert answer(task, [1 + far], {}, scores, limit=paper) == 0
    assert answer(task, [2 + far], {}, scores, limit=paper) == kernels.TOO_FAR


def test_distances_too_fine_for_64_bits_are_rounded() -> None:
    """Four stages with parameter counts of ten figures: their common denominator has 40."""
    counts = (7615616512.0, 1543714304.0, 3085938688.0, 494032768.0)
    task = one_model_task(*((own, 72706203648.0, [1, 4]) for own in counts))
    lattice = Lattice.build(Space(task), tuple(np.zeros((2, 5)) for _ in counts))
    step = np.empty(4, dtype=np.int64)
    scale = int(kernels.distance_steps(np.array([[0, 1]] * 4), lattice.shape, lattice.ratio, step))
    assert 2**50 < scale < 2**62
    for own, got in zip(counts, step.tolist(), strict=True):
        want = 1 / (4 * Fraction(72706203648) / Fraction(own) - 3)
        assert abs(Fraction(got, scale) - want) < Fraction(1, 10**14)


@given(case=cases(n_asks=10))
def test_interpolation(case: Case) -> None:
    grid = twins.Grid.of(case.task, case.costs)
    rng = np.random.default_rng(len(case.scores))
    for values in (case.scores, rng.random(len(case.scores))):
        out = np.empty(len(case.asked))
        status = kernels.interpolate_many(
            case.asked, *case.lattice[:4], case.scores, case.limit, values, out
        )
        for row, got, state in zip(case.asked, out, status, strict=True):
            want = twins.interpolate(grid, case.scores, values, row, case.limit)
            if isinstance(want, str):
                assert state == CODES[want]
                assert np.isnan(got)
            else:
                assert state == 0
                assert got == pytest.approx(want, abs=1e-12)


@given(case=cases(), threshold=st.sampled_from([0.0, 0.25, 0.9, np.inf]))
def test_scan_of_cells(case: Case, threshold: float) -> None:
    grid = twins.Grid.of(case.task, case.costs)
    lattice = case.lattice
    best, count = kernels.scan_cells(
        lattice.shape, lattice.grid, lattice.cost, case.scores, case.limit, threshold
    )
    assert best == twins.best_cell(grid, case.scores, case.limit)
    within = np.array(grid.totals) <= case.limit
    assert count == np.count_nonzero(within & (case.scores >= threshold))


@given(case=cases(invalid=0.3))
def test_costs_of_asks(case: Case) -> None:
    grid = twins.Grid.of(case.task, case.costs)
    for row in case.asked:
        want = grid.cost(row) if grid.valid(row) else np.nan
        got = kernels.ask_cost(row, case.lattice.shape, case.lattice.cost)
        np.testing.assert_equal(got, want)


@given(
    words=hnp.arrays(np.uint32, st.tuples(st.integers(1, 5), st.integers(1, 8))),
    values=hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(-5, 5)),
)
@example(words=np.array([[0, 2**32 - 1]], dtype=np.uint32), values=np.array([3.0, 1.0, 2.0]))
def test_best_so_far_of_draws(words: np.ndarray, values: np.ndarray) -> None:
    out = np.empty(words.shape)
    kernels.best_so_far_of_draws(words, values, out)
    np.testing.assert_array_equal(out, twins.best_so_far_of_draws(words, values))


@given(
    coding=st.sampled_from(["bits", "codes", "floats"]),
    n=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_weighted_means(coding: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_rows = 20 if coding == "floats" else 4
    outcomes = {
        "bits": lambda: rng.integers(0, 2, (n_rows, n)).astype(float),
        "codes": lambda: rng.choice([-1.5, 0.0, 0.1, 1.0, 7.0], (n_rows, n)),
        "floats": lambda: rng.random((n_rows, max(n, 20))).astype(np.float32).astype(float),
    }[coding]()
    n = outcomes.shape[1]
    coded = Coded.encode(outcomes)
    if coding == "bits" or (coding == "codes" and not np.isin(outcomes, (0, 1)).all()):
        assert coded.coding == coding
    rows = rng.integers(0, n_rows, 5)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=3).astype(float)
    np.testing.assert_array_equal(coded.decode(rows, n), outcomes[rows])
    np.testing.assert_allclose(
        coded.weighted_means(rows, weights),
        twins.weighted_means(outcomes, rows, weights),
        rtol=1e-12, atol=1e-12,
    )  # fmt: skip


def test_floats_are_kept_as_floats() -> None:
    assert Coded.encode(np.random.default_rng(0).random((30, 20))).coding == "floats"


def test_kernels_take_read_only_and_mapped_arrays(tmp_path: Path) -> None:
    table = LookupTable.from_function({"a": [1, 5]}, lambda c: c.choices[0].samples / 5)
    np.save(tmp_path / "scores.npy", table.scores())
    mapped = np.load(tmp_path / "scores.npy", mmap_mode="r")
    space = table.space
    lattice = Lattice.build(space, COST_MODELS["tokens"].stage_costs(table.task, None, "train"))
    asked = np.array([[[1, 4]]])
    asked.flags.writeable = False
    assert kernels.match_many(asked, *lattice, mapped, np.inf, -1, False).tolist() == [3]
