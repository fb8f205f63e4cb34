"""Arrays shared by everything that reads a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view of an array that cannot be written; a memory map stays mapped.

    Kernels are given nothing else to read, so that each is compiled for one kind of array.
    """
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
