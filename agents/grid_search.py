"""Grid search: every affordable configuration, coarse to fine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.archive import Archive
from agents.base import Agent
from agents.card import TaskCard
from agents.encoding import Encoding
from simulator import Ask, Configuration, Trial

_BITS = 8


class GridSearch(Agent):
    """All affordable configurations in one fixed order, the same for every seed.

    A scan in the order of the table would spend its trials in one corner. Here the cells are put
    along a space-filling curve (the bits of each stage's model and log samples interleaved, most
    significant first), and the curve is visited at even steps that halve again and again: the
    first trials are spread over models and over log samples, and each further doubling fills the
    gaps between them.
    """

    deterministic = True

    def __init__(self, card: TaskCard, rng: np.random.Generator) -> None:
        self._card = card
        encoding = Encoding(card)
        self._archive = Archive(encoding, rng)
        self._order = coarse_to_fine(encoding)
        self._next = 0

    def ask(self) -> Configuration | Ask:
        self._archive.require_left()
        while (cell := int(self._order[self._next])) in self._archive.asked:
            self._next += 1
        self._archive.ask(cell)
        return self._card.space.configuration(cell)

    def tell(self, trial: Trial) -> None:
        """The order stands; what was told from elsewhere is not asked again."""
        self._archive.tell(trial)


def coarse_to_fine(encoding: Encoding) -> NDArray[np.int64]:
    """Every affordable cell once, shape (n,), in the order described at `GridSearch`."""
    cells = encoding.cells
    models, units = encoding.coordinates(cells)
    digits = []
    for i in range(encoding.n_stages):
        used = np.unique(models[:, i], return_inverse=True)[1]
        bits = max(1, int(used.max()).bit_length()) if len(used) else 1
        digits.append(used << (_BITS - bits))
        digits.append(np.minimum(units[:, i] * 2**_BITS, 2**_BITS - 1).astype(np.int64))
    # Keys of up to 60 bits, compared from the coarsest bit of every coordinate to the finest.
    levels = max(1, min(_BITS, 60 // len(digits)))
    key = np.zeros(len(cells), dtype=np.int64)
    for level in range(levels):
        for digit in digits:
            key = (key << 1) | ((digit >> (_BITS - 1 - level)) & 1)
    along = cells[np.argsort(key, kind="stable")]
    return along[_halving_steps(len(along))]


def _halving_steps(n: int) -> NDArray[np.int64]:
    """A permutation of 0..n-1 whose every prefix is spread evenly (van der Corput).

    >>> _halving_steps(8).tolist()
    [0, 4, 2, 6, 1, 5, 3, 7]
    """
    bits = max(1, (n - 1).bit_length())
    numbers = np.arange(2**bits, dtype=np.int64)
    reversed_ = np.zeros_like(numbers)
    for _ in range(bits):
        reversed_ = (reversed_ << 1) | (numbers & 1)
        numbers >>= 1
    return reversed_[reversed_ < n]
