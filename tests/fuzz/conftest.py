"""Every fuzz target has a folder, a cache and a watch on its memory."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import guard


@pytest.fixture(autouse=True)
def watched(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The cache lies apart, memory is watched, and a hang in native code ends the process."""
    monkeypatch.setenv("AGENTTTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    faulthandler.dump_traceback_later(4 * 3600, exit=True)
    try:
        with guard.steady_memory():
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()
