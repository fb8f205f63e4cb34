"""Running chunks in processes of this machine, and ending those processes whatever happens."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from harness.work import Chunk, Outcome, run_chunk
from simulator.errors import RunError


def local_results(
    chunks: Iterable[Chunk], folder: Path, jobs: int
) -> Generator[tuple[str, list[Outcome]]]:
    """Run chunks here or in `jobs` processes, each cell written as it is finished."""
    if jobs == 1:
        for chunk in chunks:
            yield _named(chunk, folder)
        return
    with _interrupts_end_workers() as interrupted, ExitStack() as stack:
        import joblib

        _fresh_workers()
        stack.callback(_fresh_workers)
        stack.enter_context(joblib.parallel_config("loky", inner_max_num_threads=1))
        parallel = joblib.Parallel(
            n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1
        )
        try:
            with _interrupts_held():
                results = parallel(joblib.delayed(_named)(chunk, folder) for chunk in chunks)
            # Before the workers end: joblib would give them new cells until told, and wait so.
            stack.callback(_close, results)
            if interrupted.is_set():  # before there was a worker to end
                _end_workers()
            # Not `yield from`, which would close it without `_close`.
            for result in results:  # noqa: UP028
                yield result
        except Exception as error:
            if type(error).__name__ in ("TerminatedWorkerError", "BrokenProcessPool"):
                raise RunError(
                    "a worker process was killed (out of memory?); finished cells are kept: "
                    "run the same command again to go on, with fewer --jobs"
                ) from None
            raise


def _named(chunk: Chunk, out: Path) -> tuple[str, list[Outcome]]:
    return chunk.shown, run_chunk(chunk, out)


def _close(results: Generator[Any]) -> None:
    """Give up what is still running, as a caller does who stops in the middle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # joblib's, that something was running
        results.close()


@contextmanager
def _interrupts_end_workers() -> Iterator[threading.Event]:
    """Let the first Ctrl-C end the workers and become a `KeyboardInterrupt` only at the end.

    Raised inside joblib it can leave a lock held and this process waiting for ever; workers that
    died joblib tells at once. A second Ctrl-C is raised where it comes. The event says whether
    there was one.
    """
    interrupted = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield interrupted
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupted.set()
        _end_workers()

    signal.signal(signal.SIGINT, end)
    try:
        yield interrupted
    except Exception:
        if interrupted.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupted.is_set():
        raise KeyboardInterrupt


def _end_workers() -> None:
    """End joblib's workers, and no other process that a caller may have."""
    for process in multiprocessing.active_children():
        if getattr(process, "_start_method", "").startswith("loky"):
            process.terminate()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while workers start. They inherit that and keep it, so that none is
    interrupted, with a traceback, before it has come to ignoring it; here it arrives afterwards."""
    from multiprocessing import resource_tracker

    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fresh_workers() -> None:
    """End joblib's idle workers: they would go on with code that has been edited since."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)
