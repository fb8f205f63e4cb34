"""Traces that must not change by accident: what each agent asks of fixed tables, by seed.

After a change that is meant to change them: `make golden`, and say why in the commit.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness import run_search
from simulator import Configuration, LookupTable

FOLDER = Path(__file__).parent
STORED = ("random", "grid", "insight")
"""Agents whose asks come from arithmetic that is the same on every machine."""

SAME_ON_ONE_MACHINE = (*STORED, "gp")
"""And those whose linear algebra may round differently elsewhere."""

SEARCHES: tuple[dict[str, Any], ...] = (
    {"seed": 0},
    {"seed": 1, "workers": 4},
    {"seed": 2, "budget": 60, "duplicates": "free"},
)


def table() -> LookupTable:
    """Two stages that trade budget, with a hole; every figure is a ratio of small integers."""

    def score(configuration: Configuration) -> float | None:
        first, second = configuration.choices
        if first.model == "large" and second.samples == 5:
            return None
        quality = {"small": 3, "large": 5}
        gain = quality[first.model] * first.samples / (first.samples + 4)
        rise = quality[second.model] * second.samples / (second.samples + 10)
        return (gain + rise - second.samples**2 / 4000) / 10

    def seconds(configuration: Configuration) -> float:
        first, second = configuration.choices
        return 10.0 * first.samples + 3.0 * second.samples + (5.0 if first.model == "large" else 0)

    return LookupTable.from_function(
        {"find": [1, 2, 5, 10, 20], "answer": [1, 2, 5, 10, 20, 50, 100]},
        score,
        test=lambda c: None if score(c) is None else score(c) / 2,
        seconds=seconds,
    )


def trace(agent: str) -> list[dict[str, Any]]:
    """What one agent does in each of `SEARCHES`."""
    out = []
    for search in SEARCHES:
        result = run_search(table(), agent, trials=25, **{"budget": 500, **search})
        out.append(
            {
                "search": search,
                "optimum": str(result.optimum.configuration),
                "incumbent": str(result.incumbent.asked) if result.incumbent else None,
                "test_score": _round(result.test_score),
                "trials_to_optimum": result.trials_to_optimum,
                "search_hours": _round(result.search_hours),
                "trials": [
                    [
                        trial.index, str(trial.asked), str(trial.answered or ""),
                        _round(trial.score), _round(trial.cost), _round(trial.clock),
                    ]
                    for trial in result.trials
                ],
            }
        )  # fmt: skip
    return out


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.9g}")


def _text(agent: str) -> str:
    searches = []
    for search in trace(agent):
        rows = ",\n  ".join(json.dumps(row) for row in search.pop("trials"))
        head = json.dumps(search)
        searches.append(f'{head[:-1]}, "trials": [\n  {rows}\n]}}')
    return "[\n" + ",\n".join(searches) + "\n]\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True)
    parser.add_argument("agents", nargs="*", default=STORED)
    for agent in parser.parse_args().agents:
        (FOLDER / f"{agent}.json").write_text(_text(agent), encoding="utf-8")


if __name__ == "__main__":
    main()
