"""The written command-line reference is what the program says of itself today."""

from __future__ import annotations

import subprocess
import sys

from tools.write_cli_reference import PAGE


def test_command_line_page_is_current() -> None:
    # In a process of its own: click keeps a command's help option as it was first shown.
    code = "from tools.write_cli_reference import page; print(page(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=PAGE.parent.parent.parent,
    )
    assert PAGE.read_text(encoding="utf-8") == done.stdout, (
        "run: python -m tools.write_cli_reference"
    )
