"""A genetic algorithm: Optuna's NSGA-II, which with one objective is an elitist one.

Chosen over pymoo, whose mixed-variable algorithm does as well: Optuna is needed for TPE anyway, it
keeps all its randomness to itself, it is asked and told trial by trial, so that asynchronous
workers need no generation to be complete, and it brings no plotting library along.
"""

from __future__ import annotations

import numpy as np
from optuna.samplers import NSGAIISampler
from optuna.samplers.nsgaii import BLXAlphaCrossover, PolynomialMutation

from agents.card import TaskCard
from agents.optuna_study import OptunaAgent
from agents.wrapped import at_least, quiet, seed_from
from simulator.errors import UsageError


class Genetic(OptunaAgent):
    """Optuna's `NSGAIISampler`: parents by tournament, crossover, mutation, the best are kept.

    Settings (the defaults come from generated landscapes, at 50 trials):

    - `population`: individuals of a generation (default 6: a search of 50 trials then has eight
      generations; Optuna's default of 50 would leave it none);
    - `warm_start`: trials of the spread design that come first (default 10);
    - `mutation`: probability that a parameter is mutated (default 0.5);
    - `eta`: how close a mutated sample count stays to its parent's, the distribution index of
      polynomial mutation (default 5); a mutated model is drawn anew;
    - `crossover`: probability that a child has two parents, joined by BLX-alpha in log samples and
      by chance in models (default 0.9).
    """

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        population: int = 6,
        warm_start: int = 10,
        mutation: float = 0.5,
        eta: float = 5.0,
        crossover: float = 0.9,
    ) -> None:
        at_least("genetic", "population", population, 2)
        at_least("genetic", "warm_start", warm_start, 0)
        at_least("genetic", "eta", eta, 0)
        for name, value in (("mutation", mutation), ("crossover", crossover)):
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"genetic: {name} must be from 0 to 1, not {value!r}")
        with quiet():
            sampler = NSGAIISampler(
                population_size=population,
                mutation=PolynomialMutation(eta=eta),
                mutation_prob=mutation,
                crossover=BLXAlphaCrossover(),
                crossover_prob=crossover,
                seed=seed_from(rng),
            )
        super().__init__(card, rng, sampler, warm_start=warm_start, conditional=False)
