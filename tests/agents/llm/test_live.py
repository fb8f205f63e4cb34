"""A live search by every agent, at the server that `AGENTTTS_BASE_URL` and `AGENTTTS_MODEL` name or
else at a real `vllm serve` with a small real model.

Nothing is asserted about how well the model does: a weak one may give nothing but invalid replies.
`-s` shows its validity rate, repeats and result.
"""

from __future__ import annotations

import os

import pytest

from agents import available
from harness.search import run_search
from lookup_tables import load
from tests.conftest import SERVED

NAMES = sorted(name for name, info in available().items() if info.llm)
TRIALS = 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint(request: pytest.FixtureRequest) -> dict[str, str]:
    """Model and address."""
    model, url = os.environ.get("AGENTTTS_MODEL"), os.environ.get("AGENTTTS_BASE_URL")
    if model and url:
        return {"model": model, "base_url": url}
    return {"model": SERVED, "base_url": request.getfixturevalue("vllm_server")}


@pytest.mark.parametrize("name", NAMES)
def test_a_live_search_is_recorded_and_replays(name, tmp_path, endpoint):
    table, path = load("math"), str(tmp_path / "calls.jsonl")
    settings = {"max_output_tokens": 256, "max_history": 8, "max_tokens": 200_000}
    live = run_search(table, name, trials=TRIALS, settings={**settings, **endpoint, "record": path})
    assert not live.aborted, live.finished_early
    assert live.trials
    assert live.usage["tokens_in"] > 0
    assert live.usage["estimated_calls"] == 0
    again = run_search(table, name, trials=TRIALS, settings={**settings, "replay": path})
    assert again.trials == live.trials
    assert again.usage == live.usage
    use, best = live.usage, live.incumbent
    print(
        f"{name}: {use['calls']:.0f} calls, {use['repairs']:.0f} repairs, {use['proposals']:.0f} "
        f"proposals, {use['invalid']:.0f} invalid, {use['repeated']:.0f} repeated; best "
        f"{None if best is None else best.score} of {live.optimum.score}"
    )
