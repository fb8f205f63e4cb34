"""Agents by name: the shipped ones, and those that other packages offer.

To add an agent here: one file, and one line in `SHIPPED`. To offer one from another package, name
its class in the entry point group `agenttts.agents`. Nothing is imported until it is made.
"""

from __future__ import annotations

import importlib
import inspect
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from agents.base import Agent
from agents.card import TaskCard
from agents.tuning import tuned
from simulator.errors import MissingExtra, UnknownName, UsageError

ENTRY_POINT_GROUP = "agenttts.agents"


@dataclass(frozen=True)
class AgentInfo:
    """One line of `agenttts agents`. `extra` installs what the agent needs, empty for the base."""

    name: str
    target: str
    summary: str
    extra: str = ""
    llm: bool = False
    source: str = "shipped"


SHIPPED: Mapping[str, AgentInfo] = {
    info.name: info
    for info in (
        AgentInfo(
            "insight",
            "agents.insight:InsightPlanner",
            "this project's planner: the three insights, no language model",
        ),
        AgentInfo("random", "agents.random_search:RandomSearch", "uniform, without repeats"),
        AgentInfo("grid", "agents.grid_search:GridSearch", "every configuration, coarse to fine"),
        AgentInfo(
            "gp",
            "agents.gp:GaussianProcess",
            "Bayesian optimisation: a Gaussian process, exact over all affordable configurations",
        ),
        AgentInfo(
            "hyperband",
            "agents.hyperband:Hyperband",
            "successive halving over the number of training examples, where a table has outcomes",
        ),
        AgentInfo(
            "tpe",
            "agents.tpe:TPE",
            "Optuna's tree-structured Parzen estimator, budget as a constraint",
            extra="optimisers",
        ),
        AgentInfo(
            "genetic",
            "agents.genetic:Genetic",
            "Optuna's NSGA-II with one objective: an elitist genetic algorithm",
            extra="optimisers",
        ),
        AgentInfo(
            "cmaes",
            "agents.cma_es:CMAES",
            "CatCMA with margin: CMA-ES over categories and grid points (cmaes)",
            extra="optimisers",
        ),
        AgentInfo(
            "nevergrad",
            "agents.nevergrad_search:Nevergrad",
            "an optimiser of Nevergrad's, chosen by name",
            extra="optimisers",
        ),
        AgentInfo(
            "smac",
            "agents.smac_search:SMAC",
            "SMAC3: random forest and expected improvement over affordable configurations",
            extra="smac",
        ),
        AgentInfo(
            "agenthpo",
            "agents.llm.agenthpo:AgentHPO",
            "a model reads the log of trials and rationales, and names the next trial",
            extra="llm",
            llm=True,
        ),
        AgentInfo(
            "agenttts",
            "agents.llm.agenttts:AgentTTS",
            "a model turns the archive into guidelines, and guidelines into candidates",
            extra="llm",
            llm=True,
        ),
        AgentInfo(
            "insight-llm",
            "agents.llm.insight_llm:InsightLLM",
            "the insight planner proposes, a model may overrule it",
            extra="llm",
            llm=True,
        ),
        AgentInfo(
            "llm-zero-shot",
            "agents.llm.zero_shot:ZeroShot",
            "a model names configurations and is not told how they score",
            extra="llm",
            llm=True,
        ),
        AgentInfo(
            "mlcopilot",
            "agents.llm.mlcopilot:MLCopilot",
            "a model carries experience on other tasks over",
            extra="llm",
            llm=True,
        ),
    )
}


def available() -> dict[str, AgentInfo]:
    """Every agent by name: shipped ones, then entry points of installed packages."""
    found = dict(SHIPPED)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        package = point.dist.name if point.dist else point.module
        info = AgentInfo(point.name, point.value, f"from the package {package}", source=package)
        found.setdefault(point.name, info)
    return found


def agent_class(name: str) -> type[Agent]:
    """The class of an agent by name or as `module:Class`; raises `UnknownName`, `MissingExtra`."""
    if name in SHIPPED:  # a search need not look through the installed packages
        target, extra = SHIPPED[name].target, SHIPPED[name].extra
    elif ":" in name:
        target, extra = name, ""
    else:
        known = available()
        if name not in known:
            raise UnknownName("agent", name, known)
        target, extra = known[name].target, known[name].extra
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"agent {name!r} is not module:Class")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if extra:
            raise MissingExtra(missing, extra, f"the agent {name!r}") from None
        raise UsageError(f"agent {name!r}: no module named {missing!r}") from None
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(f"agent {name!r}: its module cannot be imported: {what}") from error
    found = getattr(module, attribute, None)
    if found is None:
        names = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise UnknownName(f"class in module {module_name!r}", attribute, names)
    if not callable(getattr(found, "ask", None)) or not callable(getattr(found, "tell", None)):
        raise UsageError(f"agent {name!r}: {target} is no agent; it needs ask() and tell()")
    result: type[Agent] = found
    return result


def create(name: str, card: TaskCard, seed: int = 0, **settings: Any) -> Agent:
    """Make an agent for a task card; the same name, card, seed and settings ask the same things.

    The setting `tuning` may name what `agents.tuning` holds for the agent: `best-case`.
    """
    made = agent_class(name)
    if name in SHIPPED:
        settings = tuned(name, settings)
    known = list(inspect.signature(made).parameters)[2:] if settings else []
    for setting in settings:
        if setting not in known:
            raise UnknownName(f"setting of agent {name!r}", setting, known)
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    return made(card, rng, **settings)
