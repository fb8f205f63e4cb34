"""Settings of the wrapped optimisers under one name: `tuning = "best-case"`.

What each library does best with was looked for on generated landscapes by
`tools/tune_baselines.py`, which writes `best_case.toml`; tables that ship were never read. So a
baseline can have its best case, and no table that is reported was tuned on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import UnknownName, UsageError

FILE = Path(__file__).parent / "best_case.toml"
TUNINGS = ("default", "best-case")


@cache
def best_case() -> Mapping[str, Mapping[str, Any]]:
    """Best-case settings by agent."""
    found: dict[str, Mapping[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return found


def tuned(agent: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with `tuning` replaced by what it stands for; what is given besides it wins.

    Raises `UnknownName` for another tuning, `UsageError` for an agent that has none.

    >>> tuned("genetic", {"warm_start": 4})
    {'warm_start': 4}
    """
    rest = {name: value for name, value in settings.items() if name != "tuning"}
    tuning = settings.get("tuning", "default")
    if tuning not in TUNINGS:
        raise UnknownName(f"tuning of agent {agent!r}", str(tuning), TUNINGS)
    if tuning == "default":
        return rest
    if agent not in best_case():
        raise UsageError(f"agent {agent!r} has no best case; these have: {', '.join(best_case())}")
    return {**best_case()[agent], **rest}
