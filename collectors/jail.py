# Plain system calls stand next to mounts here, and nothing but the standard library is there.
# ruff: noqa: PTH102, PTH103, PTH112, PTH114, PTH115, PTH120, PTH123, PTH211, SIM105, S606
"""The inside of the sandbox: run as a script of its own, with the standard library alone.

Reads a JSON order on standard input, writes a JSON report on standard output. See
`collectors.sandbox` for what it promises.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import resource
import signal
import stat
import sys
import time
from typing import Any

NEWNS, NEWUTS, NEWIPC = 0x20000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
SET_PDEATHSIG, SET_DUMPABLE, CAPBSET_DROP, SET_SECUREBITS, SET_NO_NEW_PRIVS = 1, 4, 24, 28, 38
KEPT = 16_384
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32")
DEVICES = ("null", "zero", "urandom")

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    done = libc.mount(
        source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None
    )
    check(done, f"mount {target}")


def bind(source: str, root: str, *, readonly: bool = True) -> None:
    """Show `source` at its own path under `root`."""
    target = root + source
    if os.path.islink(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    mount(source, target, "", BIND | REC)
    if readonly:
        # A remount reaches one mount alone, so each that lies below is remounted as well.
        for place in mounts_at(target):
            # A remount may not drop flags that the source was mounted with.
            held = os.statvfs(place).f_flag & (NOSUID | NODEV | NOEXEC | 1024 | 2048)
            mount("", place, "", REMOUNT | BIND | RDONLY | NOSUID | held)


def mounts_at(folder: str) -> list[str]:
    """`folder` and the mount points below it; the kernel writes odd characters in octal."""
    with open("/proc/self/mountinfo", "rb") as handle:
        fields = [line.split(b" ")[4] for line in handle]
    places = {re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), f) for f in fields}
    below = os.fsencode(folder.rstrip("/") + "/")
    return [folder, *sorted(os.fsdecode(place) for place in places if place.startswith(below))]


class UnwritableError(Exception):
    """The program's files cannot be: a fault of the program, not of this machine."""


def write(files: dict[str, str], folder: str) -> None:
    for name, text in files.items():
        path = os.path.normpath(f"{folder}/{name}")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8", errors="replace") as handle:
                handle.write(text)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UnwritableError(f"cannot write the program's file {name[:80]!a}: {why}") from None


def build(order: dict[str, Any], uid: int) -> None:
    """Make the new root in a tmpfs and enter it."""
    root = order["root"]
    mount("", "/", "", REC | PRIVATE)
    size = f"size={order['disk']},nr_inodes={order['files']},mode=0755"
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, size)
    prefix = os.path.realpath(sys.base_prefix)
    inside = any(prefix == s or prefix.startswith(s + "/") for s in SYSTEM)
    for path in (*SYSTEM, *(() if inside else (prefix,))):
        if os.path.lexists(path):
            bind(path, root)
    for name in DEVICES:
        bind(f"/dev/{name}", root, readonly=False)
    os.mkdir(root + "/box")
    os.mkdir(root + "/out")
    for name in order["program"]:
        if not os.path.normpath(f"{root}/box/{name}").startswith(f"{root}/box/"):
            raise OSError(errno.EINVAL, f"file name {name!r} leaves the program's folder")
    write(order["program"], root + "/box")
    if uid:
        for folder, _, names in os.walk(root + "/box"):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                os.chown(path, uid, uid)
    os.chroot(root)
    os.chdir("/box")


def drop(uid: int) -> None:
    """Give up every privilege for good."""
    for capability in range(64):
        libc.prctl(CAPBSET_DROP, capability, 0, 0, 0)
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    else:
        libc.prctl(SET_SECUREBITS, 0b101111, 0, 0, 0)

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    empty = (ctypes.c_uint32 * 6)()
    check(libc.capset(ctypes.byref(Header(0x20080522, 0)), empty), "capset")
    check(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def limit(order: dict[str, Any]) -> None:
    cpu = max(1, int(order["seconds"]) + 1)
    for what, value in (
        (resource.RLIMIT_AS, order["memory"]),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, order["disk"]),
        (resource.RLIMIT_NPROC, order["processes"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (value, value))


def program(order: dict[str, Any], uid: int, stdin: int) -> None:
    """Become the program."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    out = os.open("/out/stdout", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    err = os.open("/out/stderr", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for source, target in ((stdin, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.closerange(3, 4096)
    drop(uid)
    limit(order)
    environment = {"HOME": "/box", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": "/box"}
    python = os.path.realpath(sys.executable)
    os.execve(python, [python, "-B", "-s", "-E", "-S", *order["argv"]], environment)


def tail(name: str) -> str:
    try:
        with open(f"/out/{name}", "rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - KEPT))
            return handle.read(KEPT).decode("utf-8", "replace")
    except OSError:
        return ""


def supervise(order: dict[str, Any], uid: int) -> dict[str, Any]:
    """First process of the new process space: starts the program, waits, kills what is left."""
    # In a user namespace the program has this process's user, and could interrupt it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        build(order, uid)
    except UnwritableError as error:
        return {"status": 126, "seconds": 0.0, "stdout": "", "stderr": f"{error}\n"}
    stdin, held = os.pipe()
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            program(order, uid, stdin)
        except BaseException as error:
            os.write(2, f"sandbox: {error}\n".encode())
        os._exit(127)
    status = None
    while status is None and time.monotonic() - begin < order["seconds"]:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == child:
            status = code
        elif pid == 0:
            time.sleep(0.005)
    seconds = time.monotonic() - begin
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.close(held)
    return {
        "status": None if status is None else os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "stdout": tail("stdout"),
        "stderr": tail("stderr"),
    }


def main() -> None:
    order = json.load(sys.stdin)
    uid = order["uid"] if os.geteuid() == 0 else 0
    spaces = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    report: dict[str, Any]
    try:
        if uid:
            check(libc.unshare(spaces), "unshare")
        else:
            outside_uid, outside_gid = os.geteuid(), os.getegid()
            check(libc.unshare(spaces | NEWUSER), "unshare")
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"0 {outside_uid} 1"),
                ("gid_map", f"0 {outside_gid} 1"),
            ):
                with open(f"/proc/self/{name}", "w") as handle:
                    handle.write(text)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            libc.prctl(SET_DUMPABLE, 0, 0, 0, 0)
            os.close(reading)
            try:
                report = supervise(order, uid)
            except OSError as error:
                report = {"broken": str(error)}
            with os.fdopen(writing, "w") as handle:
                json.dump(report, handle)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as handle:
            text = handle.read()
        os.waitpid(child, 0)
        report = json.loads(text) if text else {"broken": "the sandbox's first process died"}
    except OSError as error:
        report = {"broken": str(error)}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        sys.exit("this is the inside of collectors.sandbox; it takes its order from a pipe")
    main()
