"""The text of `CARD.md` of modelled tables; the first line always says that they are modelled."""

from __future__ import annotations

import numpy as np

from collectors.landscape.fit import affordable
from collectors.landscape.model import Landscape
from collectors.landscape.seeds import TRIED
from collectors.landscape.supply import SERVING
from simulator import LookupTable


def shipped_card(scene: Landscape, table: LookupTable) -> str:
    """The card of a shipped table."""
    task = table.task
    within = affordable(task)
    train, test = table.scores("train"), table.scores("test")
    best = int(np.flatnonzero(within)[np.argmax(train[within])])
    others = ", ".join(metric for metric in task.metrics if metric != task.metric)
    unseen = f"""
- {others}: no figure of these was published. They are driven by the same latent outcomes, on a \
scale that we chose: plausible, not calibrated.""" if others else ""  # fmt: skip
    return f"""\
# Modelled, not measured: {task.title}

Kind: modelled. No language model was run for any score here. A generative model of the pipeline \
was fitted to the few figures that were published for arXiv 2508.00890, and this table is one draw \
from it. A conclusion about the real models needs a measured table.

## What it holds

- {table.space.n_cells:,} configurations, no holes; {int(within.sum()):,} of them within the \
default budget of {task.default_budget:g} units.
- Splits: train, {scene.train_examples} examples; test, {scene.test_examples} other examples of \
the same population.
- {_outcomes(table)}
- Optimum of the training split at the default budget: {train[best]:.4g}, at \
`{table.space.configuration(best)}` (test {test[best]:.4g}). Ties go to the first.

## What was published, and what is assumed

- {_calibration(task.name)}
- Stages, models, token counts and the metric searched for are the published ones. Numbers of \
examples were chosen to resemble them.{unseen}
- The draw is one of {TRIED}, taken by a written rule (`collectors/landscape/seeds.py`): those \
test examples whose scores lie nearest to the published ones, and those training examples on which \
the published winner does best. Within a draw nothing is altered.
- Where the figures say nothing, a prior decides, on the shares of noise too. `docs/fit_report.md` \
says where, and has every published score beside the modelled one.

## Seconds

Modelled as well. {SERVING.describe()}. The fit report compares them with published search hours.

## Made by

`python -m collectors.landscape tables`; the same parameters give the same bytes.
"""


def _outcomes(table: LookupTable) -> str:
    outcomes = table.split("train").outcomes
    if outcomes is None:
        return "No outcomes per example."
    kept = int((outcomes.row_of_cell >= 0).sum())
    if kept == table.space.n_cells:
        return "Outcomes per example of every configuration and metric."
    return (
        f"Outcomes per example of {kept:,} configurations, those within 1.25 times the default "
        "budget, and every metric. The others have scores without outcomes: bootstrap noise cannot "
        "be had there."
    )


def _calibration(name: str) -> str:
    if name == "textvqa":
        return (
            "Fitted to 69 published accuracies of single stages. Which option the other stage was "
            "held at is not published; five samples of the 11B model and one of the 8B model are "
            "assumed. The only joint score, 0.93 by the published search at 1000 units, is more "
            "than the model reaches in expectation."
        )
    if name == "2wiki":
        return "Fitted to six published test scores and the 30 scores of a temperature grid."
    return "Fitted to six published test scores; everything between them is the model's."


def made_card(name: str, like: str | None, command: str, outcomes: bool) -> str:
    """The card of a landscape made by seed."""
    origin = (
        f"It has the stages, models and costs of the modelled table `{like}`; its scores are those "
        "of no real model, but drawn from the prior around that table's fit."
        if like
        else "Stages, models (named by size, none of them real), costs and scores are random."
    )
    kept = "of the searched metric, within the default budget" if outcomes else "none"
    return f"""\
# Modelled, not measured: landscape {name}

Kind: modelled. No language model was run. {origin}

Outcomes per example: {kept}.

Seconds are modelled as well. {SERVING.describe()}.

Made by `{command}`; the same seed gives the same bytes.
"""
