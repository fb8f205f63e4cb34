"""The simulator: tasks, configurations, lookup tables, and trials replayed from them."""

from simulator.clock import Clock
from simulator.configuration import Choice, Configuration
from simulator.cost import COST_MODELS, CostModel, units
from simulator.errors import AgentTTSError
from simulator.outcomes import Outcomes
from simulator.simulator import Optimum, Simulator
from simulator.space import Space
from simulator.table import LookupTable, SplitTable
from simulator.task import Model, Stage, Task
from simulator.trial import Ask, Trial

__all__ = [
    "COST_MODELS",
    "AgentTTSError",
    "Ask",
    "Choice",
    "Clock",
    "Configuration",
    "CostModel",
    "LookupTable",
    "Model",
    "Optimum",
    "Outcomes",
    "Simulator",
    "Space",
    "SplitTable",
    "Stage",
    "Task",
    "Trial",
    "units",
]
