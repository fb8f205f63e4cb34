"""math-verify in a process of its own, which can be ended: `9^{9^{9^9}}` never would.

Run as a script, this is that process: a line `[gold, answer]` comes in, `true` or `false` goes out
(whether they are the same mathematics or, without a gold answer, whether the answer can be read).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

SECONDS = 20.0
"""Time for one comparison: a hundred times what a long one takes, since a result must not depend on
what else the machine does."""

STARTING = 120.0
"""Time for the library to be imported, on a machine that is busy."""

MEMORY = 4 * 2**30


class MathProcess:
    """Asks the process, which starts with the first question and anew after one that hangs."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, gold: str | None, answer: str) -> bool:
        """The process's answer; false where it gives none in time. Raises `MissingExtra`."""
        question = json.dumps([gold, answer]).encode() + b"\n"
        with self._lock:
            process = self._process or self._start()
            said = b""
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.write(question)
                    process.stdin.flush()
                    said = _line(process, self.seconds)
            if not said:
                self._end()
            return said == b"true"

    def _start(self) -> subprocess.Popen[bytes]:
        from simulator.errors import MissingExtra, RunError

        if find_spec("math_verify") is None:
            raise MissingExtra("math-verify", "collect", "comparing mathematical answers")
        self._process = process = subprocess.Popen(  # noqa: S603 - this file itself
            # -P: not the script's folder on the path, where a `math.py` lies.
            [sys.executable, "-P", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the sweep, which then closes this one's input
        )
        if _line(process, STARTING) != b"ready":
            self._end()
            raise RunError("the process that compares mathematical answers does not start")
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line without its end, empty where none comes in time or the process has ended."""
    if process.stdout is None:
        return b""
    handle, deadline, held = process.stdout.fileno(), time.monotonic() + seconds, b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([handle], [], [], left)[0]:
            break
        piece = os.read(handle, 4096)
        held += piece
        if not piece or held.endswith(b"\n"):
            return held.strip()
    return b""


def _serve() -> None:
    import resource

    # A comparison that takes all memory fails alone. Address space is not memory: libraries
    # reserve some of it that they never use.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from math_verify import parse, verify

    def read(text: str) -> list[object]:
        # The library's own time limits use signals, which do not stop arithmetic on huge integers.
        return list(parse(f"${text}$", parsing_timeout=None))

    print("ready", flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        try:
            if gold is None:
                same = bool(read(answer))
            else:
                same = bool(verify(read(gold), read(answer), timeout_seconds=None))
        except Exception:
            same = False  # what the library cannot read is not the same as anything
        print("true" if same else "false", flush=True)


if __name__ == "__main__":
    _serve()
