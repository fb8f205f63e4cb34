"""A shipped table as a Syne Tune blackbox, searched on Syne Tune's own simulated backend.

    python examples/syne_tune_blackbox.py [TABLE]

Needs syne-tune (`.venv-peers`). Scores and seconds are the table's; schedulers, workers and
stopping rules are Syne Tune's own. `elapsed` drives its simulated clock.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
from syne_tune.config_space import choice, randint
from syne_tune.optimizer.baselines import RandomSearch

from lookup_tables import load
from simulator import Configuration, LookupTable, Simulator


def settings_of(configuration: Configuration) -> dict[str, Any]:
    """A configuration as a row of hyperparameters."""
    settings: dict[str, Any] = {}
    for stage, model, samples in configuration.choices:
        settings |= {f"{stage}_model": model, f"{stage}_samples": samples}
    return settings


def blackbox_of(table: LookupTable) -> BlackboxTabular:
    """The cells that the table holds for the train split; holes are left out."""
    cells = np.flatnonzero(table.present("train"))
    space: dict[str, Any] = {}
    for stage in table.task.stages:
        space[f"{stage.name}_model"] = choice([model.name for model in stage.models])
        space[f"{stage.name}_samples"] = choice(list(stage.samples))
    columns = [table.scores()[cells], table.split("train").seconds[cells]]
    return BlackboxTabular(
        hyperparameters=pd.DataFrame(
            [settings_of(table.space.configuration(int(cell))) for cell in cells]
        ),
        configuration_space=space,
        fidelity_space={"epoch": randint(1, 1)},
        objectives_evaluations=np.stack(columns, axis=1)[:, None, None, :],
        objectives_names=["score", "elapsed"],
    )


def search(box: BlackboxTabular, trials: int, seed: int = 0) -> pd.DataFrame:
    """Syne Tune's random search on four simulated workers; one row a finished trial."""
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox=box, elapsed_time_attr="elapsed"),
        scheduler=RandomSearch(
            box.configuration_space, metrics=["score"], do_minimize=False, random_seed=seed
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
        n_workers=4,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        save_tuner=False,
        suffix_tuner_name=False,
        tuner_name="blackbox",
        metadata={},
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        tuner.tuner_path = Path(folder)
        tuner.run()
    rows = tuner.tuning_status.trial_rows.values()  # what was asked and what came back
    return pd.DataFrame([row for row in rows if "score" in row])


def main() -> None:
    logging.disable(logging.CRITICAL)
    table = load(sys.argv[1] if len(sys.argv) > 1 else "2wiki")
    if not table.present("train").all():
        sys.exit(
            f"{table.name} has holes, and this search may ask for any cell: take another table"
        )
    box, simulator = blackbox_of(table), Simulator(table)
    best = simulator.optimum
    again = box.objective_function(settings_of(best.configuration), fidelity={"epoch": 1})
    print(f"optimum within the budget {best.score:.4f}, in the blackbox {again['score']:.4f}")
    trials = search(box, trials=40)
    columns = [*box.configuration_space, "score"]
    print(f"{len(trials)} trials of Syne Tune's random search, which knows no budget; the best:")
    print(trials.sort_values("score", ascending=False)[columns].head(3).to_string(index=False))


if __name__ == "__main__":
    main()
