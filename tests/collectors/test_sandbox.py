"""Generated programs that try to get out, or to take too much."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from collectors import sandbox
from collectors.errors import SandboxError
from collectors.sandbox import Limits, Outcome, run_program

try:
    sandbox.check()
except SandboxError as error:
    pytest.skip(f"no sandbox here: {error}", allow_module_level=True)


ROOT = Path(__file__).parents[2]


def run(source: str, **limits: float) -> Outcome:
    return run_program({"main.py": source}, ["main.py"], Limits(**limits))  # type: ignore[arg-type]


def test_a_program_of_several_files_runs() -> None:
    files = {
        "main.py": "from lib.tool import f\nprint(f(20))",
        "lib/tool.py": "f = lambda x: x + 1",
    }
    done = run_program(files, ["main.py"])
    assert (done.status, done.stdout) == (0, "21\n")


def test_a_failing_program_tells_its_error() -> None:
    done = run("raise ValueError('broken')")
    assert done.status == 1
    assert "ValueError: broken" in done.stderr


def test_no_network_not_even_to_this_machine() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        done = run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
        assert done.status == 1
        assert "unreachable" in done.stderr or "refused" in done.stderr
    done = run("import socket; print(socket.if_nameindex())")
    assert done.stdout.strip() in ("[(1, 'lo')]", "[]")


def test_the_home_folder_is_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    done = run(
        "import os, pathlib\n"
        f"for p in ({str(secret)!r}, {str(Path.home() / '.bashrc')!r}, '/etc/passwd'):\n"
        "    print(os.path.exists(p))\n"
        "print(os.environ.get('HOME'), sorted(os.environ))\n"
    )
    assert done.stdout.splitlines()[:3] == ["False"] * 3
    assert "/box" in done.stdout
    assert not {"OPENAI_API_KEY", "PWD", "USER"} & set(done.stdout.split("'"))


def test_nothing_outside_can_be_written(tmp_path: Path) -> None:
    done = run("open('/usr/lib/evil.py', 'w')")
    assert done.status == 1
    assert "Read-only" in done.stderr or "Permission" in done.stderr
    target = str(tmp_path / "x")
    run(f"import os\nos.makedirs({str(tmp_path)!r}, exist_ok=True)\nopen({target!r}, 'w')")
    assert not (tmp_path / "x").exists()


def test_other_processes_are_not_seen_nor_killed() -> None:
    done = run(
        "import os\n"
        f"for pid in ({os.getpid()}, 1):\n"
        "    try:\n        os.kill(pid, 9)\n        print('killed')\n"
        "    except OSError as e:\n        print(type(e).__name__)\n"
        "print(os.getpid() < 10)\n"
    )
    assert done.stdout.splitlines()[0] == "ProcessLookupError"
    assert done.status == 0
    assert done.stdout.splitlines()[-1] == "True"


def test_privileges_cannot_be_gained() -> None:
    done = run(
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None)\n"
        "print(libc.unshare(0x10000000), libc.mount(b'/', b'/box', None, 4096, None))\n"
        "try:\n    os.setuid(0); open('/dev/null').close(); os.chroot('/box'); print('root')\n"
        "except OSError as e:\n    print(type(e).__name__)\n"
    )
    assert done.stdout.splitlines() == ["-1 -1", "PermissionError"]


def test_a_fork_bomb_is_contained_and_leaves_nothing() -> None:
    begin = time.monotonic()
    source = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    mark = f"bomb-{os.getpid()}"
    done = run_program({"main.py": source}, ["main.py", mark], Limits(seconds=1))
    assert done.timed_out
    assert time.monotonic() - begin < 10
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if mark in _read(p)]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_the_number_of_processes_is_bound() -> None:
    done = run(
        "import os, time\nn = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(5); os._exit(0)\n"
        "        n += 1\n"
        "except OSError: print(n)\n",
        processes=8,
    )
    assert 0 < int(done.stdout) < 8


def test_memory_is_bound() -> None:
    done = run("x = bytearray(3 * 10**9)", memory=256 * 2**20)
    assert done.status == 1
    assert "MemoryError" in done.stderr


def test_disk_space_and_files_are_bound() -> None:
    done = run("f = open('a', 'wb')\nwhile True: f.write(b'x' * 10**6)", disk=8 * 2**20)
    assert done.status not in (0, None)
    done = run("for i in range(100_000): open(str(i), 'w').close()", files=300)
    assert done.status == 1
    assert "No space left" in done.stderr


def test_endless_output_is_cut() -> None:
    done = run("while True: print('x' * 1000)", disk=4 * 2**20, seconds=3)
    assert len(done.stdout) <= 16_384


@pytest.mark.parametrize("source", ["while True: pass", "input()", "import time; time.sleep(60)"])
def test_the_time_limit_ends_a_program_that_goes_on(source: str) -> None:
    done = run(source, seconds=0.4)
    assert done.timed_out
    assert done.seconds < 3


def test_background_processes_end_with_the_program() -> None:
    done = run(
        "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(30)\nprint('parent')\n"
    )
    assert (done.status, done.stdout) == (0, "parent\n")
    assert done.seconds < 3


def test_file_names_cannot_leave_the_folder() -> None:
    with pytest.raises(SandboxError, match="leaves the program's folder"):
        run_program({"../../x.py": ""}, ["x.py"])


@pytest.mark.parametrize(
    "files",
    [
        {"a" * 300 + ".py": ""}, {"a.py": "", "a.py/b.py": ""}, {"a\0.py": ""},
        {"a\ud800.py": ""}, {f"{n}.py": "" for n in range(600)}, {"b.txt": "x" * 2_000_000},
    ],
    ids=["long", "file and folder", "null", "surrogate", "many", "large"],
)  # fmt: skip
def test_files_that_cannot_be_are_the_fault_of_the_program_alone(files: dict[str, str]) -> None:
    done = run_program({"main.py": "", **files}, ["main.py"], Limits(disk=2**20))
    assert done.status == 126
    assert done.stderr.startswith("cannot write the program's file '")


def test_links_and_proc_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    done = run(
        "import os\n"
        f"os.symlink({str(tmp_path / 'secret.txt')!r}, 'link')\n"
        f"for path in ('link', '/proc/1/environ', '/proc/self/environ', {'../' * 9 + 'tmp'!r}):\n"
        "    try:\n"
        "        print(os.listdir(path) if os.path.isdir(path) else open(path).read())\n"
        "    except OSError as error:\n"
        "        print('no:', error.strerror)\n"
    )
    assert done.stdout == "no: No such file or directory\n" * 4


def test_mounts_below_the_system_folders_are_read_only_too() -> None:
    """As of a container that mounts a shared folder below /usr: writable by all outside."""
    program = "open('/usr/share/doc/evil', 'w')"
    code = (
        "from collectors.sandbox import run_program\n"
        "open('/usr/share/doc/mine', 'w').close()\n"
        f"print(run_program({{'main.py': {program!r}}}, ['main.py']).stderr)"
    )
    mount = 'mount -t tmpfs -o mode=0777 shared /usr/share/doc && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"mounting needs root: {done.stderr[-200:]}")
    assert "Read-only file system: '/usr/share/doc/evil'" in done.stdout


def test_a_machine_without_namespaces_is_told_and_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jail = tmp_path / "jail.py"
    jail.write_text("import json, sys; json.dump({'broken': 'unshare: not permitted'}, sys.stdout)")
    monkeypatch.setattr(sandbox, "_JAIL", jail)
    with pytest.raises(SandboxError, match=r"cannot be set up here \(unshare: not permitted\)"):
        run("print(1)")


def test_programs_run_side_by_side() -> None:
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(run(f"print({i})").stdout))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["0\n", "1\n", "2\n", "3\n"]
