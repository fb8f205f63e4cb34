"""Where a search starts: a few affordable configurations spread over models and log samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.encoding import Encoding, sample_indices

_POOL = 2_000


def spread_design(encoding: Encoding, rng: np.random.Generator, n: int) -> list[int]:
    """Up to `n` distinct affordable cells, each as far as can be from those before it.

    The first is drawn at random, so that seeds differ. Then greedily the cell whose nearest chosen
    cell is farthest (a maximin design), by the distance of `Encoding.distances`; a stage's models
    thereby all get their turn before one of them comes twice. Among at most 2,000 random cells.
    """
    cells: NDArray[np.int64] = encoding.cells
    if len(cells) > _POOL:
        cells = cells[sample_indices(len(cells), _POOL, rng)]
    chosen = [int(cells[int(rng.integers(len(cells)))])]
    away = encoding.distances(cells, chosen[0])
    # A jitter below any real difference breaks ties by the seed instead of by the index.
    jitter = rng.random(len(cells)) * 1e-9
    while len(chosen) < min(n, len(cells)):
        best = int(np.argmax(away + jitter))
        chosen.append(int(cells[best]))
        away = np.minimum(away, encoding.distances(cells, chosen[-1]))
        away[best] = -1.0
    return chosen[:n]
