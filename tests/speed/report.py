"""What `make speed` measured, as a table in Markdown.

    python -m tests.speed.report .venv-speed/speed.json docs/speed.md [BENCH FOLDER]

Every row is a ratio of two figures of the same run; the best of the rounds is taken on both sides,
because other programs only ever make a round slower.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from tests.speed.regret import FILE as REGRETS
from tests.speed.regret import noted

PACKAGES = (
    "numpy", "numba", "polars", "pandas", "syne-tune", "optuna", "torch", "scikit-optimize",
)  # fmt: skip


HOW = """Written by `make speed`, which installs the peers into `.venv-speed`, times both sides in
one run and takes the best round of each. Nothing here is asserted by a test. Rows that a run did
not measure are left out. What `gp` and its peers find is measured apart, by
`.venv-speed/bin/python -m tests.speed.regret 50`, which takes an hour; its last figures are shown.
Where the load average is above 1, other programs ran too: rounds of seconds waited for them more
than rounds of milliseconds, so that ratios to slow peers come out too high, and some others too
low.

The gather reads one score for each of a million cell indices that are given to it. From a table of
a million cells it waits for memory, as lookups there do. A table of 3,150 cells lies in the
innermost cache, and the gather hardly waits at all, while lookups still read 32 MB of
configurations. Both are shown."""


PROCESSOR_TIME = """Processor time of all threads together, which does not count waiting for other
programs. It is alike where threads are not in each other's way:"""


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` name benchmarks; `rate` shows items a second and not seconds an item."""

    what: str
    against: str
    ours: str
    theirs: str
    goal: str
    rate: bool = False


ROWS = (
    Row(
        "`evaluate` of one configuration off the grid, `nearest`, with its trial",
        "pandas: filter 3,150 rows, add distances, sort",
        "test_evaluate_nearest", "test_evaluate_nearest_by_pandas", "500 times faster",
    ),
    Row(
        "the same, `exact`",
        "Syne Tune `BlackboxTabular` by configuration",
        "test_evaluate_exact", "test_evaluate_exact_by_syne_tune", "80 times faster",
    ),
    Row(
        "`evaluate_many`, 1e6 configurations, `nearest`, a budget that binds, a table of 1e6 cells",
        "a bare Numba gather from 1e6 cells",
        "test_evaluate_many[million-int64-1]", "test_bare_gather[million]",
        "a fifth of its rate", rate=True,
    ),
    Row(
        "the same, on two threads", "the same gather on one thread",
        "test_evaluate_many[million-int64-2]", "test_bare_gather[million]",
        "a fifth of its rate", rate=True,
    ),
    Row(
        "the same, 32-bit configurations, one thread", "the same gather",
        "test_evaluate_many[million-int32-1]", "test_bare_gather[million]",
        "a fifth of its rate", rate=True,
    ),
    Row(
        "the same, a table of 3,150 cells, one thread", "a gather from 3,150 cells",
        "test_evaluate_many[small-int64-1]", "test_bare_gather[small]", "none", rate=True,
    ),
    Row(
        "the same, on two threads", "the same gather on one thread",
        "test_evaluate_many[small-int64-2]", "test_bare_gather[small]", "none", rate=True,
    ),
    Row(
        "a whole search of 400 trials: records, simulated clock, 4 workers, `random`",
        "Syne Tune's simulator backend with RandomSearch",
        "test_search", "test_search_by_syne_tune", "50 times the trials", rate=True,
    ),
    Row(
        "the same, the problem made ready once, as in a bench", "the same",
        "test_search_of_a_ready_problem", "test_search_by_syne_tune", "50 times the trials",
        rate=True,
    ),
    Row(
        "random search, 50 trials x 1e6 seeds, best-so-far curves, one thread",
        "the same vectorised in NumPy",
        "test_curves[1]", "test_curves_by_numpy", "twice the rate", rate=True,
    ),
    Row(
        "the same, two threads", "the same in NumPy",
        "test_curves[2]", "test_curves_by_numpy", "growing with threads", rate=True,
    ),
    Row(
        "agent `gp`: mean of ask and tell",
        "Optuna's GPSampler, told the grid and each cost as a constraint",
        "test_gp", "test_gp_by_optuna", "25 times faster",
    ),
    Row(
        "agent `gp`: mean of ask and tell",
        "scikit-optimize, told the grid; it knows no constraints",
        "test_gp", "test_gp_by_scikit_optimize", "25 times faster",
    ),
    Row(
        "loading a table of 8 million cells on two splits",
        "Polars reading its Parquet",
        "test_eight_million_cells_cached", "test_eight_million_cells_read_by_polars", "as fast",
    ),
)  # fmt: skip


def per_item(benchmark: dict[str, Any]) -> float:
    """Seconds an item, in the best round."""
    best = float(benchmark["stats"]["min"])
    return best / float(benchmark["extra_info"].get("items", 1))


def shown(seconds: float, rate: bool) -> str:
    if rate:
        number, unit = 1 / seconds, "/s"
        for size, prefix in ((1e6, "M"), (1e3, "k")):
            if number >= size:
                return f"{number / size:.3g} {prefix}{unit}"
        return f"{number:.3g} {unit}"
    for size, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds / 1e-6:.3g} us"


def ratio(ours: float, theirs: float) -> str:
    times = theirs / ours
    return f"{times:,.0f} x" if times >= 10 else f"{times:.2g} x"


def table(benchmarks: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| what | against | here | there | ratio | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in ROWS:
        if row.ours not in benchmarks or row.theirs not in benchmarks:
            continue
        ours, theirs = per_item(benchmarks[row.ours]), per_item(benchmarks[row.theirs])
        lines.append(
            f"| {row.what} | {row.against} | {shown(ours, row.rate)} | {shown(theirs, row.rate)} "
            f"| {ratio(ours, theirs)} | {row.goal} |"
        )
    return lines


def regret(searches: list[dict[str, Any]]) -> list[str]:
    """Over the seeds that every agent has searched."""
    by_agent: dict[str, dict[int, float]] = {}
    for search in searches:
        by_agent.setdefault(search["agent"], {})[search["seed"]] = search["regret"]
    seeds = set.intersection(*map(set, by_agent.values())) if len(by_agent) > 1 else set()
    if len(seeds) < 2:
        return []
    lines = []
    for agent, regrets in by_agent.items():
        values = [regrets[seed] for seed in sorted(seeds)]
        error = stdev(values) / len(values) ** 0.5
        found = sum(value == 0 for value in values)
        lines.append(
            f"| {agent} | {fmean(values):.4f} | {error:.4f} | {median(values):.4f} | {found} |"
        )
    head = f"Regret (optimum less the best score) after {searches[0]['trials']} trials"
    return [
        "",
        f"{head}, the same {len(seeds)} seeds for all:",
        "",
        "| agent | mean regret | standard error | median | optimum found |",
        "| --- | --- | --- | --- | --- |",
        *lines,
    ]


def threads(benchmarks: dict[str, dict[str, Any]]) -> list[str]:
    """Processor time on one and two threads: alike where threads are in nobody's way."""
    lines = []
    for label, name in (
        ("`evaluate_many`, 1e6 configurations, 1e6 cells", "test_evaluate_many[million-int64-{}]"),
        ("the same, 3,150 cells", "test_evaluate_many[small-int64-{}]"),
        ("random search, 50 trials x 1e6 seeds", "test_curves[{}]"),
    ):
        pair = [benchmarks.get(name.format(count)) for count in (1, 2)]
        if all(pair):
            taken = [entry["extra_info"]["processor_seconds"] for entry in pair if entry]
            lines.append(f"| {label} | {shown(taken[0], False)} | {shown(taken[1], False)} |")
    if lines:
        head = ["| what | one thread | two threads |", "| --- | --- | --- |"]
        lines = [
            "",
            PROCESSOR_TIME,
            "",
            *head,
            *lines,
        ]
    return lines


def memory(benchmarks: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for name, label in (
        ("test_eight_million_cells_cached", "8 million cells"),
        ("test_outcomes_of_fifty_thousand_cells_cached", "50,000 cells with outcomes"),
    ):
        if name in benchmarks:
            info = benchmarks[name]["extra_info"]
            lines.append(
                f"| {label} | {info['build_seconds']:.2g} s | {info['build_peak_mib']:,.0f} MiB "
                f"| {info['mib_of_each_further_process']:.2g} MiB |"
            )
    if lines:
        head = [
            "| table | first load here | its peak memory | private to each further process |",
            "| --- | --- | --- | --- |",
        ]
        lines = ["", "Tables on disk:", "", *head, *lines]
    return lines


def bench_split(folder: Path | None) -> str:
    """How a bench left in `folder` spent its time, from the record that it leaves there."""
    if folder is None or not (folder / "bench.json").exists():
        return "`make bench` ends by saying how its own time was split."
    about = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    agents, lookups = float(about["agent_seconds"]), float(about["lookup_seconds"])
    share = 100 * lookups / (agents + lookups) if agents + lookups > 0 else 0.0
    return (
        f"`{about['command']}`, {about['cells']} cells, ended {about['date']} on "
        f"{about['machine']}: {about['seconds']:.0f} s of real time; summed over its processes "
        f"{agents:.0f} s in agents and {lookups:.1f} s in lookups, {share:.2f} % of the two."
    )


def main(source: Path, target: Path, bench: Path | None = None) -> None:
    data = json.loads(source.read_text(encoding="utf-8"))
    benchmarks = {entry["name"]: entry for entry in data["benchmarks"]}
    cpu = data["machine_info"].get("cpu", {}).get("brand_raw") or platform.processor()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = (
        f"Machine: {cpu}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"{platform.system()}; {packages}. Measured {data['datetime'][:10]}, load average "
        f"{os.getloadavg()[0]:.1f} at the end."
    )
    text = "\n".join(
        [
            "# Speed",
            "",
            HOW,
            "",
            machine,
            "",
            *table(benchmarks),
            *threads(benchmarks),
            *regret(noted(source.with_name(REGRETS.name))),
            *memory(benchmarks),
            "",
            "The bench itself:",
            "",
            bench_split(bench),
            "",
        ]
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)
    print(text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
