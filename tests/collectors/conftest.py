"""Small invented data and scripts for the collectors' tests."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.engines.scripted import ScriptedEngine
from collectors.store import Store
from collectors.sweep import Sweep, SweepFile

ROWS = [
    {
        "question": f"Which town did the builder of bridge {i} come from?",
        "answers": [f"Town {i}", f"The town {i}"],
        "ctxs_candidate": [
            *(f"Bridge {j} was built by builder {j}." for j in range(6)),
            *(f"Builder {j} came from town {j}." for j in range(6)),
        ],
        "ctxs_gt": [f"Bridge {i} was built by builder {i}.", f"Builder {i} came from town {i}."],
    }
    for i in range(6)
]


def town_script(model: str, prompt: str, n: int, seed: int) -> list[str]:
    """Passages at random, then one of a few towns: sample k depends on `seed + k` alone."""
    texts = []
    for k in range(n):
        rng = random.Random(f"{model}|{prompt}|{seed + k}")
        if "Passages:" in prompt:
            texts.append(",".join(str(rng.randint(1, 6)) for _ in range(rng.randint(1, 3))))
        else:
            texts.append(rng.choice(["Town 1", "town 2.", "Answer: Town 3", "Nowhere", "?"]))
    return texts


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    """Six invented two-hop questions."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS))
    return path


@pytest.fixture
def settings(rows_file: Path) -> dict[str, Any]:
    """A sweep of two stages and two models over the invented questions, as plain data."""
    return copy.deepcopy(
        {
            "task": "2wiki",
            "seed": 5,
            "data": {"path": str(rows_file), "train_examples": 3, "test_examples": 2},
            "options": {"candidates": 6},
            "engine": {"kind": "scripted", "function": "script:answer"},
            "plan": {"chunk_samples": 16},
            "table": {"metric": "token_f1", "default_budget": 100.0},
            "models": [
                {"name": "small", "source": "a/small", "parameters": 3e9},
                {"name": "large", "source": "a/large", "parameters": 70e9},
            ],
            "stages": [
                {"name": "retrieve", "models": ["small", "large"], "samples": [1, 2, 4]},
                {"name": "answer", "models": ["small", "large"], "samples": [1, 3, 4]},
            ],
        }
    )


@pytest.fixture
def make_sweep() -> Callable[[dict[str, Any]], Sweep]:
    """A sweep from plain data."""
    return lambda data: Sweep.of(SweepFile.from_mapping(data))


@pytest.fixture
def sweep(settings: dict[str, Any], make_sweep: Callable[[dict[str, Any]], Sweep]) -> Sweep:
    """The sweep of `settings`."""
    return make_sweep(settings)


@pytest.fixture
def store(sweep: Sweep, tmp_path: Path) -> Store:
    """An empty store of it."""
    return Store.open(tmp_path / "out", sweep)


@pytest.fixture
def script() -> Callable[[str, str, int, int], list[str]]:
    """`town_script`."""
    return town_script


@pytest.fixture
def engine() -> ScriptedEngine:
    """The scripted engine of `town_script`."""
    return ScriptedEngine.of(town_script)
