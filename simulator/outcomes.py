"""Per-example outcomes of one split, coded as tightly as their values allow.

A metric whose outcomes are all 0 or 1 is bit-packed; one with at most 256 distinct values is one
byte an example with a code book; anything else is float32. Rows are configurations that have
outcomes, found by `row_of_cell` (int32, -1 where a cell has none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator import kernels
from simulator.arrays import read_only

Coding = Literal["bits", "codes", "floats"]


@dataclass(frozen=True, eq=False)
class Coded:
    """One metric's outcomes: `data` is (rows, ceil(n / 8)) uint8 for `bits`, (rows, n) uint8 for
    `codes` with `book` (at most 256,) float64, (rows, n) float32 for `floats`."""

    coding: Coding
    data: NDArray[np.uint8] | NDArray[np.float32]
    book: NDArray[np.float64]

    @classmethod
    def encode(cls, values: NDArray[np.floating]) -> Coded:
        """Code an array of shape (rows, n)."""
        empty = np.empty(0)
        if np.isin(values, (0.0, 1.0)).all():
            return cls("bits", np.packbits(values.astype(bool), axis=1), empty)
        book = np.unique(values)
        if len(book) <= 256:
            codes = np.searchsorted(book, values).astype(np.uint8)
            return cls("codes", codes, book.astype(np.float64))
        return cls("floats", values.astype(np.float32), empty)

    def decode(self, rows: NDArray[np.integer] | slice, n_examples: int) -> NDArray[np.float64]:
        """Outcomes of some rows, shape (len(rows), n_examples)."""
        data = self.data[rows]
        if self.coding == "bits":
            bits = np.unpackbits(np.asarray(data, np.uint8), axis=1, count=n_examples)
            return bits.astype(np.float64)
        if self.coding == "codes":
            return np.asarray(self.book[data.astype(np.intp)])
        return data.astype(np.float64)

    def weighted_means(
        self, rows: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Means over examples under each row of `weights`, shape (draws, n): (rows, draws).

        Weights are counts of how often each example is drawn; each row of them sums above 0.
        """
        means: NDArray[np.float64]
        if self.coding == "bits":
            means = kernels.weighted_means_bits(read_only(self.data), rows, weights)
        else:
            means = kernels.weighted_means(self.decode(rows, weights.shape[1]), weights)
        return means


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Outcomes of one split: how many examples, which cells, and each metric's values."""

    n_examples: int
    row_of_cell: NDArray[np.int32]
    metrics: Mapping[str, Coded]

    def rows(self, cells: NDArray[np.integer]) -> NDArray[np.int64]:
        """Row of each cell, -1 where it has no outcomes."""
        return np.asarray(self.row_of_cell[cells], dtype=np.int64)
