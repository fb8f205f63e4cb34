"""What every fuzz target must keep to: the project's own errors, no hang, no growth of memory.

A target is a function of one damaged input. `survive` runs it: it may return, or raise an error of
the project that is one printable line. `fuzz` gives a test its number of cases: 25, or as many as
`AGENTTTS_FUZZ` says (`make fuzz`: 10,000).
"""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from simulator.errors import AgentTTSError

CASES = int(os.environ.get("AGENTTTS_FUZZ", "25"))
SECONDS = 10.0
"""Processor time of one case: a hundred times what the slowest sound one takes."""

MIB = 2**20
KEPT = 60
"""Cases of a target that are run again and again at its end, to see whether memory grows."""

AGAIN = 8
GROWTH = 24 * MIB
"""More than the allocators' own noise, less than 50 kB for each case that is run again."""

PEAK = 700 * MIB
"""What a small damaged input may make a process take on top of what it had."""

fuzz = settings(
    max_examples=CASES,
    derandomize="AGENTTTS_FUZZ_SEARCH" not in os.environ,
    database=None,
    deadline=None,
    # A found case is shrunk, but not explained: that takes as long as all the rest.
    phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class HangError(AssertionError):
    """A case that did not end in `SECONDS`."""


@dataclass
class Watch:
    """The cases of one target that are kept, and the memory that the process had before."""

    before: int = field(default_factory=lambda: memory())
    seen: int = 0
    kept: list[tuple[Callable[..., Any], tuple[Any, ...]]] = field(default_factory=list)
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def keep(self, target: Callable[..., Any], given: tuple[Any, ...]) -> None:
        """Keep a fair sample of all cases (reservoir sampling)."""
        self.seen += 1
        if len(self.kept) < KEPT:
            self.kept.append((target, given))
        elif (place := self.draw.randrange(self.seen)) < KEPT:
            self.kept[place] = (target, given)


_watch = Watch(before=0)


def memory() -> int:
    """Bytes of this process that are in memory; 0 where the system has no `/proc`."""
    gc.collect()
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def survive(target: Callable[..., Any], *given: Any) -> Any:
    """Run a case; returns what the target gives, or the error of the project that it raises."""
    _watch.keep(target, given)
    return _run(target, given)


def _run(target: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    try:
        with in_time(SECONDS):
            return target(*given)
    except AgentTTSError as error:
        text = str(error)
        assert text.strip(), "an error says what is wrong"
        assert len(text.splitlines()) == 1, f"an error is one line, not {text!r}"
        text.encode()  # what cannot be encoded cannot be printed
        return error


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise `HangError` in the block after so many seconds of work, regular expressions included.

    Of work and not of the clock: other programs of the machine must not fail a case. What waits
    for ever is ended by `watched` in `conftest.py`.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        raise HangError(f"a case took more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def steady_memory() -> Iterator[None]:
    """Check that the cases of a target take a bounded peak, and that repeating them takes none.

    Hypothesis itself remembers every case, so growth is measured on the kept ones, run again.
    """
    global _watch
    _watch = Watch()
    yield
    watch, _watch = _watch, Watch(before=0)
    kept = watch.kept
    watch.kept = []
    if CASES < 1000 or not kept:
        return
    for _ in range(2):
        for target, given in kept:
            _run(target, given)
    before = memory()
    for _ in range(AGAIN):
        for target, given in kept:
            _run(target, given)
    after = memory()
    grown = after - before
    print(
        f"\nmemory: {watch.before / MIB:.0f} MiB before, {before / MIB:.0f} MiB after "
        f"{watch.seen} cases, {grown / MIB:+.1f} MiB over {AGAIN * len(kept)} repeats"
    )
    assert grown < GROWTH, f"{grown / MIB:.0f} MiB more after {AGAIN * len(kept)} repeated cases"
    assert after - watch.before < PEAK, f"{(after - watch.before) / MIB:.0f} MiB more than before"
