"""What our own agents ask of a small table, kept so that a change of a trace is never unnoticed.

To accept new traces: `AGENTTTS_REFRESH_GOLDEN=1 python -m pytest tests/agents/test_golden.py`, then
look at the difference. Agents around other libraries are only held to determinism
(`test_contract.py`): their traces change with the library's version.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agents.testing import asked_by_seed

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("agent", ["random", "grid", "gp", "hyperband"])
def test_trace(agent: str, workers: int) -> None:
    asked = {
        str(seed): asked_by_seed(agent, {}, seed=seed, trials=25, workers=workers)
        for seed in (0, 1)
    }
    path = GOLDEN / f"{agent}-{workers}.json"
    if os.environ.get("AGENTTTS_REFRESH_GOLDEN"):
        path.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == asked
