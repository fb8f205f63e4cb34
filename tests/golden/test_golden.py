"""The same seed gives the same trace: as stored, in another process, in several jobs."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.golden.traces import FOLDER, SAME_ON_ONE_MACHINE, STORED, trace


@pytest.mark.parametrize("agent", STORED)
def test_traces_are_as_stored(agent: str) -> None:
    stored = json.loads((FOLDER / f"{agent}.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(trace(agent))) == stored, "meant to change? run `make golden`"


def test_every_stored_trace_is_checked() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(STORED)


def test_traces_are_the_same_in_other_processes() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        elsewhere = list(pool.map(trace, [*SAME_ON_ONE_MACHINE, "random"]))
    assert elsewhere == [trace(agent) for agent in (*SAME_ON_ONE_MACHINE, "random")]


def test_seeds_matter() -> None:
    first, second, _ = trace("random")
    assert [row[1] for row in first["trials"]] != [row[1] for row in second["trials"]]
