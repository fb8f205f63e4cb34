"""The shipped tables: made from the committed fits, with their cards and provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from collectors.landscape.cards import shipped_card
from collectors.landscape.model import Landscape
from collectors.landscape.parameters import fitted, frame, task_names
from collectors.landscape.seeds import TEST, TRAIN, split_seed
from collectors.landscape.supply import SERVING, table_of
from simulator import LookupTable
from simulator.table_io import save

FOLDER = Path(__file__).parents[2] / "lookup_tables" / "modelled"

OUTCOMES_WITHIN = {2: np.inf, 3: 1.25}
"""Outcomes are kept of configurations within so many default budgets, by number of stages: a
three-stage task has 39,304 configurations, most of them far beyond any sensible budget."""

SOURCE = (
    "Generative model fitted to figures of arXiv 2508.00890 (public review discussion and "
    "reference implementation), lookup_tables/reference"
)
LICENCE = "Apache-2.0; made by this project's own model"


def shipped_landscape(name: str) -> Landscape:
    """The landscape of a shipped table, at its fit."""
    return frame(name).landscape(fitted(name).vector)


def make_shipped(name: str) -> LookupTable:
    """The shipped table of a modelled task, from the committed parameters."""
    fit = fitted(name)
    scene = shipped_landscape(name)
    seeds = {
        "train": split_seed(fit.train_seed, TRAIN),
        "test": split_seed(fit.test_seed, TEST),
    }
    within = OUTCOMES_WITHIN[len(scene.stages)]
    return table_of(scene, seeds, within=within, all_metrics=True)


def write_shipped(name: str, folder: Path = FOLDER) -> Path:
    """Make one table and write its folder under `folder`."""
    table = make_shipped(name)
    return save(
        table,
        folder / name,
        card=shipped_card(shipped_landscape(name), table),
        provenance=provenance(name),
        overwrite=True,
    )


def write_all(folder: Path = FOLDER, jobs: int = 2) -> list[Path]:
    """Make all shipped tables."""
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=jobs)(delayed(write_shipped)(name, folder) for name in _by_size()))


def _by_size() -> list[str]:
    """Names, the largest table first, so that two workers end together."""
    return sorted(task_names(), key=lambda name: -len(frame(name).task.stages))


def provenance(name: str) -> Mapping[str, Any]:
    """What `MANIFEST.json` says of how a table was made; a function of the parameters alone."""
    text = "".join(
        files("collectors.landscape").joinpath(part).read_text(encoding="utf-8")
        for part in ("tasks.toml", "prior.toml", f"fits/{name}.toml")
    )
    fit = fitted(name)
    return {
        "source": SOURCE,
        "made": {
            "by": "python -m collectors.landscape tables",
            "engine": "none: nothing was run; scores are drawn from a fitted model",
            "parameters": f"collectors/landscape/fits/{name}.toml",
            "parameters_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "train_seed": fit.train_seed,
            "test_seed": fit.test_seed,
            "hardware": "none; seconds are modelled",
            "seconds": SERVING.describe(),
            "writer": f"polars {version('polars')}",
            "numbers": f"numpy {version('numpy')}",
        },
        "licence": LICENCE,
    }
