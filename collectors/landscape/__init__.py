"""Modelled landscapes: tables of the published tasks, and new ones without end.

Everything made here is of kind `modelled`. `make(like, seed)` draws a new landscape;
`DEVELOPMENT_SEEDS` are for developing agents, `JUDGING_SEEDS` for judging them only.
"""

from collectors.landscape.parameters import task_names
from collectors.landscape.supply import DEVELOPMENT_SEEDS, JUDGING_SEEDS, make

__all__ = ["DEVELOPMENT_SEEDS", "JUDGING_SEEDS", "make", "task_names"]
