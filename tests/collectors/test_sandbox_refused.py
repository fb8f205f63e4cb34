"""Where namespaces are forbidden nothing is run; and a user without privileges is no exception."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.errors import SandboxError
from collectors.sandbox import run_program

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is of Linux alone")

PRIVILEGES = """
import ctypes
forbidden = ctypes.CDLL(None).mount(b"/", b"/box", None, 4096, None) == -1
print("ran without privileges" if forbidden else "ran with privileges")
"""
SIGNALS = """
import os, signal, time
for number in signal.Signals:
    try:
        os.kill(1, number)
        os.kill(os.getppid(), number)
    except OSError:
        pass
time.sleep(0.2)
print("nobody minded")
"""
TRY = """
import sys
from collectors.errors import SandboxError
from collectors.sandbox import run_program
try:
    done = run_program({"main.py": sys.argv[1]}, ["main.py"])
    print(done.stdout, end="")
except SandboxError as error:
    print("refused:", error)
"""


def tried(*before: str, program: str = PRIVILEGES) -> str:
    """What a process says that tries the sandbox; `before` is what starts it."""
    done = subprocess.run(
        [*before, sys.executable, "-B", "-c", TRY, program], cwd=ROOT, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def namespaces() -> bool:
    """Whether this process may make user namespaces."""
    done = subprocess.run(["unshare", "--user", "--map-root-user", "true"], check=False)
    return done.returncode == 0


@LINUX
def test_nothing_runs_where_namespaces_are_forbidden() -> None:
    """For real: in a user namespace that allows no more process spaces. Where this machine forbids
    them itself, that is the test."""
    forbid = 'echo 0 > /proc/sys/user/max_pid_namespaces && exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    said = tried(*before) if namespaces() else tried()
    if not namespaces() and os.geteuid() == 0 and said.startswith("ran"):
        pytest.skip("this root may make every namespace but users'")
    assert said.startswith("refused: the sandbox for generated programs cannot be set up here")
    assert "Nothing was run" in said
    assert "ran with" not in said


@LINUX
def test_another_system_than_linux_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="needs Linux, not darwin"):
        run_program({"main.py": ""}, ["main.py"])


@LINUX
def test_a_user_without_privileges_runs_it_in_a_user_namespace() -> None:
    before = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if subprocess.run([*before, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine forbids user namespaces, or its unshare is too old")
    assert tried(*before) == "ran without privileges\n"
    assert tried(*before, program=SIGNALS) == "nobody minded\n"
