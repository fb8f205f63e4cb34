"""Search algorithms: each asks for configurations and is told their trials."""

from agents.base import Agent
from agents.card import TaskCard
from agents.registry import AgentInfo, agent_class, available, create

__all__ = ["Agent", "AgentInfo", "TaskCard", "agent_class", "available", "create"]
