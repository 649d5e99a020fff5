"""What a run cost: list prices by the ids that models are called by."""

from __future__ import annotations

import pytest

from switchyard.evals.recording import ModelUsage

USAGE = ModelUsage(calls=2, input_tokens=1_000_000, output_tokens=100_000)


@pytest.mark.parametrize("model", ["openai:gpt-5.2", "gpt-5.2", "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0"])
def test_model_with_a_list_price_costs_something(model: str) -> None:
    dollars = USAGE.dollars(model)
    assert dollars is not None
    assert dollars > 1


@pytest.mark.parametrize("model", ["qwen3-coder", "openai:qwen3-coder", "local:7b", ""])
def test_model_without_a_list_price_has_no_cost(model: str) -> None:
    assert USAGE.dollars(model) is None
