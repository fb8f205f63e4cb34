"""The tables that speed is measured on."""

from __future__ import annotations

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
    task = Task.from_mapping(
        {
            "name": "speed", "kind": "modelled", "metric": "score", "metrics": ["score"],
            "default_budget": BUDGET,
            "stages": [_stage("a", SIZES_A, SAMPLES_A), _stage("b", SIZES_B, SAMPLES_B)],
        }
    )  # fmt: skip
    rng = np.random.default_rng(0)
    n = len(SIZES_A) * len(SAMPLES_A) * len(SIZES_B) * len(SAMPLES_B)
    column = {"score": rng.random(n)}
    return LookupTable.from_arrays(
        task,
        {"train": column, "test": column},
        seconds={s: rng.random(n) for s in ("train", "test")},
    )


def random_asks(n: int, seed: int = 0) -> NDArray[np.int64]:
    """Any model, any sample count from 1 to 100, in each stage."""
    rng = np.random.default_rng(seed)
    asked = np.empty((n, 2, 2), dtype=np.int64)
    asked[:, 0, 0] = rng.integers(0, len(SIZES_A), n)
    asked[:, 1, 0] = rng.integers(0, len(SIZES_B), n)
    asked[:, :, 1] = rng.integers(1, 101, (n, 2))
    return asked


def affordable_asks(simulator: Simulator, n: int) -> list[Configuration]:
    """Configurations off the grid in both stages, within the budget."""
    asked = random_asks(20 * n)
    off = ~np.isin(asked[:, 0, 1], SAMPLES_A) & ~np.isin(asked[:, 1, 1], SAMPLES_B)
    answered = ~np.isnan(simulator.evaluate_many(asked))
    return [simulator.space.from_indices(row) for row in asked[off & answered][:n]]
