"""Running generated programs where they can do no harm.

A program runs in namespaces of its own (mounts, processes, network, IPC, host name; users too where
this process is not root), in a root folder made of a small tmpfs with the system's libraries and
the interpreter bound read-only. It has no network, sees no home folder, no other process and no
file of this machine but those, holds no privilege and can gain none, and is bound in wall-clock
time, CPU time, memory of each process, processes, disk space and number of files. Standard input
stays open and says nothing. Linux only; where the kernel or a container forbids namespaces,
`SandboxError` says so and nothing is run.

Not bound: memory of all processes together (it is at most `memory * processes`), and the kernel
itself is trusted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collectors.errors import SandboxError

_JAIL = Path(__file__).with_name("jail.py")
_FIRST_UID, _UIDS = 61184, 4000
"""User numbers that no account has (systemd keeps this range for passing users)."""


@dataclass(frozen=True)
class Limits:
    """`seconds` of wall-clock time, `memory` in bytes of each process, `processes` at once, `disk`
    in bytes of everything written, `files` in inodes (the system's bound folders take about 30)."""

    seconds: float = 5.0
    memory: int = 512 * 2**20
    processes: int = 16
    disk: int = 32 * 2**20
    files: int = 512


@dataclass(frozen=True)
class Outcome:
    """What a program did. `status` is its exit status, negative for a signal, `None` where it still
    ran at the time limit. `stdout` and `stderr` hold the last 16 kB."""

    status: int | None
    seconds: float
    stdout: str
    stderr: str

    @property
    def timed_out(self) -> bool:
        return self.status is None


def run_program(
    files: Mapping[str, str], argv: Sequence[str], limits: Limits | None = None
) -> Outcome:
    """Run `python *argv` in a folder of text `files`; raises `SandboxError` where it cannot.

    >>> run_program({"main.py": "print(6 * 7)"}, ["main.py"]).stdout
    '42\\n'
    """
    limits = limits or Limits()
    if sys.platform != "linux":
        raise SandboxError(f"the sandbox for generated programs needs Linux, not {sys.platform}")
    with tempfile.TemporaryDirectory(prefix="agenttts-jail-") as root:
        order = {
            "root": root,
            "program": dict(files),
            "argv": list(argv),
            "seconds": limits.seconds,
            "memory": limits.memory,
            "processes": limits.processes,
            "disk": limits.disk,
            "files": limits.files,
            "uid": _FIRST_UID + int.from_bytes(os.urandom(2), "big") % _UIDS,
        }
        python = str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())
        with subprocess.Popen(
            [python, "-I", "-S", "-B", str(_JAIL)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
        ) as process:
            try:
                sent = json.dumps(order).encode("utf-8", "replace")
                out, err = process.communicate(sent, timeout=limits.seconds + 20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise SandboxError("the sandbox did not end in time and was killed") from None
            except BaseException:
                process.kill()
                raise
    try:
        report = json.loads(out)
    except ValueError:
        lines = err.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise SandboxError(f"the sandbox failed: {lines[-1]}") from None
    if "broken" in report:
        raise SandboxError(
            f"the sandbox for generated programs cannot be set up here ({report['broken']}); it "
            "needs Linux namespaces: run as root with CAP_SYS_ADMIN or allow user namespaces. "
            "Nothing was run"
        )
    return Outcome(report["status"], report["seconds"], report["stdout"], report["stderr"])


def check() -> None:
    """Raise `SandboxError` unless the sandbox works on this machine."""
    done = run_program({"main.py": "print('ready')"}, ["main.py"], Limits(seconds=10))
    if done.stdout != "ready\n":
        raise SandboxError(
            f"the sandbox for generated programs does not work here: {done.stderr.strip()[-200:]}"
        )
