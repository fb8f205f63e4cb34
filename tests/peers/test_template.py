"""The template of an agent's package, installed: found by its entry point, by its own name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]


def test_an_installed_copy_is_an_agent_by_name(tmp_path: Path) -> None:
    copy, site = tmp_path / "my_agent", tmp_path / "site"
    shutil.copytree(ROOT / "examples" / "my_agent", copy)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(copy))
    program = ("-c", "from harness.cli import main; main()")
    assert "my-agent" in run(*program, "agents")
    found = json.loads(
        run(*program, "search", "math", "--agent", "my-agent", "--set", "local=0.8",
            "--trials", "10", "--json")
    )  # fmt: skip
    assert len(found["trials"]) == 10
