"""The simulated clock: asynchronous workers, each trial told when it ends."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from simulator.errors import UsageError

T = TypeVar("T")


@dataclass
class Clock(Generic[T]):
    """`workers` machines that run jobs of known length, in simulated seconds.

    >>> clock = Clock[str](workers=2)
    >>> clock.start("a", 3.0), clock.start("b", 1.0)
    (3.0, 1.0)
    >>> clock.next(), clock.now
    ('b', 1.0)

    Jobs that end at the same time come back in the order in which they started.
    """

    workers: int = 1
    now: float = 0.0
    _running: list[tuple[float, int, T]] = field(default_factory=list)
    _started: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.workers, int) or self.workers < 1:
            raise UsageError(f"workers must be a whole number from 1, not {self.workers!r}")

    @property
    def free(self) -> bool:
        """Whether a worker is idle."""
        return len(self._running) < self.workers

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def start(self, job: T, seconds: float) -> float:
        """Start a job on an idle worker now; returns when it will end."""
        if not self.free:
            raise UsageError(f"all {self.workers} workers are busy")
        if not 0 <= seconds < math.inf:
            raise UsageError(f"a job takes 0 seconds or more, not {seconds}")
        end = self.now + seconds
        heapq.heappush(self._running, (end, self._started, job))
        self._started += 1
        return end

    def next(self) -> T:
        """Advance to the next end of a job and return the job; raises where nothing runs."""
        if self.idle:
            raise UsageError("no worker is busy")
        self.now, _, job = heapq.heappop(self._running)
        return job
