"""Ray as the backend of a bench: chunks of cells as tasks of a cluster, results as they come.

Tables travel with their chunks, once a node, so that a node needs no folder of ours; it does need
this project's code, and refuses to run with other code than the bench's. A task whose node or
worker is lost is run again by Ray elsewhere.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from harness.plan import code_of
from harness.work import Chunk, Outcome, run_chunk
from simulator import LookupTable
from simulator.errors import MissingExtra, RunError

RETRIES = 3
"""How often a chunk is run again where its node or its worker was lost."""

PATIENCE = 60.0
"""Seconds without any processor in the cluster after which a bench gives up."""

KNOCK = 10.0
"""Seconds that the head of a cluster has to answer in."""

_KEPT = "finished cells are kept: run the same command again to go on"

_LAST_WORDS = f"agenttts: the Ray cluster is gone, and Ray ended this program with it; {_KEPT}"
_SAY_THEM = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr)"


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to, and how many processors it has."""

    ray: Any
    cpus: int

    def results(
        self, chunks: Iterator[Chunk], jobs: int, table_of: Callable[[Chunk], LookupTable]
    ) -> Iterator[tuple[str, list[Outcome]]]:
        """Run chunks, `jobs` at a time; yields each one's name as it ends, and its cells' texts.

        A chunk is taken when there is a place for it. `table_of` gives a chunk's table. Raises
        `RunError` where a chunk is lost for good, or the cluster.
        """
        ray = self.ray
        options = {"num_cpus": 1, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        task = ray.remote(**options)(_run_there)
        running: dict[Any, Chunk] = {}
        held: tuple[str, Any] = ("", None)
        waited = 0.0
        try:
            while True:
                while len(running) < jobs and (chunk := next(chunks, None)) is not None:
                    content = chunk.cells[0].table_hash
                    if held[0] != content:
                        # Chunks come table by table; tasks at work keep the table before alive.
                        held = (content, ray.put(table_of(chunk)))
                    running[task.remote(replace(chunk, source=""), held[1])] = chunk
                if not running:
                    return
                ended, _ = ray.wait(list(running), num_returns=1, timeout=PATIENCE / 4)
                waited = 0.0 if ended or self._processors() else waited + PATIENCE / 4
                if waited >= PATIENCE:
                    raise RunError(f"the Ray cluster has no processors left; {_KEPT}")
                for reference in ended:
                    outcomes = ray.get(reference)
                    yield running.pop(reference).shown, outcomes
        except ray.exceptions.RayTaskError as error:
            raise RunError(f"a chunk could not be run on the Ray cluster: {_line(error)}") from None
        except (ray.exceptions.RayError, ConnectionError, SystemExit) as error:
            # Ray's core may also leave the end of the program to Python.
            raise RunError(_lost(error)) from None
        finally:
            for reference in running:
                _quietly(partial(ray.cancel, reference, force=True))

    def _processors(self) -> float:
        return float(self.ray.cluster_resources().get("CPU", 0.0))


@contextmanager
def connected(jobs: int | None) -> Iterator[Cluster]:
    """The cluster of this process, else the one that `RAY_ADDRESS` names, else one of `jobs`
    processors on this machine, which ends with the block.

    Raises `MissingExtra`, and `RunError` where the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray", "the backend 'ray'") from None
    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS")
        own = {"address": "local", "num_cpus": jobs, "include_dashboard": False}
        quiet = {"log_to_driver": False, "logging_level": "error"}
        try:
            if address:
                _knock(address)
            ray.init(**({} if address else own), **quiet)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
            raise RunError(f"{where} cannot be reached or started: {_line(error)}") from None
    with _last_words():
        try:
            yield Cluster(ray, max(1, int(ray.cluster_resources().get("CPU", 1))))
        finally:
            if ours:  # of a cluster that is gone, this too can end the program
                _quietly(ray.shutdown)


@contextmanager
def _last_words() -> Iterator[None]:
    """Have one line said if this process does not live to leave the block.

    Ray's core ends a program whose connection to its node breaks, at once and without an exception
    or a word. So a process of its own waits for the end, and speaks where nobody told it not to.
    """
    words = [sys.executable, "-I", "-S", "-c", _SAY_THEM, _LAST_WORDS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield
        finally:
            process.communicate(b"all is said")


def _knock(address: str) -> None:
    """Raise `OSError` where nothing listens at HOST:PORT: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()


def _run_there(chunk: Chunk, table: LookupTable) -> list[Outcome]:
    """What a task does, on whatever node it runs; `chunk.source` is left out on the way."""
    agent, code = chunk.cells[0].agent, chunk.cells[0].code
    if _code_of(agent) != code:
        raise RunError(
            f"a node has other code, or other versions of packages, than the bench for {agent!r}"
        )
    return run_chunk(replace(chunk, source=table), None)


@lru_cache(maxsize=64)
def _code_of(agent: str) -> str:
    return code_of(agent)


def _lost(error: BaseException) -> str:
    """One line for a chunk, or a cluster, that did not come back."""
    kind = type(error).__name__
    if kind in ("OutOfMemoryError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError"):
        return (
            f"a chunk of cells lost its Ray worker or node {RETRIES + 1} times (out of memory?); "
            f"{_KEPT}, with fewer --jobs"
        )
    return f"the Ray cluster is gone ({kind}); {_KEPT}"


def _line(error: BaseException) -> str:
    """The cause's own line, shortened."""
    cause = getattr(error, "cause", None) or error
    return " ".join(str(cause).split())[:300] or type(cause).__name__


def _quietly(function: Callable[[], object]) -> None:
    """Tidy up; what cannot be tidied of a cluster that is gone is gone with it."""
    with suppress(Exception, SystemExit):
        function()
