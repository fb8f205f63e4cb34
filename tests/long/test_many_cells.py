"""A bench of 100,000 cells in one folder: linear in time, flat in memory, resumed in seconds.

Agents and tables are trivial, so that what is measured is the bench's own: planning, dispatch, one
file a cell, reading them back, results and page. Ratios to a bench of a tenth the size, in seconds
of the processor: other programs of the machine must not fail it. A process of its own for each, so
that its peak of memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCH = """
import json, resource, sys, time
from dataclasses import replace

from harness.bench import run_bench
from simulator import LookupTable
from tests.memory import peak_mib


def table(k):
    made = LookupTable.from_function(
        {"retrieve": [1, 2, 4, 8], "answer": [1, 2, 4]},
        lambda c: 1 / (1 + abs(c.choices[0].samples - k % 5) + c.choices[1].samples),
    )
    return replace(made, task=made.task.model_copy(update={"name": f"toy-{k}"}))


if __name__ == "__main__":
    tables, out = [table(k) for k in range(int(sys.argv[1]))], sys.argv[2]
    begin, first = time.perf_counter(), []

    def worked():
        # Seconds of the processor: of this process, and of the workers that have ended.
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def seen(progress):
        if not first:
            first.append(worked())

    bench = run_bench(
        out=out, agents=["random", "grid"], tables=tables, jobs=2, seeds=100, trials=2,
        budgets=[float(b) for b in range(200, 300, 10)], on_progress=seen,
    )
    print(json.dumps({
        "cells": bench.total, "resumed": bench.resumed, "failed": len(bench.failed),
        "seconds": time.perf_counter() - begin, "worked": worked(), "until_first": first[0],
        "mib": peak_mib(),
    }))
"""


def bench(tables: int, out: Path) -> dict[str, float]:
    script = out.parent / "bench.py"
    script.write_text(BENCH, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(tables), str(out)],
        capture_output=True, text=True, timeout=3600, check=False, cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "HOME": str(out.parent), "PYTHONPATH": "."},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(tables, {key: round(value, 1) for key, value in found.items()})
    return found


def test_a_hundred_thousand_cells(tmp_path: Path) -> None:
    tenth, whole = bench(5, tmp_path / "tenth"), bench(50, tmp_path / "whole")
    assert (tenth["cells"], whole["cells"]) == (10_000, 100_000)
    assert tenth["failed"] == whole["failed"] == 0
    # Ten times the cells; what a bench takes whatever its size makes it less.
    assert whole["worked"] < 12 * tenth["worked"]
    # A cell leaves its two trials and its run in the results, a kilobyte or two with the page's
    # work on them, and nothing else.
    assert (whole["mib"] - tenth["mib"]) * 2**20 / 90_000 < 3072
    for lost in list((tmp_path / "whole" / "cells").iterdir())[:50]:
        lost.unlink()
    again = bench(50, tmp_path / "whole")
    assert again["resumed"] == 100_000 - 50
    assert again["failed"] == 0
    # Until the first of the missing cells runs: tables planned, all files read.
    assert again["until_first"] < whole["worked"] / 5
