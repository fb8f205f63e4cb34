"""The settings that every agent that thinks with a language model has in common."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from agents.llm.endpoint import Endpoint, Structured
from agents.llm.port import ChatModel, Sampling
from agents.llm.recording import Recorder, Recording, Replay
from agents.llm.usage import Limits, Meter, Prices
from simulator.errors import UsageError


class Thinking(TypedDict, total=False):
    """Which model thinks, how, and how much it may spend. Every one may be left out.

    | setting | meaning | default |
    | --- | --- | --- |
    | `model` | its name, or a `ChatModel` | `AGENTTTS_MODEL` |
    | `base_url` | address of an OpenAI-compatible server | `AGENTTTS_BASE_URL`, OpenAI's |
    | `temperature`, `reasoning_effort` | sent where given | the server's |
    | `max_output_tokens` | bound of one reply | 4096 |
    | `send_seed` | send the run's seed to the server | true |
    | `structured` | `auto`, `schema`, `json` or `text` | `auto` |
    | `repairs` | how often a reply's mistakes are told to the model | 2 |
    | `retries`, `timeout` | further attempts of a call, seconds an attempt | 5, 120 |
    | `price_in`, `price_out` | dollars per million tokens | unknown |
    | `max_dollars`, `max_tokens` | spending limits of the run | none |
    | `record` | file that the calls are written to, and answered from where it holds them | none |
    | `replay` | file or folder that alone answers the calls | none |
    | `max_history` | show a prompt at most so many trials, the best and the latest | all |
    | `off_grid` | accept sample counts between those of the grid | false |
    """

    model: str | ChatModel
    base_url: str
    temperature: float
    reasoning_effort: str
    max_output_tokens: int
    send_seed: bool
    structured: Structured
    repairs: int
    retries: int
    timeout: float
    price_in: float
    price_out: float
    max_dollars: float
    max_tokens: float
    record: str
    replay: str
    max_history: int
    off_grid: bool


def chat_model(settings: Thinking) -> ChatModel:
    """The model that the settings name: scripted, replayed, live, or live and recorded."""
    named = settings.get("model")
    record, replay = settings.get("record"), settings.get("replay")
    if record and replay:
        raise UsageError(
            "record and replay exclude each other: record answers from its file what it holds and "
            "adds the rest, replay never asks a model"
        )
    if named is not None and not isinstance(named, str):
        if not isinstance(named, ChatModel):
            raise UsageError(f"model must be a name or have name and reply(), not {named!r}")
        made: ChatModel = named
        if replay:
            raise UsageError("replay answers from a recording: model must be a name or left out")
    elif replay:
        return Replay(Recording.load(replay), named or None)
    else:
        made = Endpoint(
            named,
            settings.get("base_url"),
            structured=settings.get("structured", "auto"),
            retries=settings.get("retries", 5),
            timeout=settings.get("timeout", 120.0),
        )
    return Recorder(made, record) if record else made


def sampling(settings: Thinking, rng: np.random.Generator) -> Sampling:
    """How the model samples; draws the run's seed from `rng`."""
    most = settings.get("max_output_tokens", 4096)
    if isinstance(most, bool) or not isinstance(most, int) or most < 16:
        raise UsageError(f"max_output_tokens must be a whole number of at least 16, not {most!r}")
    temperature = settings.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise UsageError(f"temperature must be a number from 0 to 2, not {temperature!r}")
    return Sampling(
        temperature=None if temperature is None else float(temperature),
        reasoning_effort=settings.get("reasoning_effort"),
        max_output_tokens=most,
        run_seed=int(rng.integers(2**31)),
        send_seed=bool(settings.get("send_seed", True)),
    )


def meter(settings: Thinking) -> Meter:
    """The counter of tokens and dollars with its limits."""
    return Meter(
        Prices(settings.get("price_in"), settings.get("price_out")),
        Limits(settings.get("max_dollars"), settings.get("max_tokens")),
    )
