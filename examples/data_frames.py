"""Trials as data frames, Polars and pandas: of one search, and of all searches of a bench.

    python examples/data_frames.py DIR

DIR is the folder of a bench; where there is none yet, a small one is run into it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import polars as pl

from harness import SearchResult, run_bench, run_search
from lookup_tables import load

COLUMNS = ("index", "feasible", "score", "cost", "seconds", "clock", "repeated", "why")


def frame_of(result: SearchResult) -> pl.DataFrame:
    """One row a trial, in the order told; `score` is null where a trial was infeasible."""
    rows = [
        {
            "asked": str(trial.asked),
            "answered": None if trial.answered is None else str(trial.answered),
            **{name: getattr(trial, name) for name in COLUMNS},
            **{f"{c.stage}_model": c.model for c in trial.asked.choices},
            **{f"{c.stage}_samples": c.samples for c in trial.asked.choices},
        }
        for trial in result.trials
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    trials = frame_of(run_search(load("2wiki"), "random", trials=50, seed=0))
    by_model = trials.group_by("answer_model").agg(pl.len(), pl.col("score").max()).sort("score")
    print("one search, by the answering model:", by_model, sep="\n")

    run_bench(out=out, agents=["random", "grid"], tables=["2wiki", "math"], seeds=3, trials=20)
    frame = pd.read_parquet(out / "trials.parquet")
    last = frame.groupby(["table", "agent", "seed"]).tail(1)
    regret = last.pivot_table(index="agent", columns="table", values="regret")
    print("a bench, mean regret at the end of a run:", regret, sep="\n")


if __name__ == "__main__":
    main()
