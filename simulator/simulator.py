"""The simulator: any trial of a task, answered at once from its lookup table."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from simulator import kernels
from simulator.configuration import Configuration
from simulator.cost import CostModel, check_budget, cost_model, largest_allowed
from simulator.errors import DuplicateAsked, TableError, UnknownName, UsageError
from simulator.lookup import Lookup
from simulator.space import IntArray
from simulator.table import LookupTable
from simulator.trial import Trial

Match = Literal["nearest", "exact", "paper", "interpolate"]
Noise = Literal["mean", "bootstrap"]
Duplicates = Literal["charge", "free", "forbid"]
Split = Literal["train", "test"]

_NO_METRICS: Mapping[str, float] = {}


@dataclass(frozen=True)
class Optimum:
    """The best feasible cell of a table at a budget on the search split."""

    configuration: Configuration
    cell: int
    score: float
    cost: float


class Simulator:
    """Replays trials of one task under a budget.

    Parameters: `budget` in the unit of the cost model `cost` (default: the task's, for `units`);
    `match`, `noise`, `split`, `duplicates` each one of the names in this module's types; `seed` of
    the bootstrap noise and of the order of examples. `evaluate` numbers its trials and keeps a
    clock; `evaluate_many` and the lookups keep nothing. Every argument is checked here, and errors
    say what would be right.

    >>> from simulator.table import LookupTable
    >>> table = LookupTable.from_function({"answer": [1, 5]}, lambda c: c.choices[0].samples / 10)
    >>> trial = Simulator(table, budget=20).evaluate(Configuration.parse("answer=small:4"))
    >>> str(trial.answered), trial.score
    ('answer=small:5', 0.5)
    """

    def __init__(
        self,
        table: LookupTable,
        budget: float | None = None,
        *,
        cost: str = "units",
        match: Match = "nearest",
        noise: Noise = "mean",
        split: Split = "train",
        seed: int = 0,
        duplicates: Duplicates = "charge",
    ) -> None:
        _one_of("match", match, Match)
        _one_of("noise", noise, Noise)
        _one_of("duplicates", duplicates, Duplicates)
        self.table, self.task, self.space = table, table.task, table.space
        self.cost_model: CostModel = cost_model(cost)
        self.match, self.noise, self.split_name = match, noise, split
        self.duplicates, self.seed = duplicates, _checked_seed(seed)
        self.split = table.split(split)
        if noise == "bootstrap":
            self._check_bootstrap()
        self.stage_costs = self.cost_model.stage_costs(self.task, table, split)
        self.budget = check_budget(self.task, self.stage_costs, self.cost_model, budget)
        self._lookup = Lookup(
            self.task, self.space, table.scores(split), self.stage_costs,
            largest_allowed(self.budget), match,
        )  # fmt: skip
        self.lattice, self.scores = self._lookup.lattice, self._lookup.scores
        # Memory views give plain floats, and read a mapped file only where it is asked.
        self._metrics = [
            (name, np.asarray(self.split.metrics[name]).data) for name in self.task.metrics
        ]
        self._score_view = self.scores.data
        self._seconds_view = np.asarray(self.split.seconds).data
        self._seen: set[object] = set()
        self.n_trials = 0
        self.clock = 0.0

    def restarted(self, seed: int) -> Simulator:
        """A simulator at its first trial, of the same table and settings, with another seed.

        What was worked out from the table (costs, feasible cells, the optimum) is shared.
        """
        other = copy.copy(self)
        other.seed, other.n_trials, other.clock, other._seen = _checked_seed(seed), 0, 0.0, set()
        other.__dict__.pop("_example_order", None)
        return other

    # What the table holds at this budget ----------------------------------------------------------

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Which cells have a score on this split, shape (cells,)."""
        return self.table.present(self.split_name)

    @cached_property
    def cell_costs(self) -> NDArray[np.float64]:
        """Cost of every cell, shape (cells,)."""
        total = np.zeros(1)
        for grid, costs in zip(self.space.grids, self.stage_costs, strict=True):
            total = (total[:, None] + costs[:, grid].ravel()[None, :]).ravel()
        return total

    @cached_property
    def feasible_cells(self) -> NDArray[np.int64]:
        """Cells with a score within the budget."""
        return np.flatnonzero((self.cell_costs <= self._lookup.limit) & self.present)

    @cached_property
    def optimum(self) -> Optimum:
        """The best feasible score in the table (ties: the cheapest, then the lowest index)."""
        best, _ = self._scan(np.inf)
        if best < 0:
            raise TableError(
                f"table {self.table.name!r} has holes in every cell within the budget of "
                f"{self.describe_cost(self.budget)}"
            )
        configuration = self.space.configuration(best)
        return Optimum(configuration, best, float(self.scores[best]), self.cost(configuration))

    def near_optimal(self, share: float = 0.01) -> int:
        """How many feasible cells score within `share` of the optimum (relative)."""
        best = self.optimum.score
        return self._scan(best - share * abs(best))[1]

    def _scan(self, threshold: float) -> tuple[int, int]:
        lattice = self.lattice
        best, count = kernels.scan_cells(
            lattice.shape, lattice.grid, lattice.cost, self.scores, self._lookup.limit, threshold
        )
        return int(best), int(count)

    def describe_cost(self, cost: float) -> str:
        """A cost with its unit, as messages show it."""
        return f"{cost:.6g} {self.cost_model.unit}"

    def cost(self, configuration: Configuration) -> float:
        """Cost of a configuration in the unit of the cost model."""
        asked = self.space.indices(configuration).tolist()
        return float(
            sum(costs[m, s] for costs, (m, s) in zip(self.stage_costs, asked, strict=True))
        )

    # One trial ------------------------------------------------------------------------------------

    def evaluate(
        self,
        asked: Configuration,
        *,
        examples: int | None = None,
        start: float | None = None,
        why: str = "",
    ) -> Trial:
        """One trial: what a configuration scores, and what it would have taken.

        `examples` scores on the first so many examples of the split, in an order drawn once by the
        seed, in that share of the seconds; all of them are the whole split. `start` is the
        simulated time at which the trial begins (default: when the last one ended). Raises
        `InvalidConfiguration` or `UnknownName` for what the task does not have, `NotInTable` under
        `exact` and `interpolate`, `DuplicateAsked`. A trial that raises is not counted.
        """
        if examples is not None:
            examples = self._checked_examples(examples)
        answer, cost, asked = self._lookup.find(asked)
        key = asked.choices if examples is None else (asked.choices, examples)
        if self.duplicates == "forbid" and key in self._seen:
            raise DuplicateAsked(f"configuration {asked} was asked before")
        index = self.n_trials
        begin = self.clock if start is None else start
        answered: Configuration | None
        score: float | None
        metrics: Mapping[str, float]
        reason = ""
        if answer >= 0:
            answered = self.space.configuration(answer)
            seconds: float = self._seconds_view[answer]
            if examples is None and self.noise == "mean":
                score = self._score_view[answer]
                metrics = {}
                for name, view in self._metrics:  # a comprehension would be a call
                    metrics[name] = view[answer]
            else:
                metrics, share = self._resample(answer, index, examples)
                score = metrics[self.task.metric]
                seconds *= share
        elif answer == kernels.INTERPOLATED:
            answered = asked
            metrics = {
                name: self._lookup.interpolate(asked, column)
                for name, column in self.split.metrics.items()
            }
            score = metrics[self.task.metric]
            seconds = self._lookup.interpolate(asked, self.split.seconds)
        else:
            answered, score, metrics, seconds = None, None, _NO_METRICS, 0.0
            reason = self._reason(answer, cost)
        distinct = len(self._seen)
        self._seen.add(key)
        repeated = len(self._seen) == distinct
        if repeated and self.duplicates == "free":
            seconds = 0.0
        self.n_trials = index + 1
        end = begin + seconds
        if start is None:
            self.clock = end
        # As a named tuple makes itself, without the call in between.
        return tuple.__new__(
            Trial,
            (
                index, asked, answered, answered is not None, reason, score, metrics, cost, seconds,
                end, repeated, examples, why,
            ),
        )  # fmt: skip

    def record_failure(self, reason: str, *, start: float | None = None, why: str = "") -> Trial:
        """The trial of an agent that had no valid configuration: infeasible, in no time."""
        index, self.n_trials = self.n_trials, self.n_trials + 1
        return Trial(
            index, Configuration(()), None, False, reason, None, _NO_METRICS, 0.0, 0.0,
            self.clock if start is None else start, why=why,
        )  # fmt: skip

    def score(self, configuration: Configuration) -> float | None:
        """Mean score of a configuration on this split, without making it a trial.

        `None` where it is infeasible; raises as `evaluate` does.
        """
        answer, _, asked = self._lookup.find(configuration)
        if answer == kernels.INTERPOLATED:
            return self._lookup.interpolate(asked, self.scores)
        return float(self.scores[answer]) if answer >= 0 else None

    def _reason(self, answer: int, cost: float) -> str:
        if answer == kernels.OVER_BUDGET:
            return f"over the budget: costs {cost:.6g} of {self.describe_cost(self.budget)}"
        if answer == kernels.TOO_FAR:
            return f"the nearest grid point is further than {self.task.paper_distance} away"
        return "no grid point of these models within the budget"

    # Noise and fewer examples ---------------------------------------------------------------------

    def _check_bootstrap(self) -> None:
        outcomes = self.split.outcomes
        if self.match == "interpolate":
            raise UsageError(
                "noise='bootstrap' resamples the examples of a cell, and match='interpolate' "
                "answers between cells: use another of the two"
            )
        if outcomes is None or self.task.metric not in outcomes.metrics:
            raise UsageError(
                f"table {self.table.name!r} holds no per-example outcomes of "
                f"{self.task.metric!r} for {self.split_name!r}, "
                "so its scores cannot be resampled: use noise='mean'"
            )

    def _checked_examples(self, examples: int) -> int | None:
        """The number of examples, `None` for all of them."""
        outcomes = self.split.outcomes
        if self.match == "interpolate":
            raise UsageError("interpolated scores have no examples to choose from")
        if outcomes is None or self.task.metric not in outcomes.metrics:
            raise TableError(
                f"table {self.table.name!r} holds no per-example outcomes of "
                f"{self.task.metric!r} for {self.split_name!r}, "
                "so a trial cannot be scored on fewer examples"
            )
        n = outcomes.n_examples
        whole = isinstance(examples, int | np.integer) and not isinstance(examples, bool)
        if not whole or not 1 <= examples <= n:
            raise UsageError(f"examples must be a whole number from 1 to {n}, not {examples!r}")
        return None if examples == n else int(examples)

    def _resample(
        self, cell: int, index: int, examples: int | None
    ) -> tuple[dict[str, float], float]:
        """Metrics of a cell on some of its examples or a bootstrap of them, and their share.

        A metric without outcomes is left out: its mean over all examples would pass for one over
        these.
        """
        outcomes = self.split.outcomes
        row = np.array([-1]) if outcomes is None else outcomes.rows(np.array([cell]))
        if outcomes is None or row[0] < 0:
            raise TableError(
                f"table {self.table.name!r} has no outcomes of {self.space.configuration(cell)}"
            )
        n = outcomes.n_examples
        taken = n if examples is None else examples
        chosen = self._example_order[:taken]
        weights = np.zeros((1, n))
        if self.noise == "bootstrap":
            generator = _generator(self.seed, 1, index)
            weights[0, chosen] = generator.multinomial(taken, np.full(taken, 1.0 / taken))
        else:
            weights[0, chosen] = 1.0
        metrics = {
            name: float(outcomes.metrics[name].weighted_means(row, weights)[0, 0])
            for name in self.task.metrics
            if name in outcomes.metrics
        }
        return metrics, taken / n

    @cached_property
    def _example_order(self) -> NDArray[np.int64]:
        n = 0 if self.split.outcomes is None else self.split.outcomes.n_examples
        return _generator(self.seed, 0).permutation(n)

    # Many at once ---------------------------------------------------------------------------------

    def evaluate_many(
        self, choices: IntArray, *, threads: int | None = None
    ) -> NDArray[np.float64]:
        """Scores of configurations, int (n, stages, 2) of model index and samples: float64 (n,).

        nan where infeasible. The table's mean scores, whatever the noise. Raises as `evaluate`
        does, naming the first wrong row. `threads` defaults to the processors of this machine.
        """
        return self._lookup.many(choices, threads)


def _one_of(what: str, value: str, literal: object) -> None:
    if value not in get_args(literal):
        raise UnknownName(what, str(value), get_args(literal))


def _checked_seed(seed: int) -> int:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or seed < 0:
        raise UsageError(f"seed must be a whole number from 0, not {seed!r}")
    return int(seed)


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
