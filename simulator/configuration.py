"""A configuration: for every stage one (model, samples) pair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from simulator.errors import InvalidConfiguration

_CHOICE = re.compile(
    r"^\s*(?P<stage>[^=,]+?)\s*=\s*(?P<model>[^=,]+?)\s*:\s*(?P<samples>[^:=,]*?)\s*$"
)


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
            match = _CHOICE.match(part)
            if match is None:
                raise InvalidConfiguration(
                    f"configuration {text!r}: {part.strip()!r} is not stage=MODEL:SAMPLES"
                )
            stage, model, samples = match["stage"], match["model"], match["samples"]
            if not re.fullmatch(r"[+-]?[0-9]{1,9}", samples, re.ASCII):
                raise InvalidConfiguration(
                    f"configuration {text!r}: samples of stage {stage!r} must be a whole number "
                    f"from 1, not {samples!r}"
                )
            if int(samples) < 1:
                raise InvalidConfiguration(
                    f"configuration {text!r}: samples of stage {stage!r} must be at least 1, "
                    f"not {samples}"
                )
            choices.append(Choice(stage, model, int(samples)))
        return cls(tuple(choices))

    def __str__(self) -> str:
        return ",".join(f"{c.stage}={c.model}:{c.samples}" for c in self.choices)
