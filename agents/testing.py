"""The contract that every agent keeps, as a test class to inherit.

    from agents.testing import AgentContract

    class TestMine(AgentContract):
        agent = "mypackage.mymodule:MyAgent"

pytest then runs every method here on the agent. Tables are made by `LookupTable.from_function`;
nothing but this package, the simulator and pytest is needed. `small_table`, `toy_score` and
`run_trials` are there for tests of one's own.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from agents.base import Agent
from agents.card import TaskCard
from agents.registry import agent_class, create
from simulator import Ask, Clock, Configuration, LookupTable, Simulator, Trial
from simulator.errors import SearchFinished, UnknownName
from simulator.table import toy_task

GRID = (1, 2, 3, 5, 10, 20, 50, 100)

_IN_ANOTHER_PROCESS = """
import json, sys
from agents.testing import asked_by_seed
print(json.dumps(asked_by_seed(**json.loads(sys.argv[1]))))
"""


@dataclass
class Searched:
    """What `run_trials` did: trials in the order told, and whether the agent had nothing left."""

    trials: list[Trial] = field(default_factory=list)
    finished: bool = False

    @property
    def asked(self) -> list[str]:
        """What was asked, in the order asked; on fewer examples with their number behind."""
        ordered = sorted(self.trials, key=lambda trial: trial.index)
        return [str(t.asked) + ("" if t.examples is None else f" on {t.examples}") for t in ordered]

    @property
    def best(self) -> float:
        """Score of the incumbent, minus infinity where there is none."""
        scores = [t.score for t in self.trials if t.score is not None and t.examples is None]
        return max(scores, default=-math.inf)


def toy_score(configuration: Configuration) -> float:
    """A smooth score: a peak in each stage's log samples, a better model, a little interaction."""
    total, before = 0.0, 0.0
    for i, choice in enumerate(configuration.choices):
        peak = math.log(8.0 + 10.0 * i) + 0.5 * before
        height = 1.0 if choice.model == "large" else 0.6
        value = height - 0.08 * (math.log(choice.samples) - peak) ** 2
        total, before = total + value, value
    return total / len(configuration.choices)


def small_table(
    stages: int = 2,
    grid: tuple[int, ...] = GRID,
    *,
    hole: Callable[[Configuration], bool] | None = None,
    examples: int = 0,
) -> LookupTable:
    """A table of `toy_score` with two models a stage; `hole` says which cells are missing.

    With `examples` each cell has as many outcomes of 0 or 1 whose mean is near its score.
    """
    names = [f"stage{i}" for i in range(stages)]
    task = toy_task(dict.fromkeys(names, grid))

    def score(configuration: Configuration) -> float | None:
        return None if hole is not None and hole(configuration) else toy_score(configuration)

    def seconds(configuration: Configuration) -> float:
        return sum(0.3 + 0.01 * choice.samples for choice in configuration.choices)

    table = LookupTable.from_function(task, score, seconds=seconds)
    if not examples:
        return table
    scores = table.scores()
    levels = (np.arange(examples) * 7 % examples + 0.5) / examples
    outcomes = (levels[None, :] < scores[:, None]).astype(float)
    outcomes[np.isnan(scores)] = np.nan
    means = outcomes.mean(axis=1)
    return LookupTable.from_arrays(
        task,
        {"train": {"score": means}, "test": {"score": means}},
        seconds={"train": table.split("train").seconds, "test": table.split("test").seconds},
        outcomes={"train": {"score": outcomes}},
    )


def run_trials(agent: Agent, simulator: Simulator, trials: int, *, workers: int = 1) -> Searched:
    """Ask and tell on the simulated clock, as the harness does."""
    clock = Clock[Trial](workers)
    result, asked = Searched(), 0
    while True:
        while clock.free and asked < trials and not result.finished:
            try:
                ask = agent.ask()
            except SearchFinished:
                result.finished = True
                break
            wanted = ask if isinstance(ask, Ask) else Ask(ask)
            if wanted.invalid:
                trial = simulator.record_failure(wanted.invalid, start=clock.now, why=wanted.why)
            else:
                trial = simulator.evaluate(
                    wanted.configuration, examples=wanted.examples, start=clock.now, why=wanted.why
                )
            clock.start(trial, trial.seconds)
            asked += 1
        if clock.idle:
            return result
        trial = clock.next()
        result.trials.append(trial)
        agent.tell(trial)


def asked_by_seed(
    agent: str, settings: Mapping[str, Any], seed: int, trials: int, workers: int
) -> list[str]:
    """What an agent asks of the small table under a seed."""
    simulator = Simulator(small_table(), budget=250, seed=seed)
    card = TaskCard.of(simulator, trials=trials, workers=workers)
    made = create(agent, card, seed, **settings)
    return run_trials(made, simulator, trials, workers=workers).asked


class AgentContract:
    """Inherit, name the `agent`, and pytest checks that it keeps the contract.

    - `agent`: a registered name or `module:Class`;
    - `settings`: keywords for it, where the defaults are not to be tested;
    - `repeats`: true where the agent may ask a configuration again on purpose;
    - `trials`: trials of a run; fewer where an agent is slow.
    """

    agent: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    repeats: ClassVar[bool] = False
    trials: ClassVar[int] = 25

    def run(
        self,
        table: LookupTable,
        budget: float,
        *,
        seed: int = 0,
        trials: int | None = None,
        workers: int = 1,
        told: tuple[Trial, ...] = (),
        match: Any = "nearest",
    ) -> Searched:
        """One run of the agent, after being told of some trials that it did not ask for."""
        trials = self.trials if trials is None else trials
        simulator = Simulator(table, budget, seed=seed, match=match)
        card = TaskCard.of(simulator, trials=trials, workers=workers)
        agent = create(self.agent, card, seed, **self.settings)
        for trial in told:
            agent.tell(trial)
        return run_trials(agent, simulator, trials, workers=workers)

    def test_is_an_agent(self) -> None:
        simulator = Simulator(small_table(), budget=250)
        made = create(self.agent, TaskCard.of(simulator), 0, **self.settings)
        assert isinstance(made, Agent)

    def test_uses_its_trials_on_affordable_configurations(self) -> None:
        result = self.run(small_table(), 250)
        assert len(result.trials) == self.trials
        assert not result.finished
        assert all(trial.feasible for trial in result.trials), "asked what it could not afford"
        if not self.repeats:
            assert len(set(result.asked)) == len(result.asked), "asked the same twice"

    def test_same_seed_same_asks(self) -> None:
        first = self.run(small_table(), 250, seed=3)
        # What other code draws in between must not matter.
        random.random()  # noqa: S311
        np.random.rand()  # noqa: NPY002
        assert self.run(small_table(), 250, seed=3).asked == first.asked

    def test_same_seed_same_asks_in_another_process(self) -> None:
        given: dict[str, Any] = {
            "agent": self.agent,
            "settings": dict(self.settings),
            "seed": 5,
            "trials": min(self.trials, 15),
            "workers": 1,
        }
        other = subprocess.run(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, json.dumps(given)],
            check=True,
            capture_output=True,
            text=True,
        )
        assert json.loads(other.stdout) == asked_by_seed(**given)
        assert other.stderr == ""

    def test_seeds_differ(self) -> None:
        first, second = (self.run(small_table(), 250, seed=seed).asked for seed in (0, 1))
        assert (first == second) == getattr(agent_class(self.agent), "deterministic", False)

    def test_leaves_global_random_state_alone(self) -> None:
        # Importing a library may draw from it once, which is no search's doing.
        agent_class(self.agent)
        before = random.getstate(), np.random.get_state()  # noqa: NPY002
        self.run(small_table(), 250)
        after = random.getstate(), np.random.get_state()  # noqa: NPY002
        assert before[0] == after[0]
        assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))

    @pytest.mark.filterwarnings("error")
    def test_is_silent(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.run(small_table(), 250)
        assert capfd.readouterr() == ("", "")

    def test_asynchronous_workers(self) -> None:
        result = self.run(small_table(), 250, workers=4)
        assert len(result.trials) == self.trials
        if not self.repeats:
            assert len(set(result.asked)) == len(result.asked), "asked what is still running"
        assert self.run(small_table(), 250, workers=4).asked == result.asked

    def test_asked_ahead_without_being_told(self) -> None:
        simulator = Simulator(small_table(), budget=250)
        card = TaskCard.of(simulator, trials=self.trials, workers=self.trials)
        agent = create(self.agent, card, 0, **self.settings)
        asks = [agent.ask() for _ in range(self.trials)]
        for ask in reversed(asks):
            wanted = ask if isinstance(ask, Ask) else Ask(ask)
            agent.tell(simulator.evaluate(wanted.configuration, examples=wanted.examples))

    def test_survives_infeasible_trials(self) -> None:
        """Whole models of a stage are missing, so asks of them come back infeasible."""
        table = small_table(hole=lambda c: c.choices[0].model == "large")
        result = self.run(table, 250)
        assert len(result.trials) == self.trials
        assert any(trial.feasible for trial in result.trials)

    def test_survives_nothing_but_infeasible_trials(self) -> None:
        """All but the cheapest cell are missing: other models have no answer at all."""
        lone = "stage0=small:1,stage1=small:1"
        table = small_table(hole=lambda c: str(c) != lone)
        result = self.run(table, 250)
        assert len(result.trials) <= self.trials

    def test_survives_holes(self) -> None:
        """A trial may be answered by another configuration than the one asked."""
        table = small_table(hole=lambda c: sum(x.samples for x in c.choices) % 3 == 0)
        result = self.run(table, 250)
        assert result.finished or len(result.trials) == self.trials
        assert any(trial.answered != trial.asked for trial in result.trials)

    def test_single_affordable_configuration(self) -> None:
        table = small_table()
        simulator = Simulator(table, budget=1e9)
        cheapest = float(np.sort(simulator.cell_costs)[0])
        result = self.run(table, cheapest, trials=5)
        assert result.best == pytest.approx(toy_score(result.trials[0].asked))
        assert {trial.asked for trial in result.trials} == {result.trials[0].asked}
        assert result.finished or self.repeats

    def test_ten_cells_are_exhausted(self) -> None:
        """A small table ends the search instead of being asked over and over."""
        table = small_table(1, (1, 2, 3, 4, 5))
        result = self.run(table, 1e6, trials=40)
        assert result.best == max(table.scores())
        if not self.repeats:
            assert result.finished
            assert len(result.asked) == 10

    @pytest.mark.parametrize(("stages", "grid"), [(1, GRID), (6, (1, 3, 10))])
    def test_one_stage_or_six(self, stages: int, grid: tuple[int, ...]) -> None:
        trials = min(self.trials, 12)
        result = self.run(small_table(stages, grid), 400, trials=trials)
        assert len(result.trials) == trials or result.finished

    def test_one_model_and_one_sample_count(self) -> None:
        """Stages without a choice leave nothing to encode."""
        table = small_table(2, (4,))
        result = self.run(table, 1e6, trials=10)
        assert result.best == max(table.scores())

    def test_budget_that_binds_hard(self) -> None:
        """Only the few cheapest configurations can be had."""
        table = small_table()
        costs = np.sort(Simulator(table, budget=1e9).cell_costs)
        result = self.run(table, float(costs[7]), trials=8)
        assert all(trial.feasible for trial in result.trials)
        if not self.repeats:
            assert len(set(result.asked)) == len(result.asked)

    def test_told_of_trials_it_did_not_ask_for(self) -> None:
        """A warm start: what others found, off the grid and infeasible ones among it."""
        simulator = Simulator(small_table(), budget=250)
        names = (
            "stage0=small:1,stage1=small:1",
            "stage0=large:2,stage1=small:5",
            "stage0=small:7,stage1=small:13",
            "stage0=large:100,stage1=large:100",
        )
        told = tuple(simulator.evaluate(Configuration.parse(name)) for name in names)
        failed = simulator.record_failure("nothing valid was proposed")
        result = self.run(small_table(), 250, told=(*told, failed))
        assert len(result.trials) == self.trials

    def test_cheaper_trials_on_fewer_examples(self) -> None:
        """Where a table has outcomes an agent may ask for fewer; it still ends on all of them."""
        result = self.run(small_table(examples=50), 250)
        assert all(t.examples is None or 1 <= t.examples <= 50 for t in result.trials)
        assert any(t.examples is None and t.feasible for t in result.trials)

    def test_unknown_setting_is_named(self) -> None:
        simulator = Simulator(small_table(), budget=250)
        with pytest.raises(UnknownName, match="no_such_setting"):
            create(self.agent, TaskCard.of(simulator), 0, no_such_setting=1)
