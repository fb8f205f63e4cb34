"""Every shipped agent that needs no language model keeps the public contract."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from agents import available
from agents.testing import AgentContract

IMPORTS = {"optimisers": ("optuna", "cmaes", "nevergrad"), "smac": ("smac", "ConfigSpace")}
SLOW = {"smac": 12, "nevergrad": 15, "insight": 15}
NAMES = sorted(info.name for info in available().values() if not info.llm)


def _contract(name: str) -> type[AgentContract]:
    members = {
        "agent": name,
        "trials": SLOW.get(name, 25),
        "__module__": __name__,
    }
    made = type(f"Test{name.title()}", (AgentContract,), members)
    extra = available()[name].extra
    missing = [p for p in IMPORTS.get(extra, ()) if importlib.util.find_spec(p) is None]
    skip: Callable[[type], type] = pytest.mark.skipif(
        bool(missing), reason=f"{name} needs {', '.join(missing)}"
    )
    return skip(made)


for _name in NAMES:
    _made = _contract(_name)
    globals()[_made.__name__] = _made


def test_every_agent_is_here() -> None:
    assert {
        "random",
        "grid",
        "gp",
        "tpe",
        "genetic",
        "cmaes",
        "nevergrad",
        "smac",
        "hyperband",
    } <= (set(NAMES))
