"""Counting tokens and dollars, and stopping before a limit is passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm import Limits, Message, Meter, Prices, Reply, Request, Sampling, SpendingLimit
from simulator.errors import UsageError


def request(characters: int = 300, most: int = 100) -> Request:
    return Request((Message("user", "x" * characters),), Sampling(max_output_tokens=most))


def test_dollars_by_prices():
    meter = Meter(Prices(1.1, 4.4), Limits())
    meter.add(request(), Reply("y", 1000, 500, 2.5))
    meter.add(request(), Reply("y", 2000, 100, 1.0))
    usage = meter.usage()
    assert (usage["calls"], usage["tokens_in"], usage["tokens_out"]) == (2, 3000, 600)
    assert usage["dollars"] == pytest.approx((3000 * 1.1 + 600 * 4.4) / 1e6)
    assert usage["seconds"] == 3.5
    assert usage["estimated_calls"] == 0


def test_no_price_gives_no_dollars_rather_than_none_spent():
    assert "dollars" not in Meter(Prices(), Limits()).usage()


def test_uncounted_tokens_are_estimated_and_said_to_be():
    meter = Meter(Prices(), Limits())
    meter.add(request(300), Reply("y" * 40))
    usage = meter.usage()
    assert (usage["tokens_in"], usage["tokens_out"], usage["estimated_calls"]) == (75, 10, 1)


@given(st.integers(1, 5000), st.integers(0, 100), st.floats(0.01, 20), st.floats(0.01, 80))
def test_limits_are_never_passed(limit, percent, price_in, price_out):
    """Where replies keep to their bound and prompts have at most a token in three characters."""
    prices = Prices(price_in, price_out)
    dollars = prices.dollars(limit, limit) * percent / 100
    meter = Meter(prices, Limits(max_dollars=dollars, max_tokens=limit))
    for _ in range(200):
        try:
            meter.check(request())
        except SpendingLimit:
            break
        meter.add(request(), Reply("y", 100, 100))
    else:
        pytest.fail("no limit stopped the run")
    assert meter.tokens_in + meter.tokens_out <= limit
    assert meter.dollars <= dollars


def test_a_limit_says_what_was_spent():
    meter = Meter(Prices(1, 1), Limits(max_tokens=350))
    meter.check(request())
    meter.add(request(), Reply("y", 100, 90))
    with pytest.raises(SpendingLimit, match="max_tokens=350 reached: 190 tokens used in 1 calls"):
        meter.check(request())
    meter = Meter(Prices(1000, 1000), Limits(max_dollars=0.1))
    with pytest.raises(SpendingLimit, match=r"max_dollars=0\.1 reached: 0\.0000 dollars"):
        meter.check(request())


@pytest.mark.parametrize("wrong", [-1, "five", True, float("nan")])
def test_wrong_limits_and_prices(wrong):
    with pytest.raises(UsageError, match="max_tokens must be a number"):
        Limits(max_tokens=wrong)
    with pytest.raises(UsageError, match="max_dollars must be a number"):
        Limits(max_dollars=wrong)
    with pytest.raises(UsageError, match="price_in must be a number"):
        Prices(wrong, 1)


def test_half_a_price_and_a_limit_without_one():
    with pytest.raises(UsageError, match="price_in and price_out go together"):
        Prices(1.0)
    with pytest.raises(UsageError, match="max_dollars needs the model's prices"):
        Meter(Prices(), Limits(max_dollars=1))
