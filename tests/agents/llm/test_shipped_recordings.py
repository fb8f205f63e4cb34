"""The recordings that ship replay without a network, and hold nothing that they must not."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from agents.llm.recording import SHIPPED
from harness.bench import run_bench
from harness.suite import load_suite
from tools.record_llm import MARKS, PAGE, SUITE, Cell, cells, markdown, read_suite

FILES = sorted(SHIPPED.rglob("*.jsonl"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a replay needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_there_is_a_recording_for_every_search_of_the_suite() -> None:
    names = {f"{cell.agent.name}-{cell.table}-{cell.seed}.jsonl" for cell in cells(read_suite())}
    assert names == {path.name for path in FILES}


@pytest.mark.parametrize(
    "cell", cells(read_suite()), ids=lambda cell: f"{cell.agent.name}-{cell.table}"
)
def test_a_recorded_search_replays_whole_and_the_same(cell: Cell) -> None:
    found = cell.search()
    assert not found.aborted, found.finished_early
    assert len(found.trials) == cell.trials
    assert found.usage["calls"] > 0
    assert cell.search().trials == found.trials


def test_the_page_says_what_the_recordings_hold() -> None:
    listing = PAGE.read_text(encoding="utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    assert listing.strip() == markdown(cell.search() for cell in cells(read_suite()))


def test_the_suite_puts_them_on_the_leaderboard(tmp_path: Path) -> None:
    suite = load_suite(SUITE)
    bench = run_bench(suite, out=tmp_path / "out", jobs=1)
    assert not bench.failed
    assert set(bench.summary["agent"]) == {agent.shown for agent in suite.agents}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_key_no_header_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?i)sk-[a-z0-9]{8}|api[-_]?key|authorization|bearer|https?://", text)
    for line in text.splitlines():
        assert json.loads(line)["model"] == path.parent.name
