"""A study of your own on the leaderboard and the page of a bench.

    python examples/import_study.py STUDY.journal DIR

Runs a small bench into DIR, and replays beside it what the study asked. Only the asks are taken
from the study; scores, costs and seconds come from the table, and the results say "(imported)".
Where there is no STUDY.journal yet, `optuna_study.py` makes one. The last step is `agenttts
import-trials` from Python; a database (sqlite:///FILE), a CSV or a Parquet file would do as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import optuna_study

from harness import run_bench
from harness.importing import import_trials


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    journal, out = map(Path, sys.argv[1:])
    if not journal.exists():
        for seed in range(3):  # every study of the file is one run
            optuna_study.run(journal, trials=20, seed=seed)
    table = optuna_study.TABLE
    bench = run_bench(out=out, agents=["random", "gp"], tables=[table], seeds=3, trials=40)
    done = import_trials(journal, table, out, label="my study", steps="examples")
    print(done.note)
    shown = ("agent", "seeds", "train_score", "test_score", "regret_area")
    print(bench.summary.select(shown).sort("regret_area"))
    print(f"the page is {out / 'index.html'}")


if __name__ == "__main__":
    main()
