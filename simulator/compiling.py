"""Whether the kernels have been compiled on this machine, and compiling them.

Numba keeps compiled kernels beside `kernels.py` (or in its own folder where that one cannot be
written). Only what it does by itself is used here: looked at, never opened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from simulator import kernels

_SAY = "agenttts: compiling the kernels, once per machine (a minute or less) ..."


def compiled() -> bool:
    """Whether a search will find its kernels compiled; true where compiling is switched off."""
    kernel: Any = kernels.match_many
    if getattr(kernel, "stats", None) is None or kernel.signatures:
        return True
    source = Path(kernels.__file__).stat().st_mtime
    return max((index.stat().st_mtime for index in _indices()), default=-1.0) >= source


def _indices() -> list[Path]:
    """Numba's lists of what it has kept of one kernel, which stands for all of them."""
    stats = getattr(kernels.match_many, "stats", None)
    if stats is None or not stats.cache_path:
        return []
    return list(Path(stats.cache_path).glob("kernels.match_many-*.nbi"))


def compile_kernels(say: Callable[[str], None]) -> bool:
    """Compile what a search needs, saying so first; returns whether there was anything to do."""
    if compiled():
        return False
    say(_SAY)
    from simulator.configuration import Configuration
    from simulator.outcomes import Coded
    from simulator.simulator import Simulator
    from simulator.table import LookupTable

    table = LookupTable.from_function({"a": [1, 4]}, lambda c: float(c.choices[0].samples))
    simulator = Simulator(table, budget=20)
    _ = simulator.optimum
    # Beyond the budget, so that the lookup leaves its short cuts in plain Python.
    simulator.evaluate(Configuration.parse("a=large:4"))
    simulator.evaluate_many(np.array([[[0, 1]]]))
    # Trials on some examples, or on a bootstrap of them.
    for values in (np.array([[0.0, 1.0]]), np.array([[0.0, 0.5]])):
        Coded.encode(values).weighted_means(np.array([0]), np.ones((1, 2)))
    # Numba goes by content: a source written again as it was leaves the lists as old as they were.
    for index in _indices():
        with suppress(OSError):
            index.touch()
    return True
