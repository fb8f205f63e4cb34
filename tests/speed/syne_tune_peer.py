"""The same table as Syne Tune holds it: hyperparameters in a frame, objectives in an array."""

from __future__ import annotations

import contextlib
import io
import logging
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

from simulator import Configuration, LookupTable


def as_settings(configuration: Configuration) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for stage, model, samples in configuration.choices:
        settings |= {f"{stage}_model": model, f"{stage}_samples": samples}
    return settings


def blackbox(table: LookupTable) -> BlackboxTabular:
    cells = [table.space.configuration(cell) for cell in range(table.space.n_cells)]
    space: dict[str, Any] = {}
    for stage in table.task.stages:
        space[f"{stage.name}_model"] = choice([model.name for model in stage.models])
        space[f"{stage.name}_samples"] = choice(list(stage.samples))
    columns = [table.scores(), table.split("train").seconds]
    return BlackboxTabular(
        hyperparameters=pd.DataFrame([as_settings(cell) for cell in cells]),
        configuration_space=space,
        fidelity_space={"epoch": randint(1, 1)},
        objectives_evaluations=np.stack(columns, axis=1)[:, None, None, :],
        objectives_names=["score", "elapsed"],
    )


def random_search(box: BlackboxTabular, trials: int, workers: int, seed: int) -> int:
    """Syne Tune's simulator backend with its random search; how many trials were told."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.CRITICAL)
        try:
            tuner = Tuner(
                trial_backend=UserBlackboxBackend(blackbox=box, elapsed_time_attr="elapsed"),
                scheduler=RandomSearch(
                    box.configuration_space, metrics=["score"], do_minimize=False, random_seed=seed
                ),
                stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
                n_workers=workers,
                sleep_time=0,
                callbacks=[SimulatorCallback()],
                results_update_interval=1e9,
                print_update_interval=1e9,
                save_tuner=False,
                suffix_tuner_name=False,
                tuner_name="speed",
                metadata={},
            )
            tuner.tuner_path = Path(folder)
            tuner.run()
        finally:
            logging.disable(logging.NOTSET)
        return len(tuner.tuning_status.last_trial_status_seen)
