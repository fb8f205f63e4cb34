"""A configuration: for every stage one (model, samples) pair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from simulator.errors import InvalidConfiguration

_SHOWN = 200
"""Characters of a text that an error repeats."""


class Choice(NamedTuple):
    """What one stage runs: `samples` draws of `model`."""

    stage: str
    model: str
    samples: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """One choice per stage, in the task's order.

    >>> c = Configuration.parse("retrieve=Qwen2.5-72B:1,answer=Llama-3B:50")
    >>> c.choices[1].samples
    50
    >>> str(c)
    'retrieve=Qwen2.5-72B:1,answer=Llama-3B:50'
    """

    choices: tuple[Choice, ...]

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """Read `stage=MODEL:SAMPLES,...`; a model's name may itself hold colons."""
        choices = []
        for part in text.split(","):
            stage, equals, rest = (piece.strip() for piece in part.partition("="))
            model, colon, samples = (piece.strip() for piece in rest.rpartition(":"))
            if not (stage and equals and model and colon) or "=" in rest:
                raise InvalidConfiguration(
                    f"configuration {_short(text)}: {_short(part.strip())} is not "
                    "stage=MODEL:SAMPLES"
                )
            if not re.fullmatch(r"[+-]?[0-9]+", samples, re.ASCII):
                raise InvalidConfiguration(
                    f"configuration {_short(text)}: samples of stage {_short(stage)} must be a "
                    f"whole number from 1, not {_short(samples)}"
                )
            if len(samples) > 9:
                raise InvalidConfiguration(
                    f"configuration {_short(text)}: samples of stage {_short(stage)} must be a "
                    f"whole number from 1 to 999999999, not {_short(samples)}"
                )
            if int(samples) < 1:
                raise InvalidConfiguration(
                    f"configuration {_short(text)}: samples of stage {_short(stage)} must be at "
                    f"least 1, not {samples}"
                )
            choices.append(Choice(stage, model, int(samples)))
        return cls(tuple(choices))

    def __str__(self) -> str:
        return ",".join(f"{c.stage}={c.model}:{c.samples}" for c in self.choices)


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
