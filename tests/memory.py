"""The memory of the process that asks, for programs that tests start to measure them."""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """Most memory that this process has held, in MiB.

    Not `ru_maxrss`, which begins with the peak of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
