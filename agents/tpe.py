"""TPE: the tree-structured Parzen estimator of Optuna (Bergstra et al. 2011; Watanabe 2023)."""

from __future__ import annotations

import numpy as np
from optuna.samplers import TPESampler

from agents.card import TaskCard
from agents.optuna_study import OptunaAgent
from agents.wrapped import at_least, quiet, seed_from


class TPE(OptunaAgent):
    """Optuna's `TPESampler`, multivariate, with the budget as a constraint and the constant liar
    for pending asks.

    Settings:

    - `warm_start`: trials of the spread design before the estimator is asked (default 10);
    - `candidates`: how many draws are compared for each ask (default 24, Optuna's);
    - `conditional`: whether each model has a samples parameter of its own, in groups that are
      estimated apart (default false: with few trials a shared one learns faster);
    - `multivariate`: whether stages are estimated together (default true).
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        warm_start: int = 10,
        candidates: int = 24,
        conditional: bool = False,
        multivariate: bool = True,
    ) -> None:
        at_least("tpe", "warm_start", warm_start, 0)
        at_least("tpe", "candidates", candidates, 1)
        with quiet():
            sampler = TPESampler(
                n_startup_trials=warm_start,
                n_ei_candidates=candidates,
                seed=seed_from(rng),
                multivariate=multivariate or conditional,
                group=conditional,
                constant_liar=True,
            )
        super().__init__(card, rng, sampler, warm_start=warm_start, conditional=conditional)
