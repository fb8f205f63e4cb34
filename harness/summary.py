"""From trials and runs to one row of measures for each agent, table and budget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import measures
from simulator import Configuration, LookupTable

if TYPE_CHECKING:
    import polars as pl

GROUP = ("agent", "table", "kind", "budget", "cost_model")
WITHIN = 0.01
VARIED = ("noise", "examples")
"""Beside `GROUP`, what tells the rows of `varied.parquet` apart."""
_SEED = 20_250_890


def summarise(
    trials: pl.DataFrame, runs: pl.DataFrame, tables: Mapping[str, LookupTable]
) -> pl.DataFrame:
    """The measures of `harness.measures`, one row for each agent, table and budget.

    `trials` and `runs` are `trials.parquet` and `runs.parquet`; `tables` by name serve the interval
    over examples where they hold outcomes of the test split. Columns:

    - `seeds`; `success_rate` (reached the optimum), `within_rate` (within 1 %);
      `median_trials`, `ert` in trials (inf where half, or all, of the runs missed), and the same to
      within 1 % (`median_trials_within`, `ert_within`);
    - `hours`, the median of the simulated hours to the optimum or, in runs that missed it, to their
      best; `hours_missed` is how many of the runs missed (a `*`);
    - `train_score`, `test_score` means with 90 % intervals `test_low`, `test_high`; `interval_over`
      says what was resampled (`seeds`, or `seeds and examples`);
    - `regret`, `regret_area`: normalised regret at the end and its mean over trials, with
      `regret_area_low`, `regret_area_high`; `score_area`, the mean best-so-far score;
    - `infeasible_rate`, `repeated_rate` of asks; `seconds_per_ask`, `agent_seconds`,
      `lookup_seconds` of real time; `usage`, JSON sums of what a language model took.
    """
    import polars as pl

    rows = []
    curves = _by_group(trials)
    counts: dict[int, measures.Resamples] = {}
    for key, part in runs.group_by(GROUP, maintain_order=True):
        n, length = part.height, int(part["allowed"][0])
        if n not in counts:
            counts[n] = measures.Resamples(n, np.random.default_rng((_SEED, n)))
        group = dict(zip(GROUP, key, strict=True))
        padded = _curves(curves.get(key), part["seed"].to_list(), length)
        rows.append(_row(group, part, padded, counts[n], tables))
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(GROUP, pl.String))
    return pl.DataFrame(rows, infer_schema_length=None)


_CURVES = ("regret", "incumbent_score", "whole")


def _by_group(trials: pl.DataFrame) -> dict[tuple[Any, ...], pl.DataFrame]:
    """What `_curves` needs of the trials, by `GROUP`."""
    import polars as pl

    whole = pl.when(pl.col("examples").is_null()).then(pl.col("table_score")).alias("whole")
    kept = trials.select(*GROUP, "seed", "number", *_CURVES[:2], whole)
    return kept.partition_by(GROUP, as_dict=True, include_key=False)


def _curves(
    trials: pl.DataFrame | None, seeds: Sequence[int], length: int
) -> list[measures.Floats]:
    """Three curves of every run, shape (runs, trials): the incumbent's regret, its score, and the
    table scores of the trials on the whole split; nan where unknown. A run that ended early keeps
    its last value."""
    if trials is None:
        return [np.full((len(seeds), length), np.nan) for _ in _CURVES]
    place = {seed: row for row, seed in enumerate(seeds)}
    rows = np.array([place[seed] for seed in trials["seed"].to_list()])
    number = trials["number"].to_numpy()
    ended = np.zeros(len(seeds), dtype=np.int64)
    np.maximum.at(ended, rows, number)
    held = np.minimum(np.arange(length), np.maximum(ended, 1)[:, None] - 1)
    found = []
    for name in _CURVES:
        curve = np.full((len(seeds), length), np.nan)
        curve[rows, number - 1] = trials[name].cast(float).fill_null(float("nan")).to_numpy()
        found.append(np.take_along_axis(curve, held, axis=1))
    return found


def _row(
    group: dict[str, Any],
    part: pl.DataFrame,
    curves: list[measures.Floats],
    counts: measures.Counts,
    tables: Mapping[str, LookupTable],
) -> dict[str, Any]:
    optimum, worst = float(part["optimum"][0]), float(part["worst"][0])
    to = part["trials_to_optimum"].cast(float).fill_null(float("nan")).to_numpy()
    used = part["trials"].cast(float).to_numpy()
    regret, score, whole = curves
    threshold = optimum - WITHIN * abs(optimum) - 1e-12
    within = measures.first_within(measures.best_so_far(whole), threshold)
    relative = measures.normalised_regret(optimum - regret, optimum, worst)
    areas = measures.area(relative)
    area_low, area_high = measures.bootstrap_mean(areas, counts)
    asks = int(used.sum())
    own = float(part["agent_seconds"].sum())
    return {
        **group,
        "seeds": part.height,
        "trials": int(part["allowed"][0]),
        "optimum": optimum,
        "success_rate": measures.success_rate(to),
        "within_rate": measures.success_rate(within),
        "median_trials": measures.median_trials(to),
        "ert": measures.expected_running_time(to, used),
        "median_trials_within": measures.median_trials(within),
        "ert_within": measures.expected_running_time(within, used),
        "hours": float(np.median(part["search_hours"].to_numpy())),
        "hours_missed": int(np.isnan(to).sum()),
        "train_score": part["train_score"].mean(),
        **_test_score(part, counts, tables.get(group["table"])),
        "regret": float(relative[:, -1].mean()),
        "regret_area": float(areas.mean()),
        "regret_area_low": area_low,
        "regret_area_high": area_high,
        "score_area": _mean(score),
        "infeasible_rate": int(part["infeasible"].sum()) / max(asks, 1),
        "repeated_rate": int(part["repeated"].sum()) / max(asks, 1),
        "seconds_per_ask": own / max(asks, 1),
        "agent_seconds": own,
        "lookup_seconds": float(part["lookup_seconds"].sum()),
        "usage": _usage(part["usage"].to_list()),
    }


def summarise_varied(runs: pl.DataFrame, tables: Mapping[str, LookupTable]) -> pl.DataFrame:
    """How results move with noise and the number of training examples, one row for each agent,
    table, budget, `noise` and `examples` (null: all of them).

    `runs` is like `runs.parquet` with those two columns. `train_score` is what the final incumbent
    scored as the search saw it, `test_score` with its 90 % interval what it scores on the test
    split; `regret`, with an interval over seeds, is its normalised regret by the table's scores on
    all training examples; `success_rate` the share of runs that asked the optimum.
    """
    import polars as pl

    rows = []
    counts: dict[int, measures.Resamples] = {}
    for key, part in runs.group_by((*GROUP, *VARIED), maintain_order=True):
        n = part.height
        if n not in counts:
            counts[n] = measures.Resamples(n, np.random.default_rng((_SEED, n)))
        optimum, worst = part["optimum"].to_numpy(), part["worst"].to_numpy()
        away = part["regret"].cast(float).fill_null(float("nan")).to_numpy()
        regrets = measures.normalised_regret(optimum - away, optimum, worst)
        low, high = measures.bootstrap_mean(regrets, counts[n])
        group = dict(zip((*GROUP, *VARIED), key, strict=True))
        rows.append({
            **group,
            "seeds": n,
            "train_score": part["train_score"].mean(),
            **_test_score(part, counts[n], tables.get(group["table"])),
            "regret": float(regrets.mean()), "regret_low": low, "regret_high": high,
            "success_rate": part["trials_to_optimum"].is_not_null().sum() / n,
        })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _mean(score: measures.Floats) -> float | None:
    known = score[~np.isnan(score)]
    return float(known.mean()) if known.size else None


def _test_score(
    part: pl.DataFrame, counts: measures.Counts, table: LookupTable | None
) -> dict[str, Any]:
    scores = part["test_score"].drop_nulls().to_numpy()
    if len(scores) == 0:
        return {"test_score": None, "test_low": None, "test_high": None, "interval_over": None}
    mean = float(scores.mean())
    if len(scores) < part.height:
        counts = measures.Resamples(len(scores), np.random.default_rng((_SEED, len(scores))))
    low, high, over = *measures.bootstrap_mean(scores, counts), "seeds"
    both = None if table is None else _over_examples(part, counts, table)
    if both is not None:
        (low, high), over = both, "seeds and examples"
    return {"test_score": mean, "test_low": low, "test_high": high, "interval_over": over}


def _over_examples(
    part: pl.DataFrame, counts: measures.Counts, table: LookupTable
) -> tuple[float, float] | None:
    """The interval over seeds and examples; None where an incumbent has no outcomes."""
    chosen = part.filter(part["test_score"].is_not_null())["incumbent"].to_list()
    draws = draws_over_examples(chosen, counts, table, "test")
    return None if draws is None else measures.interval(draws)


def draws_over_examples(
    chosen: Sequence[str], counts: measures.Counts, table: LookupTable, split: str
) -> measures.Floats | None:
    """Mean score of runs' incumbents on a split in each draw of runs and of its examples.

    `chosen` are the incumbents by run and `counts` (draws, runs) how often a draw takes each. None
    where one of them has no outcomes.
    """
    outcomes = table.splits[split].outcomes if split in table.splits else None
    if outcomes is None or table.task.metric not in outcomes.metrics:
        return None
    cells = np.array([table.space.cell(Configuration.parse(text)) for text in chosen])
    if (cells < 0).any():
        return None
    unique, rows = np.unique(cells, return_inverse=True)
    held = outcomes.rows(unique)
    if (held < 0).any():
        return None
    coded = outcomes.metrics[table.task.metric]
    return measures.means_of_draws(
        rows,
        counts,
        lambda weights: coded.weighted_means(held, weights),
        outcomes.n_examples,
        np.random.default_rng((_SEED, 0xE)),
    )


def _usage(texts: list[str]) -> str:
    total: dict[str, float] = {}
    for text in texts:
        for name, value in json.loads(text).items():
            total[name] = total.get(name, 0.0) + float(value)
    return json.dumps(total, sort_keys=True)


def area_by_table(summary: pl.DataFrame, agents: Sequence[str]) -> measures.Floats:
    """`regret_area` of each agent on each table, the mean over its budgets: (tables, agents), nan
    where an agent lacks one of them.

    Budgets of one table resemble each other, so a rank or a test counts a table once.
    """
    import polars as pl

    problems = summary.select("table", "cost_model", "budget").unique(maintain_order=True)
    budgets = problems.group_by("table", "cost_model", maintain_order=True).len("budgets")
    row = {key[:2]: (i, key[2]) for i, key in enumerate(budgets.iter_rows())}
    column = {agent: i for i, agent in enumerate(agents)}
    values = np.full((len(row), len(agents)), np.nan)
    means = summary.group_by("table", "cost_model", "agent", maintain_order=True).agg(
        pl.col("regret_area").mean(), pl.len()
    )
    for table, cost, agent, area, found in means.iter_rows():
        i, wanted = row[table, cost]
        if found == wanted and area is not None:
            values[i, column[agent]] = area
    return values


def overall(summary: pl.DataFrame) -> pl.DataFrame:
    """One row an agent over all tables and budgets, the best average rank first, of equals the
    least area.

    Ranks are over tables by `regret_area` (`area_by_table`), the mean normalised regret over a
    run's trials: it says how good an agent is at any time, and it does not tie where several reach
    the optimum.
    """
    import polars as pl

    agents = summary["agent"].unique(maintain_order=True).to_list()
    values = area_by_table(summary, agents)
    ranks = measures.average_ranks(values) if len(agents) else np.empty(0)
    means = summary.group_by("agent", maintain_order=True).agg(
        pl.len().alias("problems"),
        pl.col("success_rate").mean(),
        pl.col("within_rate").mean(),
        pl.col("regret_area").mean(),
        pl.col("regret").mean(),
        pl.col("infeasible_rate").mean(),
        pl.col("repeated_rate").mean(),
        pl.col("seconds_per_ask").mean(),
    )
    ranked = pl.DataFrame({"agent": agents, "rank": ranks})
    return ranked.join(means, on="agent").sort("rank", "regret_area", "agent")
