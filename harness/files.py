"""Writing files whole or not at all, and keeping a folder to one bench at a time."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator.errors import RunError, UsageError

try:
    import fcntl
except ImportError:  # no advisory locks on this system: cells are whole files all the same
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".tmp-"
"""Names of files that are being written begin so."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary path)`, then rename over `path`; nothing half written is left."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{path.name}"[:200])
    try:
        write(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def clear_temporaries(*folders: Path) -> None:
    """Remove what writers that were killed have left."""
    for folder in folders:
        for path in folder.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


def refuse_foreign(folder: Path) -> None:
    """Raise `UsageError` where `folder` holds a lookup table or a sweep: neither takes results."""
    for file, what in (("task.toml", "a lookup table"), ("sweep.json", "a sweep")):
        if (folder / file).exists():
            raise UsageError(f"{folder} holds {what}: name another folder for results")


def make_writable(folder: Path) -> None:
    """Make a folder and check that files can be written there; raises `RunError`."""
    probe = folder / f"{TEMPORARY}{os.getpid()}-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` alone; raises `RunError` naming the process that holds it.

    The lock is the operating system's, on the file `.lock`: it ends with the process that holds it,
    however that ends, so a lock file that was left behind locks nothing.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{folder} is in use by {_holder(path)}; wait for it") from None
            except OSError:
                pass  # a file system without locks
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return f"another bench (process {int(held['pid'])} on {held['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another bench"
