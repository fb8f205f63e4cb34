"""Loads the prompts in `agents/llm/prompts`, fills them in, and names them by version and hash.

A template begins with `{# version N: what it is for #}`. Its hash covers its own source and that of
every template that it includes, so that any change of wording shows in the trace.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, meta

from simulator.errors import RunError

_VERSION = re.compile(r"\A\{# version (\d+):")


@dataclass(frozen=True)
class Prompt:
    """A filled template; `label` names it in a trace, as `agenttts/propose@1:3fa9c2d1`."""

    text: str
    label: str


@cache
def _environment() -> Environment:
    # Prompts are plain text for a model, not HTML.
    return Environment(
        loader=PackageLoader("agents.llm", "prompts"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        autoescape=False,  # noqa: S701
    )


def names() -> list[str]:
    """Every shipped template by name, without its suffix."""
    listed = _environment().list_templates(extensions=["j2"])
    return [name.removesuffix(".j2") for name in listed]


def render(name: str, context: Mapping[str, Any]) -> Prompt:
    """Fill a template; a missing value is an error, never an empty space."""
    text = _environment().get_template(f"{name}.j2").render(context)
    return Prompt(re.sub(r"\n{3,}", "\n\n", text).strip(), label(name))


@cache
def label(name: str) -> str:
    """`name@version:hash` of a template."""
    environment, seen, digest = _environment(), [f"{name}.j2"], hashlib.sha256()
    version = "0"
    for at in range(1000):
        if at == len(seen):
            break
        source = environment.loader.get_source(environment, seen[at])[0]  # type: ignore[union-attr]
        digest.update(source.encode())
        if at == 0:
            found = _VERSION.match(source)
            if found is None:
                raise RunError(f"the prompt {name!r} has no version in its first line")
            version = found[1]
        others = meta.find_referenced_templates(environment.parse(source))
        seen += sorted({other for other in others if other} - set(seen))
    return f"{name}@{version}:{digest.hexdigest()[:8]}"
