"""An Optuna study over (model, samples) pairs, shared by the agents that use its samplers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from agents.card import TaskCard
from agents.wrapped import Wrapped

BUDGET = "budget"


class OptunaAgent(Wrapped[optuna.Trial]):
    """Asks an Optuna sampler.

    A stage is a categorical model (where there is a choice) and a float, the log position of the
    samples. With `conditional` each model has a samples parameter of its own, which reaches to the
    most that it can afford; without, a stage's models share one. A trial over the budget, or one
    that comes back infeasible, is told as pruned, with the violation as Optuna's constraint.
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        sampler: BaseSampler,
        *,
        warm_start: int,
        conditional: bool,
    ) -> None:
        super().__init__(card, rng, warm_start)
        self._conditional = conditional
        with _silent():
            self._study = optuna.create_study(sampler=sampler, direction="maximize")
        self._models: list[CategoricalDistribution | None] = []
        self._samples: list[list[tuple[str, BaseDistribution | None]]] = []
        for i, stage in enumerate(self.encoding.stages):
            units = self.encoding.units[i]
            choices = [int(m) for m in stage.models]
            self._models.append(CategoricalDistribution(choices) if len(choices) > 1 else None)
            tops = stage.largest if conditional else np.full(len(choices), stage.largest.max())
            self._samples.append(
                [
                    (
                        f"{stage.name}.samples.{model}" if conditional else f"{stage.name}.samples",
                        FloatDistribution(0.0, float(units[top])) if top > 0 else None,
                    )
                    for model, top in zip(choices, tops, strict=True)
                ]
            )

    def propose(self) -> tuple[optuna.Trial, int]:
        with _silent():
            trial = self._study.ask()
            return trial, self._read(trial)

    def refuse(self, proposal: optuna.Trial, cell: int) -> None:
        violation = self.encoding.violation(cell)
        if violation > 0:
            self._tell_infeasible(proposal, violation)
        else:
            with _silent():
                self._study.tell(proposal, state=TrialState.FAIL)

    def place(self, cell: int) -> optuna.Trial:
        params: dict[str, object] = {}
        models, positions = self.encoding.parts(cell)
        for i, stage in enumerate(self.encoding.stages):
            if self._models[i] is not None:
                params[f"{stage.name}.model"] = models[i]
            at = np.flatnonzero(stage.models == models[i])
            name, distribution = self._samples[i][int(at[0]) if len(at) else 0]
            if distribution is not None:
                params[name] = float(self.encoding.units[i][positions[i]])
        with _silent():
            self._study.enqueue_trial(params)
            trial = self._study.ask()
            self._read(trial)
        return trial

    def learn(self, proposal: optuna.Trial, cell: int, score: float | None) -> None:
        if score is None:
            self._tell_infeasible(proposal, max(self.encoding.violation(cell), 1.0))
            return
        with _silent():
            proposal.set_constraint(BUDGET, min(self.encoding.violation(cell), 0.0))
            self._study.tell(proposal, score)

    def _tell_infeasible(self, trial: optuna.Trial, violation: float) -> None:
        with _silent():
            trial.set_constraint(BUDGET, violation)
            self._study.tell(trial, state=TrialState.PRUNED)

    def _read(self, trial: optuna.Trial) -> int:
        models, positions = [], []
        for i, stage in enumerate(self.encoding.stages):
            choice = self._models[i]
            model = int(stage.models[0])
            if choice is not None:
                model = int(str(trial.suggest_categorical(f"{stage.name}.model", choice.choices)))
            name, distribution = self._samples[i][int(np.flatnonzero(stage.models == model)[0])]
            position = 0
            if isinstance(distribution, FloatDistribution):
                unit = trial.suggest_float(name, distribution.low, distribution.high)
                position = self.encoding.nearest(i, unit)
            models.append(model)
            positions.append(position)
        return self.encoding.cell(models, positions)


@contextmanager
def _silent() -> Iterator[None]:
    """Without Optuna's log lines; its verbosity is put back."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
