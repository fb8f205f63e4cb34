"""What a sample was drawn on, in words, for the manifest."""

from __future__ import annotations

import importlib
import os
import platform
from pathlib import Path


def describe_hardware() -> str:
    """The accelerators that PyTorch sees, otherwise the processor, its cores and memory."""
    try:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
    except ImportError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"
