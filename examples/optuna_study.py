"""A shipped table as the objective of an Optuna study: Optuna's sampler, pruner and storage.

    python examples/optuna_study.py STUDY.journal [TRIALS]

A trial looks at its configuration on a ninth, on a third, and on all of the training examples, and
Optuna's pruner ends it early where others did better on as many. A configuration over the budget
is pruned at once, and its excess is told as a constraint. The study is kept in a journal file;
`agenttts import-trials STUDY.journal --table 2wiki --steps examples --out DIR` shows it on a
leaderboard.
"""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from lookup_tables import load
from simulator import Choice, Configuration, Simulator

TABLE = "2wiki"


def suggested(trial: optuna.Trial, simulator: Simulator) -> Configuration:
    """A configuration from Optuna's parameters, one model and one number of samples a stage."""
    return Configuration(
        tuple(
            Choice(
                stage.name,
                trial.suggest_categorical(f"{stage.name}_model", [m.name for m in stage.models]),
                trial.suggest_int(f"{stage.name}_samples", 1, max(stage.samples), log=True),
            )
            for stage in simulator.task.stages
        )
    )


def objective(trial: optuna.Trial, simulator: Simulator, examples: int) -> float:
    """The score on all `examples`, unless the pruner has seen enough before."""
    configuration = suggested(trial, simulator)
    trial.set_constraint("budget", simulator.cost(configuration) - simulator.budget)
    for seen in (examples // 9, examples // 3, examples):
        found = simulator.evaluate(configuration, examples=seen)
        if found.score is None:
            raise optuna.TrialPruned(found.reason)
        trial.report(found.score, seen)
        if seen < examples and trial.should_prune():
            raise optuna.TrialPruned
    return found.score


def run(journal: Path, trials: int = 30, seed: int = 0) -> optuna.Study:
    """A study of the table in a journal file; running it again goes on with the same study."""
    table = load(TABLE)
    outcomes = table.split("train").outcomes
    if outcomes is None:
        raise SystemExit(f"{TABLE} holds no outcomes of single examples to prune on")
    examples, simulator = outcomes.n_examples, Simulator(table, seed=seed)
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=f"tpe-halving-{seed}",
        storage=JournalStorage(JournalFileBackend(str(journal))),
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=examples // 9, reduction_factor=3
        ),
        load_if_exists=True,
    )
    study.optimize(lambda trial: objective(trial, simulator, examples), n_trials=trials)
    return study


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal, *rest = sys.argv[1:] or sys.exit(__doc__)
    study = run(Path(journal), *map(int, rest))
    states = [trial.state.name for trial in study.trials]
    print(f"{len(states)} trials, {states.count('PRUNED')} pruned, in {journal}")
    print(f"best {study.best_value:.4f} at {study.best_params}")
    print(f"the table's optimum is {Simulator(load(TABLE)).optimum.score:.4f}")


if __name__ == "__main__":
    main()
