"""Questions about paths whose names come out of a file, a table's or a sweep's."""

from __future__ import annotations

import os
from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether a file is there; False too for a name that no file can have.

    `Path.is_file` raises `OSError` for one that is too long.

    >>> is_file(Path("a" * 5000))
    False
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_link(path: Path) -> bool:
    """Whether a symbolic link is there, in the same way."""
    return os.path.islink(path)  # noqa: PTH114
