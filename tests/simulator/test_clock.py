"""The simulated clock against a naive simulation of workers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Clock
from simulator.errors import UsageError


def naive(workers: int, lengths: list[float]) -> list[tuple[int, float]]:
    """(job, end) in the order of ends: each job starts on a worker as soon as one is idle."""
    ends: list[tuple[float, int]] = []
    out: list[tuple[int, float]] = []
    now = 0.0
    waiting = list(enumerate(lengths))
    while waiting or ends:
        while waiting and len(ends) < workers:
            job, length = waiting.pop(0)
            ends.append((now + length, job))
        first = min(ends)
        ends.remove(first)
        now = first[0]
        out.append((first[1], now))
    return out


@given(
    workers=st.integers(1, 5),
    lengths=st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 7.25]), max_size=30),
)
def test_against_a_naive_simulation(workers: int, lengths: list[float]) -> None:
    clock = Clock[int](workers)
    waiting = list(enumerate(lengths))
    out = []
    while True:
        while clock.free and waiting:
            job, length = waiting.pop(0)
            assert clock.start(job, length) == clock.now + length
        if clock.idle:
            break
        before = clock.now
        out.append((clock.next(), clock.now))
        assert clock.now >= before
    assert out == naive(workers, lengths)


def test_jobs_that_end_together_come_back_in_order() -> None:
    clock = Clock[str](3)
    for name in "cab":
        clock.start(name, 1.0)
    assert [clock.next() for _ in range(3)] == ["c", "a", "b"]


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2"])
def test_workers(workers: object) -> None:
    with pytest.raises(UsageError, match="workers must be a whole number from 1, not"):
        Clock(workers)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_lengths(seconds: float) -> None:
    with pytest.raises(UsageError, match="0 seconds or more"):
        Clock(1).start("job", seconds)


def test_too_many_and_none() -> None:
    clock = Clock[str](1)
    with pytest.raises(UsageError, match="no worker is busy"):
        clock.next()
    clock.start("a", 1.0)
    with pytest.raises(UsageError, match="all 1 workers are busy"):
        clock.start("b", 1.0)
