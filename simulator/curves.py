"""Best-so-far curves of random search, by the million."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from simulator import kernels
from simulator.errors import TableError, UsageError
from simulator.simulator import Simulator

_RUNS_PER_CHUNK = 2048
"""Fixed, so that the words a run is drawn from do not depend on the number of threads."""


def random_search_curves(
    simulator: Simulator, trials: int, runs: int, seed: int = 0, threads: int | None = None
) -> NDArray[np.float64]:
    """Best score so far after each trial of many random searches: float64 (runs, trials).

    Each trial draws one of the feasible cells, all alike and with repeats, and scores its mean. The
    same seed gives the same curves on any number of threads (default: the processors of this
    machine); the first runs of a longer call are those of a shorter one.

    >>> from simulator.table import LookupTable
    >>> table = LookupTable.from_function({"a": [1, 2, 4]}, lambda c: c.choices[0].samples / 4)
    >>> curves = random_search_curves(Simulator(table, budget=100), trials=30, runs=1000)
    >>> curves.shape, round(float(curves[:, -1].mean()), 2)
    ((1000, 30), 1.0)
    """
    for name, value in (("trials", trials), ("runs", runs), ("threads", threads or 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} must be a whole number from 1, not {value!r}")
    values = simulator.scores[simulator.feasible_cells]
    if len(values) == 0:
        raise TableError(f"table {simulator.table.name!r} has no score within the budget")
    out = np.empty((runs, trials))
    starts = range(0, runs, _RUNS_PER_CHUNK)
    streams = np.random.SeedSequence(seed).spawn(len(starts))

    def chunk(begin: int, stream: np.random.SeedSequence) -> None:
        part = out[begin : begin + _RUNS_PER_CHUNK]
        # Of the ways to draw 64 random bits the one that lets other threads run.
        raw = np.random.Generator(np.random.SFC64(stream)).integers(
            0, 2**64 - 1, (part.size + 1) // 2, dtype=np.uint64, endpoint=True
        )
        words = raw.view(np.uint32)[: part.size].reshape(part.shape)
        kernels.best_so_far_of_draws(words, values, part)

    with ThreadPoolExecutor(min(threads or os.cpu_count() or 1, len(starts))) as pool:
        list(pool.map(chunk, starts, streams))
    return out
