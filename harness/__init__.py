"""Runs, results, measures, report and command line. Imports nothing until a name is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.bench import BenchResult, run_bench
    from harness.search import SearchResult, run_search

__all__ = ["BenchResult", "SearchResult", "run_bench", "run_search"]

_HOMES = {
    "BenchResult": "harness.bench",
    "SearchResult": "harness.search",
    "run_bench": "harness.bench",
    "run_search": "harness.search",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
