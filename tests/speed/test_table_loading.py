"""A table of 8 million cells: loading it once cached, against reading its Parquet with Polars.

    python -m pytest -m speed tests/speed/test_table_loading.py

Three stages, two models, 100 sample counts each, two splits; and outcomes of 500 examples for some
50,000 cells. Noted in the benchmark's `extra_info`: what building takes once, and the memory of
each further process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator import LookupTable, table_io
from simulator.outcomes import Coded, Outcomes
from simulator.space import Space
from simulator.table import SplitTable, toy_task
from simulator.table_format import SCORES

pytestmark = pytest.mark.speed

FURTHER = """
import sys
from simulator import table_io

def own():
    # Pages of a mapped file belong to the page cache, which all that map it share.
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024

before = own()
table = table_io.load(sys.argv[1])
total = sum(float(split.seconds[::7].sum()) for split in table.splits.values())
print(own() - before, "polars" in sys.modules)
"""
FIRST = """
import sys, time
from simulator import table_io
from tests.memory import peak_mib

begin = time.perf_counter()
table_io.load(sys.argv[1])
seconds = time.perf_counter() - begin
print(seconds, peak_mib())
"""


def run(code: str, folder: Path) -> list[str]:
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("big")
        patch.setenv("AGENTTTS_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def eight_million(home: Path) -> Path:
    task = toy_task({name: list(range(1, 101)) for name in ("plan", "retrieve", "answer")})
    rng, n = np.random.default_rng(0), Space(task).n_cells
    assert n == 8_000_000
    scores = {split: {"score": np.round(rng.random(n), 4)} for split in ("train", "test")}
    table = LookupTable.from_arrays(task, scores, seconds={s: rng.random(n) for s in scores})
    return table_io.save(table, home / "cells", card="# Cells")


@pytest.fixture(scope="module")
def many_outcomes(home: Path) -> Path:
    task = toy_task({name: list(range(1, 113)) for name in ("retrieve", "answer")})
    space, rng, splits = Space(task), np.random.default_rng(0), {}
    n, rows = space.n_cells, np.arange(space.n_cells, dtype=np.int32)
    for split, examples in (("train", 100), ("test", 500)):
        ability, difficulty = rng.normal(size=(n, 1)), rng.normal(size=examples)
        right = rng.random((n, examples)) < 1 / (1 + np.exp(-2 * (ability - difficulty)))
        coded = Coded("bits", np.packbits(right, axis=1), np.empty(0))
        outcomes = Outcomes(examples, rows, {"score": coded})
        count = np.full(n, examples, dtype=np.int32)
        splits[split] = SplitTable(split, {"score": right.mean(1)}, np.ones(n), count, outcomes)
    table = LookupTable(task, space, splits)
    return table_io.save(table, home / "outcomes", card="# Outcomes")


def measure(benchmark: Any, folder: Path) -> dict[str, float]:
    """Time the cached load; note what building took and what a further process costs."""
    seconds, peak = map(float, run(FIRST, folder))
    benchmark.pedantic(table_io.load, args=(folder,), rounds=10, warmup_rounds=1)
    private, imported = run(FURTHER, folder)
    assert imported == "False", "a cached table needs no Parquet"
    noted = {
        "build_seconds": seconds,
        "build_peak_mib": peak,
        "mib_of_each_further_process": float(private),
    }
    benchmark.extra_info.update(noted)
    return noted


def test_eight_million_cells_cached(benchmark: Any, eight_million: Path) -> None:
    noted = measure(benchmark, eight_million)
    assert noted["mib_of_each_further_process"] < 5


def test_eight_million_cells_read_by_polars(benchmark: Any, eight_million: Path) -> None:
    import polars as pl

    frame = benchmark.pedantic(
        pl.read_parquet, args=(eight_million / SCORES,), rounds=5, warmup_rounds=1
    )
    assert len(frame) == 16_000_000


def test_outcomes_of_fifty_thousand_cells_cached(benchmark: Any, many_outcomes: Path) -> None:
    """30 million outcomes build within 2 GiB and are mapped, bit-packed, from then on."""
    noted = measure(benchmark, many_outcomes)
    assert noted["build_peak_mib"] < 2048
    assert noted["mib_of_each_further_process"] < 5
