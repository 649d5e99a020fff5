"""What tokens cost: never zero because no price is known."""

from __future__ import annotations

import pytest

from latency_failover import ModelAttempt
from switchyard.runtime.budget.prices import Prices
from switchyard.runtime.core.settings import TokenPrice

SONNET, GPT = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "gpt-5.2"
LIST = Prices({})


def attempt(model: str, tokens: int) -> ModelAttempt:
    return ModelAttempt(
        vendor="openai", model_id=model, role="primary", started_ms=0, ended_ms=1, outcome="won", input_tokens=tokens
    )


@pytest.mark.parametrize(("vendor", "model"), [("bedrock", SONNET), ("openai", GPT)])
def test_default_models_have_a_list_price(vendor: str, model: str) -> None:
    # A cent to ten dollars for 100,000 tokens in and out.
    assert 10_000 < (LIST.micros(vendor, model, 100_000, 100_000) or 0) < 10_000_000


def test_unknown_model_has_no_price_and_not_zero() -> None:
    assert LIST.micros("openai", "my-own-model", 1, 1) is None
    assert LIST.attempts_micros([attempt(GPT, 5), attempt("my-own-model", 5)]) is None


def test_attempt_without_tokens_needs_no_price() -> None:
    assert LIST.attempts_micros([attempt("my-own-model", 0)]) == 0


def test_configured_price_wins_and_is_rounded_up() -> None:
    prices = Prices({GPT: TokenPrice(input=0.3, output=0)})
    assert [prices.micros("openai", GPT, tokens, 9) for tokens in (0, 1, 10, 11)] == [0, 1, 3, 4]
