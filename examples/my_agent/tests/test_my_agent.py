"""The contract that every agent keeps, inherited, and what this one promises beyond it."""

from agents import TaskCard, create
from agents.testing import AgentContract, run_trials, small_table
from simulator import Simulator

AGENT = "my_agent:MyAgent"


class TestMyAgent(AgentContract):
    agent = AGENT


def test_a_local_search_changes_one_stage_at_a_time() -> None:
    simulator = Simulator(small_table(), budget=250)
    agent = create(AGENT, TaskCard.of(simulator, trials=8), 0, local=1.0)
    trials = run_trials(agent, simulator, 8).trials
    for i, trial in enumerate(trials[1:], start=1):
        best = max(trials[:i], key=lambda told: told.score or 0.0)
        pairs = zip(trial.asked.choices, best.asked.choices, strict=True)
        assert sum(mine != its for mine, its in pairs) == 1
