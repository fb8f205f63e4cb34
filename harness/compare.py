"""What changed between two benches, and whether it is more than noise.

Runs are paired by seed within each agent, table, budget and cost model. A difference counts as real
where Wilcoxon's test, adjusted by Benjamini and Hochberg for the number of comparisons of a
measure, is below 0.05; the interval is a bootstrap over the pairs. An agent that asks the same in
every seed of both benches, without noise, has one pair on a table, and no luck in it: there any
difference is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import measures, statistics
from harness.report import Results, read_results
from simulator.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

KEY = ("agent", "table", "kind", "budget", "cost_model")
MEASURES: Mapping[str, tuple[str, bool]] = {
    "area": ("normalised regret, mean over a run's trials", True),
    "regret": ("normalised regret at the end of a run", True),
    "test score": ("test score of the final incumbent", False),
}
"""Each measure: what it is, and whether lower is better."""

_SEED = 20_250_894


@dataclass(frozen=True)
class Change:
    """One measure of one agent at one table and budget, or over all (`table` empty).

    `before` and `after` are means over the paired seeds, `mean` with `low` and `high` their
    difference, `p` adjusted, nan for one pair. `verdict` is `better`, `worse`, `noise` (not told
    apart) or `same` (every pair is equal).
    """

    agent: str
    table: str
    kind: str
    budget: float | None
    cost_model: str
    measure: str
    before: float
    after: float
    mean: float
    low: float
    high: float
    p: float
    pairs: int
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """`changes` of each cell's group, `overall` of each agent, and `settings`: what else differs,
    one line each."""

    changes: tuple[Change, ...]
    overall: tuple[Change, ...]
    settings: tuple[str, ...]

    @property
    def real(self) -> list[Change]:
        """Changes that are more than noise."""
        return [change for change in self.changes if change.verdict in ("better", "worse")]

    def rows(self) -> dict[str, Any]:
        """Plain data, as `--json` prints it."""
        return {
            "settings": list(self.settings),
            "overall": [asdict(change) for change in self.overall],
            "changes": [asdict(change) for change in self.changes],
        }


def compare(before: str | Path, after: str | Path) -> Comparison:
    """Compare two folders of benches; raises `UsageError` where they share no run."""
    first, second = read_results(before), read_results(after)
    pairs = _pairs(first, second)
    if not pairs.height:
        raise UsageError(
            f"{before} and {after} share no agent, table, budget and seed: there is nothing to pair"
        )
    return Comparison(
        tuple(_changes(pairs)), tuple(_overall(pairs)), tuple(_settings(first, second, pairs))
    )


def _per_run(results: Results) -> pl.DataFrame:
    """The measures of each run; a trial before the first feasible one has a regret of 1."""
    import polars as pl

    keys = [*KEY, "seed"]
    span = pl.col("optimum") - pl.col("worst")
    lists = results.trials.group_by(keys, maintain_order=True).agg("regret")
    joined = results.runs.join(
        lists.rename({"regret": "regrets"}), on=keys, how="left", maintain_order="left"
    )
    rows = []
    for row in joined.with_columns(span.alias("span")).iter_rows(named=True):
        regrets = [np.nan if value is None else value for value in row["regrets"] or [None]]
        top, low = row["optimum"], row["worst"]
        relative = measures.normalised_regret(top - np.array(regrets), top, low)
        rows.append({
            **{key: row[key] for key in keys},
            "area": float(relative.mean()), "regret": float(relative[-1]),
            "test score": row["test_score"],
        })  # fmt: skip
    types = {"seed": pl.Int64, "area": pl.Float64, "regret": pl.Float64, "test score": pl.Float64}
    schema = {name: types.get(name, pl.String) for name in (*keys, *MEASURES)}
    return pl.DataFrame(rows, schema={**schema, "budget": pl.Float64})


def _pairs(first: Results, second: Results) -> pl.DataFrame:
    """Runs that both benches have; of an agent that draws nothing, the first seed of each group."""
    import polars as pl

    keys = [*KEY, "seed"]
    pairs = _per_run(first).join(
        _per_run(second), on=keys, how="inner", suffix=" after", maintain_order="left"
    )
    exact = sorted(_without_luck(first) & _without_luck(second))
    pairs = pairs.with_columns(pl.col("agent").is_in(exact).alias("exact"))
    once = ~pl.col("exact") | pl.int_range(pl.len()).over(KEY).eq(0)
    return pairs.filter(once)


def _without_luck(results: Results) -> set[str]:
    """Agents whose runs are one run in every seed."""
    quiet = results.about.get("suite", {}).get("noise", "mean") == "mean"
    return set(results.about.get("same_in_every_seed", ())) if quiet else set()


def _changes(pairs: pl.DataFrame) -> list[Change]:
    groups = [
        (dict(zip(KEY, key, strict=True)), part)
        for key, part in pairs.group_by(KEY, maintain_order=True)
    ]
    changes = []
    for measure in MEASURES:
        found = [(group, part, _difference(part, measure)) for group, part in groups]
        adjusted = statistics.false_discoveries([difference.p for _, _, difference in found])
        changes += [
            _change(group, part, measure, difference, float(p))
            for (group, part, difference), p in zip(found, adjusted, strict=True)
            if difference.pairs
        ]
    return changes


def _overall(pairs: pl.DataFrame) -> list[Change]:
    """Each agent over all its pairs, problems weighing by their seeds; p adjusted over agents."""
    agents = [(str(key[0]), part) for key, part in pairs.group_by("agent", maintain_order=True)]
    found = [(agent, part, _difference(part, "area")) for agent, part in agents]
    adjusted = statistics.false_discoveries([difference.p for _, _, difference in found])
    none = {"table": "", "kind": "", "budget": None, "cost_model": ""}
    return [
        _change({"agent": agent, **none}, part, "area", difference, float(p))
        for (agent, part, difference), p in zip(found, adjusted, strict=True)
    ]


def _difference(part: pl.DataFrame, measure: str) -> statistics.Difference:
    before = part[measure].cast(float).fill_null(float("nan")).to_numpy()
    after = part[f"{measure} after"].cast(float).fill_null(float("nan")).to_numpy()
    return statistics.paired_difference(before, after, np.random.default_rng(_SEED))


def _change(
    group: Mapping[str, Any],
    part: pl.DataFrame,
    measure: str,
    difference: statistics.Difference,
    p: float,
) -> Change:
    import polars as pl

    known = part.filter(pl.col(measure).is_not_null() & pl.col(f"{measure} after").is_not_null())
    lower_is_better = MEASURES[measure][1]
    verdict = "noise"
    if difference.same:
        verdict = "same"
    elif p < statistics.ALPHA or (difference.pairs == 1 and known["exact"].all()):
        verdict = "better" if (difference.mean < 0) == lower_is_better else "worse"
    return Change(
        **group,
        measure=measure,
        before=_mean(known[measure]),
        after=_mean(known[f"{measure} after"]),
        mean=difference.mean,
        low=difference.low,
        high=difference.high,
        p=p,
        pairs=difference.pairs,
        verdict=verdict,
    )


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())


def _settings(first: Results, second: Results, pairs: pl.DataFrame) -> list[str]:
    """Lines about what was run differently, and what only one of the two ran."""
    import polars as pl

    one, two = first.about.get("suite", {}), second.about.get("suite", {})
    lines = [
        f"{name}: {_shown(one.get(name))} before, {_shown(two.get(name))} after"
        for name in sorted(set(one) | set(two))
        if name not in ("agents", "tables", "seeds")
        and (one.get(name) or None) != (two.get(name) or None)
    ]
    lines += _by_name(first, second, "agents", "label", ("name", "settings", "code"))
    lines += _by_name(first, second, "tables", "name", ("hash",))
    for results, when in ((first, "before"), (second, "after")):
        others = results.runs.join(pairs, on=list(KEY), how="anti")
        seeds = results.runs.join(pairs.filter(~pl.col("exact")), on=list(KEY), how="semi")
        unpaired = others.height + seeds.height - pairs.filter(~pl.col("exact")).height
        if unpaired:
            lines.append(f"{unpaired} of {results.runs.height} runs {when} have no counterpart")
        if results.about.get("failed"):
            lines.append(f"{len(results.about['failed'])} cells failed {when}")
    old, new = first.about.get("versions", {}), second.about.get("versions", {})
    return lines + [
        f"{name}: {old.get(name, 'none')} before, {new.get(name, 'none')} after"
        for name in sorted(set(old) | set(new))
        if old.get(name) != new.get(name)
    ]


def _by_name(
    first: Results, second: Results, what: str, key: str, fields: tuple[str, ...]
) -> list[str]:
    one = {entry[key]: entry for entry in first.about.get(what, ())}
    two = {entry[key]: entry for entry in second.about.get(what, ())}
    noun = what.removesuffix("s")
    lines = [f"{noun} {name}: only before" for name in one if name not in two]
    lines += [f"{noun} {name}: only after" for name in two if name not in one]
    for name in one:
        for field in fields:
            if name in two and one[name].get(field) != two[name].get(field):
                called = {"hash": "its content", "code": "its code"}.get(field, f"its {field}")
                changed = f"{_shown(one[name].get(field))} before, {_shown(two[name].get(field))}"
                detail = "" if field in ("hash", "code") else f": {changed} after"
                lines.append(f"{noun} {name}: {called} changed{detail}")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} = {v}" for k, v in value.items()) or "defaults"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
