"""What a model's thinking costs, and the limits that it must not pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from agents.llm.port import Reply, Request, estimate_tokens
from simulator.errors import SearchFinished, UsageError


class SpendingLimit(SearchFinished):
    """The next call could pass a spending limit; the search ends and its trials are kept."""


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens of prompt and of output; `None` where no price is known."""

    dollars_in: float | None = None
    dollars_out: float | None = None

    def __post_init__(self) -> None:
        for name in ("dollars_in", "dollars_out"):
            _not_negative(name.replace("dollars", "price"), getattr(self, name))
        if (self.dollars_in is None) != (self.dollars_out is None):
            raise UsageError("price_in and price_out go together: give both, in dollars a million")

    @property
    def known(self) -> bool:
        return self.dollars_in is not None

    def dollars(self, tokens_in: float, tokens_out: float) -> float:
        """Price of a call, 0 where no price is known."""
        return ((self.dollars_in or 0.0) * tokens_in + (self.dollars_out or 0.0) * tokens_out) / 1e6


@dataclass(frozen=True)
class Limits:
    """The most that a run may spend: dollars, and tokens of prompt and output together."""

    max_dollars: float | None = None
    max_tokens: float | None = None

    def __post_init__(self) -> None:
        _not_negative("max_dollars", self.max_dollars)
        _not_negative("max_tokens", self.max_tokens)


@dataclass
class Meter:
    """Counts calls, tokens, dollars and seconds, and refuses a call that could pass a limit.

    `estimated` counts the calls whose tokens the server did not report; `repairs` those that asked
    the model to correct a reply; `invalid` the proposals that stayed invalid.
    """

    prices: Prices
    limits: Limits
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    estimated: int = 0
    repairs: int = 0
    proposals: int = 0
    invalid: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        if self.limits.max_dollars is not None and not self.prices.known:
            raise UsageError(
                "max_dollars needs the model's prices: price_in and price_out, in dollars per "
                "million tokens"
            )

    @property
    def dollars(self) -> float:
        return self.prices.dollars(self.tokens_in, self.tokens_out)

    def check(self, request: Request) -> None:
        """Raise `SpendingLimit` where this call's worst case would pass a limit.

        The worst case is the prompt (a third of its characters, more than most tokenisers make of
        it) and the longest reply that the settings allow.
        """
        tokens_in = math.ceil(len(request.text) / 3)
        tokens_out = request.sampling.max_output_tokens
        most = self.limits.max_tokens
        used = self.tokens_in + self.tokens_out
        if most is not None and used + tokens_in + tokens_out > most:
            raise SpendingLimit(
                f"max_tokens={most:g} reached: {used} tokens used in {self.calls} calls, and the "
                f"next call could take {tokens_in + tokens_out} more"
            )
        most = self.limits.max_dollars
        worst = self.prices.dollars(tokens_in, tokens_out)
        if most is not None and self.dollars + worst > most:
            raise SpendingLimit(
                f"max_dollars={most:g} reached: {self.dollars:.4f} dollars spent in {self.calls} "
                f"calls, and the next call could cost {worst:.4f} more"
            )

    def add(self, request: Request, reply: Reply) -> None:
        """Count a call; tokens that the server did not report are estimated."""
        counted = bool(reply.tokens_in) and not reply.estimated
        self.calls += 1
        self.estimated += not counted
        self.tokens_in += reply.tokens_in or estimate_tokens(request.text)
        self.tokens_out += reply.tokens_out or estimate_tokens(reply.text)
        self.seconds += reply.seconds

    def usage(self) -> Mapping[str, float]:
        """The counts by name; `dollars` is left out where no price is known."""
        dollars = {"dollars": self.dollars} if self.prices.known else {}
        return {
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            **dollars,
            "seconds": self.seconds,
            "estimated_calls": self.estimated,
            "repairs": self.repairs,
            "proposals": self.proposals,
            "invalid": self.invalid,
            "repeated": self.repeated,
        }


def _not_negative(name: str, value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(f"{name} must be a number of at least 0, not {value!r}")
