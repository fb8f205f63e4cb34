"""Frozen records that pass between simulator, agents and harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from simulator.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Ask:
    """What an agent asks for, where a bare `Configuration` does not say it all.

    `examples` asks for a cheaper look at the first so many examples of the split (a lower fidelity;
    `None` for all of them). `why` is one sentence that the trace keeps. `invalid` says that the
    agent has no valid configuration to ask for and why: the ask becomes a failed trial.
    """

    configuration: Configuration
    examples: int | None = None
    why: str = ""
    invalid: str = ""

    @classmethod
    def failed(cls, reason: str, why: str = "") -> Ask:
        """An ask that came to nothing: it counts as an infeasible trial of no configuration."""
        return cls(Configuration(()), why=why, invalid=reason)


class Trial(NamedTuple):
    """One ask and its answer; a named tuple, as a frozen dataclass takes longer than the lookup.

    - `asked` is the configuration asked, without choices where the agent had none (`Ask.failed`);
      `answered` the one whose cell answered, `None` where the ask was infeasible (`reason` says
      why).
    - `score` is the task's metric and `metrics` all of them; `score` is `None` where infeasible.
    - `cost` is what `asked` costs in the unit of the simulator's cost model.
    - `seconds` is the simulated time of the trial, `clock` the simulated time at which it ended.
    - `examples` is the number of examples it was scored on, `None` for the whole split. Only
      trials on the whole split can be the incumbent.
    """

    index: int  # type: ignore[assignment]  # a tuple's own method, which trials do without
    asked: Configuration
    answered: Configuration | None
    feasible: bool
    reason: str
    score: float | None
    metrics: Mapping[str, float]
    cost: float
    seconds: float
    clock: float
    repeated: bool = False
    examples: int | None = None
    why: str = ""
