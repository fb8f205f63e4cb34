"""Engines by name. To add one: a file here and a line in `ENGINES`, or `module:Class`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from collectors.engines.base import Batch, Chunk, Draw, Engine, Reply, Request, failed, fault
from collectors.errors import SweepError
from simulator.errors import UnknownName

ENGINES: Mapping[str, str] = {
    "scripted": "collectors.engines.scripted:ScriptedEngine",
    "vllm": "collectors.engines.vllm_offline:VllmEngine",
    "openai": "collectors.engines.openai_server:OpenAIEngine",
    "ray": "collectors.engines.ray_actors:RayEngine",
}


def load_object(target: str, what: str) -> Any:
    """The object named `module:name`; raises `SweepError` saying what is missing."""
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise SweepError(f"{what}: {target!r} is not module:name")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SweepError(f"{what}: no module named {error.name!r}") from None
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise SweepError(f"{what}: module {module_name!r} cannot be imported: {why}") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise SweepError(f"{what}: module {module_name!r} has no {attribute!r}") from None


def make_engine(kind: str, settings: Mapping[str, Any]) -> Engine:
    """An engine by name with its settings; raises `UnknownName`, `SweepError`, `MissingExtra`."""
    target = ENGINES.get(kind, kind)
    if ":" not in target:
        raise UnknownName("engine", kind, ENGINES)
    made = load_object(target, f"engine {kind!r}")
    checker = getattr(made, "Settings", None)
    try:
        engine: Engine = made(checker(**settings)) if checker else made(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        message = first["msg"].removeprefix("Value error, ")
        raise SweepError(f"engine.{where}: {message}") from None
    except TypeError as error:
        raise SweepError(f"engine {kind!r}: {error}") from None
    return engine


__all__ = [
    "ENGINES",
    "Batch",
    "Chunk",
    "Draw",
    "Engine",
    "Reply",
    "Request",
    "failed",
    "fault",
    "load_object",
    "make_engine",
]
