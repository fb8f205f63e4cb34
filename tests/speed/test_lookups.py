"""One lookup and a million of them, against a data frame, Syne Tune's table and a bare gather."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator import Configuration, LookupTable, Simulator
from tests.speed.problems import (
    BUDGET,
    affordable_asks,
    million_cells,
    processor_seconds,
    random_asks,
    two_stages,
)

pytestmark = [pytest.mark.speed, pytest.mark.slow]

ASKS = 500


@pytest.fixture(scope="module")
def table() -> LookupTable:
    return two_stages()


@pytest.fixture(scope="module")
def asks(table: LookupTable) -> list[Configuration]:
    return affordable_asks(Simulator(table, BUDGET), ASKS)


def evaluate_all(benchmark: Any, simulator: Simulator, asks: list[Configuration]) -> None:
    """Each ask once on a simulator at its first trial, with its record; per ask."""

    def run(fresh: Simulator) -> None:
        for ask in asks:
            fresh.evaluate(ask)

    benchmark.extra_info["items"] = len(asks)
    benchmark.pedantic(
        run, setup=lambda: ((simulator.restarted(0),), {}), rounds=300, warmup_rounds=2
    )


def test_evaluate_nearest(benchmark: Any, table: LookupTable, asks: list[Configuration]) -> None:
    evaluate_all(benchmark, Simulator(table, BUDGET), asks)


def test_evaluate_nearest_by_pandas(
    benchmark: Any, table: LookupTable, asks: list[Configuration]
) -> None:
    """Filter the rows of the same models within the budget, add a distance, take the least."""
    pandas = pytest.importorskip("pandas")
    simulator = Simulator(table, BUDGET)
    cells = [table.space.configuration(cell) for cell in range(table.space.n_cells)]
    frame = pandas.DataFrame(
        {
            "a_model": [c.choices[0].model for c in cells],
            "a_samples": [c.choices[0].samples for c in cells],
            "b_model": [c.choices[1].model for c in cells],
            "b_samples": [c.choices[1].samples for c in cells],
            "cost": simulator.cell_costs,
            "score": table.scores(),
        }
    )
    ratios = [
        {m.name: 1 / (4 * stage.max_parameters / m.parameters - 3) for m in stage.models}
        for stage in table.task.stages
    ]

    def nearest(ask: Configuration) -> float:
        a, b = ask.choices
        rows = frame[
            (frame["a_model"] == a.model)
            & (frame["b_model"] == b.model)
            & (frame["cost"] <= BUDGET)
        ]
        distance = (rows["a_samples"] - a.samples).abs() * ratios[0][a.model] + (
            rows["b_samples"] - b.samples
        ).abs() * ratios[1][b.model]
        rows = rows.assign(distance=distance.round(9))
        return float(rows.sort_values(["distance", "cost"], kind="stable").iloc[0]["score"])

    few = asks[:50]
    for ask in few:
        assert nearest(ask) == simulator.score(ask)
    benchmark.extra_info["items"] = len(few)
    benchmark.pedantic(lambda: [nearest(ask) for ask in few], rounds=5, warmup_rounds=1)


@pytest.fixture(scope="module")
def grid_asks(table: LookupTable) -> list[Configuration]:
    cells = Simulator(table, BUDGET).feasible_cells
    chosen = np.random.default_rng(1).choice(cells, ASKS, replace=False)
    return [table.space.configuration(int(cell)) for cell in chosen]


def test_evaluate_exact(benchmark: Any, table: LookupTable, grid_asks: list[Configuration]) -> None:
    evaluate_all(benchmark, Simulator(table, BUDGET, match="exact"), grid_asks)


def test_evaluate_exact_by_syne_tune(
    benchmark: Any, table: LookupTable, grid_asks: list[Configuration]
) -> None:
    pytest.importorskip("syne_tune")
    from tests.speed.syne_tune_peer import as_settings, blackbox

    box = blackbox(table)
    few = [as_settings(ask) for ask in grid_asks[:100]]
    simulator = Simulator(table, BUDGET)
    for ask, settings in zip(grid_asks, few, strict=False):
        assert box(settings, fidelity={"epoch": 1}, seed=0)["score"] == simulator.score(ask)
    benchmark.extra_info["items"] = len(few)
    benchmark.pedantic(
        lambda: [box(settings, fidelity={"epoch": 1}, seed=0) for settings in few],
        rounds=5, warmup_rounds=1,
    )  # fmt: skip


MILLION = 1_000_000


@pytest.fixture(scope="module", params=["small", "million"])
def sized(request: Any) -> LookupTable:
    """A table of 3,150 cells, which the innermost cache holds, and one of a million, which not."""
    return two_stages() if request.param == "small" else million_cells()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_evaluate_many(benchmark: Any, sized: LookupTable, dtype: type, threads: int) -> None:
    simulator = Simulator(sized, 4000.0 if sized.space.n_cells == MILLION else BUDGET)
    asked = random_asks(sized, MILLION).astype(dtype)
    share = np.isnan(simulator.evaluate_many(asked)).mean()
    assert 0.05 < share < 0.95, "the budget binds"
    benchmark.extra_info["items"] = MILLION
    benchmark.pedantic(
        simulator.evaluate_many, args=(asked,), kwargs={"threads": threads}, rounds=60,
        warmup_rounds=3,
    )  # fmt: skip
    benchmark.extra_info["processor_seconds"] = processor_seconds(
        lambda: simulator.evaluate_many(asked, threads=threads), 60
    )


def test_bare_gather(benchmark: Any, sized: LookupTable) -> None:
    """`out[i] = scores[cells[i]]`, compiled, at random: no asks, no budget, no checks."""
    numba = pytest.importorskip("numba")
    scores = np.array(sized.scores())
    cells = np.random.default_rng(2).integers(0, len(scores), MILLION)
    out = np.empty(MILLION)

    @numba.njit
    def gather(scores: Any, cells: Any, out: Any) -> None:
        for i in range(len(cells)):
            out[i] = scores[cells[i]]

    benchmark.extra_info["items"] = MILLION
    benchmark.pedantic(gather, args=(scores, cells, out), rounds=60, warmup_rounds=3)
