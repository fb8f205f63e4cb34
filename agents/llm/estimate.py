"""What a run will cost, before it starts: the same agent, answered by a stand-in without network.

The stand-in gives valid replies of ordinary length, and trials get made-up scores, so the prompts
grow as they will. Tokens are counted as a quarter of the characters. Repair rounds, failed
proposals and hidden reasoning come on top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from agents.card import TaskCard
from agents.llm.agent import LLMAgent
from agents.llm.port import Request
from agents.llm.proposals import as_json
from agents.llm.scripted import ScriptedModel
from agents.llm.usage import Prices
from agents.registry import agent_class, create
from simulator import Ask, Configuration, Trial
from simulator.errors import SearchFinished, UsageError

_SENTENCE = "An ordinary sentence of the length that a model writes when it is asked for a reason."


@dataclass(frozen=True)
class Estimate:
    """Calls and tokens of a run; `dollars` is `None` where no price is known."""

    calls: int
    tokens_in: int
    tokens_out: int
    dollars: float | None

    def __str__(self) -> str:
        cost = "price unknown" if self.dollars is None else f"about {self.dollars:.2f} dollars"
        return (
            f"about {self.calls} calls, {self.tokens_in} tokens of prompts and {self.tokens_out} "
            f"of replies, {cost}; repairs and hidden reasoning come on top"
        )


def estimate(agent: str, card: TaskCard, seed: int = 0, **settings: Any) -> Estimate:
    """Estimate a whole run of an agent with these settings; no model is asked."""
    left_out = ("model", "base_url", "record", "replay", "max_dollars", "max_tokens", "repairs")
    own = {name: value for name, value in settings.items() if name not in left_out}
    if not issubclass(agent_class(agent), LLMAgent):
        raise UsageError(f"agent {agent!r} asks no language model, so there is nothing to estimate")
    model = stand_in(card, np.random.default_rng(seed))
    made = cast(LLMAgent, create(agent, card, seed, **own, model=model, repairs=0))
    # Made-up scores are drawn apart from the replies, so that either can change alone.
    rng = np.random.default_rng((seed, 1))
    for index in range(card.trials):
        try:
            asked = made.ask()
        except SearchFinished:
            break
        made.tell(_trial(index, asked, card, rng))
    usage = made.usage
    tokens_in, tokens_out = int(usage["tokens_in"]), int(usage["tokens_out"])
    prices = Prices(settings.get("price_in"), settings.get("price_out"))
    dollars = prices.dollars(tokens_in, tokens_out) if prices.known else None
    return Estimate(int(usage["calls"]), tokens_in, tokens_out, dollars)


def stand_in(card: TaskCard, rng: np.random.Generator) -> ScriptedModel:
    """A model that gives any question of any agent a valid answer, with random configurations."""

    def answer(request: Request) -> str:
        value = _value(request.schema, request.schema.get("$defs", {}), card, rng)
        return json.dumps(value, indent=1)

    return ScriptedModel(answer, name="stand-in")


def _trial(index: int, ask: Ask, card: TaskCard, rng: np.random.Generator) -> Trial:
    asked = ask.configuration
    if ask.invalid:
        return Trial(index, asked, None, False, ask.invalid, None, {}, 0.0, 0.0, 0.0, why=ask.why)
    score = float(rng.random())
    cost = card.cost(asked)
    trial = Trial(index, asked, asked, True, "", score, {card.task.metric: score}, cost, 1.0, 1.0)
    return trial._replace(why=ask.why)


def _value(
    schema: Mapping[str, Any], known: Mapping[str, Any], card: TaskCard, rng: np.random.Generator
) -> Any:
    reference = schema.get("$ref", "")
    if reference:
        name = reference.rsplit("/", 1)[-1]
        if name == "Configuration":
            return as_json(_configuration(card, rng))
        return _value(known[name], known, card, rng)
    kind = schema.get("type")
    if kind == "object":
        return {k: _value(v, known, card, rng) for k, v in schema["properties"].items()}
    if kind == "array":
        item = schema["items"]
        return [_value(item, known, card, rng) for _ in range(4)]
    if kind == "string":
        return _SENTENCE
    if kind == "boolean":
        return True
    return 0


def _configuration(card: TaskCard, rng: np.random.Generator) -> Configuration:
    return card.space.configuration(int(rng.choice(card.feasible_cells)))
