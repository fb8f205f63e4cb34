"""The matching rules once more, from their description alone: dictionaries, fractions, loops.

Nothing of the package is used to answer: a table is a dictionary from the configuration's text to
its score, costs come from the published formula in fractions, and every grid point is looked at.
`tests/simulator/twins.py` walks the package's own arrays of costs; this shares not even those.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import Choice, Configuration, LookupTable, Simulator, Task
from simulator.errors import NotInTable
from tests.simulator.cases import tasks

Point = tuple[tuple[str, int], ...]
"""One (model, samples) a stage."""


class Reference:
    """A table as a dictionary, and the contract's rules for what it answers."""

    def __init__(self, task: dict[str, Any], scores: dict[Point, float], budget: Fraction) -> None:
        self.stages, self.scores, self.budget = task["stages"], scores, budget
        self.far = task["paper_distance"]
        self.parameters = [
            {m["name"]: Fraction(str(m["parameters"])) for m in stage["models"]}
            for stage in self.stages
        ]
        self.known: dict[Point, Fraction] = {}

    def cost(self, point: Point) -> Fraction:
        """Units: 2 * ((P / 3e9) * (prompt + samples * generated) / 128 - 1), from 0 on, summed."""
        if point not in self.known:
            self.known[point] = self.worked_out(point)
        return self.known[point]

    def worked_out(self, point: Point) -> Fraction:
        total = Fraction(0)
        for stage, parameters, (model, samples) in zip(
            self.stages, self.parameters, point, strict=True
        ):
            tokens = stage["prompt_tokens"] + samples * stage["generated_tokens"]
            units = 2 * (parameters[model] / 3_000_000_000 * tokens / 128 - 1)
            total += max(units, Fraction(0))
        return total

    def affordable(self, point: Point) -> bool:
        return self.cost(point) <= self.budget

    def distance(self, asked: Point, there: Point) -> Fraction:
        """Sum over stages of abs(samples asked - samples there) / (4 * Pmax / P - 3)."""
        total = Fraction(0)
        for parameters, (model, samples), (_, other) in zip(
            self.parameters, asked, there, strict=True
        ):
            share = 4 * max(parameters.values()) / parameters[model] - 3
            total += abs(samples - other) / share
        return total

    def neighbours(self, asked: Point) -> list[Point]:
        """Grid points with a score, the same models, and a cost within the budget."""
        models = [model for model, _ in asked]
        return [
            point
            for point in self.scores
            if [model for model, _ in point] == models and self.affordable(point)
        ]

    def nearest(self, asked: Point) -> Point | None:
        """Least distance; ties to the cheaper, then to the lower index. None is infeasible."""
        if not self.affordable(asked):
            return None
        # `min` keeps the first of equals, and `scores` is in the order of the grid.
        return min(
            self.neighbours(asked),
            key=lambda there: (self.distance(asked, there), self.cost(there)),
            default=None,
        )

    def paper(self, asked: Point) -> float | None:
        """The score of the nearest; ties to the higher score; none where it is too far."""
        if not self.affordable(asked):
            return None
        best = min(
            self.neighbours(asked),
            key=lambda there: (self.distance(asked, there), -self.scores[there]),
            default=None,
        )
        if best is None or self.distance(asked, best) > self.far:
            return None
        return self.scores[best]

    def interpolate(self, asked: Point) -> float | str | None:
        """Linear in log(samples) per stage: the mean of the corners, each by its shares."""
        ways = []
        for stage, (model, samples) in zip(self.stages, asked, strict=True):
            grid = stage["samples"]
            if samples in grid:
                ways.append([((model, samples), 1.0)])
                continue
            below = [s for s in grid if s < samples]
            above = [s for s in grid if s > samples]
            if not below or not above:
                return "outside"
            low, high = max(below), min(above)
            share = math.log(samples / low) / math.log(high / low)
            ways.append([((model, low), 1 - share), ((model, high), share)])
        if not self.affordable(asked):
            return None
        total = 0.0
        for corner in itertools.product(*ways):
            point = tuple(choice for choice, _ in corner)
            if point not in self.scores:
                return "outside"
            total += math.prod(share for _, share in corner) * self.scores[point]
        return total

    def exact(self, asked: Point) -> float | str | None:
        """The grid point's own score, and off the grid an error."""
        if any(
            samples not in stage["samples"]
            for stage, (_, samples) in zip(self.stages, asked, strict=True)
        ):
            return "outside"
        if not self.affordable(asked):
            return None
        return self.scores.get(asked, "outside")

    def optimum(self) -> float | None:
        return max((s for p, s in self.scores.items() if self.affordable(p)), default=None)

    def grid(self) -> list[Point]:
        return grid_of(self.stages)


def grid_of(stages: list[dict[str, Any]]) -> list[Point]:
    """Every grid point, the first stage most significant, models before samples."""
    options = [
        [(model["name"], samples) for model in stage["models"] for samples in stage["samples"]]
        for stage in stages
    ]
    return [tuple(point) for point in itertools.product(*options)]


few = settings(max_examples=50)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Reference, LookupTable, float, list[Point]]:
    """A random task, table with holes, budget in units, and asks on and off the grid."""
    task: Task = draw(tasks(max_stages=3))
    plain = task.model_dump(mode="json")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = grid_of(plain["stages"])
    holes = rng.random(len(grid)) < draw(st.sampled_from([0.0, 0.3, 0.8]))
    holes[int(rng.integers(len(grid)))] = False
    scores = {
        point: int(rng.integers(0, 6)) / 5
        for point, hole in zip(grid, holes, strict=True)
        if not hole
    }
    reference = Reference(plain, scores, Fraction(0))
    costs = sorted(reference.cost(point) for point in grid)
    # A third of a unit over some grid point's cost: no sum of floats comes that near to it.
    budget = float(costs[int(draw(st.floats(0, 1)) * (len(costs) - 1))]) + 1 / 3
    reference.budget = Fraction(budget)
    table = LookupTable.from_function(
        task, lambda c: scores.get(tuple((choice.model, choice.samples) for choice in c.choices))
    )
    asks = [
        tuple(
            (
                str(rng.choice([model["name"] for model in stage["models"]])),
                int(rng.integers(1, max(stage["samples"]) + 1)),
            )
            for stage in plain["stages"]
        )
        for _ in range(6)
    ]
    return reference, table, budget, [*asks, grid[int(rng.integers(len(grid)))]]


def configuration(reference: Reference, point: Point) -> Configuration:
    return Configuration(
        tuple(
            Choice(stage["name"], model, samples)
            for stage, (model, samples) in zip(reference.stages, point, strict=True)
        )
    )


def decided(reference: Reference, asked: Point) -> bool:
    """Whether rounding cannot turn a cost across the budget."""
    near = Fraction(1, 10**6)
    points = [asked, *reference.grid()]
    return all(abs(reference.cost(point) - reference.budget) > near for point in points)


@few
@given(problems())
def test_nearest_is_the_contracts(
    problem: tuple[Reference, LookupTable, float, list[Point]],
) -> None:
    reference, table, budget, asks = problem
    simulator = Simulator(table, budget)
    for asked in asks:
        if not decided(reference, asked):
            continue
        trial = simulator.evaluate(configuration(reference, asked))
        expected = reference.nearest(asked)
        assert trial.cost == pytest.approx(float(reference.cost(asked)))
        if expected is None:
            assert not trial.feasible
            assert trial.score is None
            continue
        answered = tuple((c.model, c.samples) for c in trial.answered.choices)  # type: ignore[union-attr]
        # Costs that are equal as fractions may differ in a float's last bit, and so may a tie.
        tied = reference.distance(asked, answered) == reference.distance(asked, expected) and (
            reference.cost(answered) == reference.cost(expected)
        )
        assert answered == expected or tied
        assert trial.score == reference.scores[answered]


@few
@given(problems())
def test_paper_is_the_contracts(problem: tuple[Reference, LookupTable, float, list[Point]]) -> None:
    reference, table, budget, asks = problem
    simulator = Simulator(table, budget, match="paper")
    for asked in asks:
        if decided(reference, asked):
            trial = simulator.evaluate(configuration(reference, asked))
            assert trial.score == reference.paper(asked)


@pytest.mark.parametrize("match", ["exact", "interpolate"])
@few
@given(problem=problems())
def test_exact_and_interpolate_are_the_contracts(
    match: str, problem: tuple[Reference, LookupTable, float, list[Point]]
) -> None:
    reference, table, budget, asks = problem
    simulator = Simulator(table, budget, match=match)  # type: ignore[arg-type]
    for asked in asks:
        if not decided(reference, asked):
            continue
        expected = getattr(reference, match)(asked)
        found: float | str | None
        try:
            found = simulator.evaluate(configuration(reference, asked)).score
        except NotInTable:
            found = "outside"
        if isinstance(expected, float):
            assert found == pytest.approx(expected, abs=1e-12)
        else:
            assert found == expected


@few
@given(problems())
def test_optimum_and_many_are_the_contracts(
    problem: tuple[Reference, LookupTable, float, list[Point]],
) -> None:
    reference, table, budget, asks = problem
    simulator = Simulator(table, budget)
    if not all(decided(reference, asked) for asked in asks):
        return
    best = reference.optimum()
    if best is not None:
        assert simulator.optimum.score == best
    names = [[m["name"] for m in stage["models"]] for stage in reference.stages]
    rows = np.array([[[names[i].index(m), s] for i, (m, s) in enumerate(asked)] for asked in asks])
    one_by_one = [simulator.score(configuration(reference, asked)) for asked in asks]
    expected = [np.nan if score is None else score for score in one_by_one]
    np.testing.assert_array_equal(simulator.evaluate_many(rows), expected)
    for asked, score in zip(asks, one_by_one, strict=True):
        assert (score is None) == (reference.nearest(asked) is None)
