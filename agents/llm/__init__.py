"""Agents that think with a language model, and what they think with.

The port to any OpenAI-compatible endpoint, recordings of it, a scripted model for tests, and the
agents themselves; `docs/llm_agents.md` tells how to use them.
"""

from agents.llm.agent import LLMAgent
from agents.llm.endpoint import Endpoint
from agents.llm.estimate import Estimate, estimate, stand_in
from agents.llm.port import ChatModel, Message, ModelError, Reply, Request, Sampling
from agents.llm.recording import Recorder, Recording, RecordingError, Replay
from agents.llm.scripted import ScriptedModel
from agents.llm.settings import Thinking
from agents.llm.usage import Limits, Meter, Prices, SpendingLimit

__all__ = [
    "ChatModel",
    "Endpoint",
    "Estimate",
    "LLMAgent",
    "Limits",
    "Message",
    "Meter",
    "ModelError",
    "Prices",
    "Recorder",
    "Recording",
    "RecordingError",
    "Replay",
    "Reply",
    "Request",
    "Sampling",
    "ScriptedModel",
    "SpendingLimit",
    "Thinking",
    "estimate",
    "stand_in",
]
