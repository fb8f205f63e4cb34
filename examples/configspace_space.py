"""A table's task as a ConfigSpace space, for SMAC and whatever else takes one.

    python examples/configspace_space.py [TABLE]

Draws configurations from the space, replays each, and prints the best within the budget.
"""

from __future__ import annotations

import sys

from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    OrdinalHyperparameter,
)
from ConfigSpace import Configuration as Point

from lookup_tables import load
from simulator import Choice, Configuration, Simulator, Task


def space_of(task: Task, seed: int = 0) -> ConfigurationSpace:
    """A category of models and an ordered grid of samples for each stage."""
    space = ConfigurationSpace(name=task.name, seed=seed)
    for stage in task.stages:
        names = [model.name for model in stage.models]
        space.add(CategoricalHyperparameter(f"{stage.name}_model", names))
        space.add(OrdinalHyperparameter(f"{stage.name}_samples", list(stage.samples)))
    return space


def configuration(point: Point, task: Task) -> Configuration:
    """What a point of the space asks for."""
    return Configuration(
        tuple(
            Choice(
                stage.name, str(point[f"{stage.name}_model"]), int(point[f"{stage.name}_samples"])
            )
            for stage in task.stages
        )
    )


def main() -> None:
    table = load(sys.argv[1] if len(sys.argv) > 1 else "hotpotqa")
    simulator, space = Simulator(table), space_of(table.task)
    print(space)
    drawn = space.sample_configuration(200)
    trials = [simulator.evaluate(configuration(point, table.task)) for point in drawn]
    scored = [trial for trial in trials if trial.score is not None]
    best = max(scored, key=lambda trial: trial.score or 0.0)
    print(f"{len(scored)} of {len(trials)} within the budget of {simulator.budget:g} units")
    print(f"best {best.score:.4f} ({table.kind}) at {best.answered}, cost {best.cost:.0f}")
    print(f"the table's optimum is {simulator.optimum.score:.4f}")


if __name__ == "__main__":
    main()
