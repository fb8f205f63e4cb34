"""The tables that speed is measured on."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator import Configuration, LookupTable, Simulator, Task

SAMPLES_A = (1, 2, 5, 10, 20, 50, 100)
SAMPLES_B = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 40, 50, 60, 80, 100)
SIZES_A = (1e9, 3e9, 8e9, 32e9, 72e9)
SIZES_B = (1e9, 1.5e9, 3e9, 7e9, 32e9, 72e9)
BUDGET = 1500.0
"""Binds: some asks are over it, and for others the nearest cell is."""


def _stage(name: str, sizes: tuple[float, ...], samples: tuple[int, ...]) -> dict[str, object]:
    models = [{"name": f"model-{size / 1e9:g}b", "parameters": size} for size in sizes]
    return {
        "name": name, "models": models, "samples": samples,
        "prompt_tokens": 512, "generated_tokens": 64,
    }  # fmt: skip


def two_stages() -> LookupTable:
    """3,150 cells: 5 models by 7 sample counts, then 6 models by 15."""
    return _table(SIZES_A, SAMPLES_A, SIZES_B, SAMPLES_B)


def _table(
    sizes_a: tuple[float, ...], samples_a: tuple[int, ...],
    sizes_b: tuple[float, ...], samples_b: tuple[int, ...],
) -> LookupTable:  # fmt: skip
    task = Task.from_mapping(
        {
            "name": "speed", "kind": "modelled", "metric": "score", "metrics": ["score"],
            "default_budget": BUDGET,
            "stages": [_stage("a", sizes_a, samples_a), _stage("b", sizes_b, samples_b)],
        }
    )  # fmt: skip
    rng = np.random.default_rng(0)
    n = len(sizes_a) * len(samples_a) * len(sizes_b) * len(samples_b)
    column = {"score": rng.random(n)}
    return LookupTable.from_arrays(
        task,
        {"train": column, "test": column},
        seconds={s: rng.random(n) for s in ("train", "test")},
    )


def million_cells() -> LookupTable:
    """A million cells: in each of two stages 10 models by the odd sample counts up to 199."""
    sizes = tuple(1e9 * (1 + 7 * i) for i in range(10))
    return _table(sizes, tuple(range(1, 200, 2)), sizes, tuple(range(1, 200, 2)))


def random_asks(table: LookupTable, n: int, seed: int = 0) -> NDArray[np.int64]:
    """Any model and any sample count, on the grid and off it, in each stage."""
    rng = np.random.default_rng(seed)
    asked = np.empty((n, 2, 2), dtype=np.int64)
    for i, stage in enumerate(table.task.stages):
        asked[:, i, 0] = rng.integers(0, len(stage.models), n)
        asked[:, i, 1] = rng.integers(1, stage.samples[-1] + 1, n)
    return asked


def affordable_asks(simulator: Simulator, n: int) -> list[Configuration]:
    """Configurations off the grid in both stages, within the budget."""
    asked = random_asks(simulator.table, 20 * n)
    off = ~np.isin(asked[:, 0, 1], SAMPLES_A) & ~np.isin(asked[:, 1, 1], SAMPLES_B)
    answered = ~np.isnan(simulator.evaluate_many(asked))
    return [simulator.space.from_indices(row) for row in asked[off & answered][:n]]


def processor_seconds(call: Callable[[], object], rounds: int) -> float:
    """Time of all threads on processors, in the best round: what waiting for one leaves out."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
    return best
