"""Nevergrad: an optimiser of its large collection, chosen by name (Rapin and Teytaud 2018)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nevergrad as ng
import numpy as np

from agents.card import TaskCard
from agents.wrapped import Wrapped, at_least, quiet, seed_from
from simulator.errors import UnknownName


class Nevergrad(Wrapped[Any]):
    """A Nevergrad optimiser over a choice of model and a log position of samples for each stage.

    Settings:

    - `optimizer`: a name in Nevergrad's registry (default "PortfolioDiscreteOnePlusOne", the best
      of those tried on generated landscapes; "NGOpt" leaves the choice to Nevergrad and is slower);
    - `warm_start`: trials of the spread design, told to the optimiser as suggestions (default 10).

    Some of Nevergrad's optimisers draw from Python's and NumPy's global generators. They are given
    states of their own while Nevergrad runs, which are put back afterwards.

    Nevergrad's optimisers take constraints by drawing again, which is done here by the known cost
    formula. A proposal over the budget is dropped; one whose score is known is told with it.
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        optimizer: str = "PortfolioDiscreteOnePlusOne",
        warm_start: int = 10,
    ) -> None:
        at_least("nevergrad", "warm_start", warm_start, 0)
        super().__init__(card, rng, warm_start)
        seed = seed_from(rng)
        self._states: tuple[Any, Any] = (
            random.Random(seed).getstate(),  # noqa: S311
            np.random.RandomState(seed).get_state(),
        )
        with quiet(), self._own_states():
            if optimizer not in ng.optimizers.registry:
                raise UnknownName("optimizer of Nevergrad", optimizer, ng.optimizers.registry)
            parts: dict[str, Any] = {}
            for i, stage in enumerate(self.encoding.stages):
                if len(stage.models) > 1:
                    parts[f"{i}.model"] = ng.p.Choice([int(m) for m in stage.models])
                top = float(self.encoding.units[i][int(stage.largest.max())])
                if top > 0:
                    parts[f"{i}.samples"] = ng.p.Scalar(lower=0.0, upper=top)
            self._parts = parts
            self._optimizer: Any = None
            if parts:
                space = ng.p.Dict(**parts)
                space.random_state = np.random.RandomState(seed)
                made = ng.optimizers.registry[optimizer]
                self._optimizer = made(
                    parametrization=space, budget=card.trials, num_workers=card.workers
                )

    def propose(self) -> tuple[Any, int]:
        if self._optimizer is None:
            return None, int(self.encoding.cells[0])
        with self._own_states():
            candidate = self._optimizer.ask()
        return candidate, self._cell(candidate.value)

    def refuse(self, proposal: Any, cell: int) -> None:
        self.learn(proposal, cell, self.archive.scores.get(cell))

    def place(self, cell: int) -> Any:
        if self._optimizer is None:
            return None
        models, positions = self.encoding.parts(cell)
        value = {}
        for key in self._parts:
            stage, what = key.split(".")
            i = int(stage)
            at = float(self.encoding.units[i][positions[i]])
            value[key] = models[i] if what == "model" else at
        with self._own_states():
            return self._optimizer.parametrization.spawn_child(new_value=value)

    def learn(self, proposal: Any, cell: int, score: float | None) -> None:
        if proposal is not None and score is not None:
            with self._own_states():
                self._optimizer.tell(proposal, -score)

    def _cell(self, value: dict[str, Any]) -> int:
        models, positions = [], []
        for i, stage in enumerate(self.encoding.stages):
            models.append(int(value.get(f"{i}.model", stage.models[0])))
            positions.append(self.encoding.nearest(i, float(value.get(f"{i}.samples", 0.0))))
        return self.encoding.cell(models, positions)

    @contextmanager
    def _own_states(self) -> Iterator[None]:
        outside = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.setstate(self._states[0])
        np.random.set_state(self._states[1])  # noqa: NPY002
        try:
            yield
        finally:
            self._states = random.getstate(), np.random.get_state()  # noqa: NPY002
            random.setstate(outside[0])
            np.random.set_state(outside[1])  # noqa: NPY002
