"""A failover in one line that a person understands."""

from __future__ import annotations

from typing import Any

import pytest

from switchyard.cli.app.failover_text import describe_model_call

PRIMARY = {"role": "primary", "vendor": "bedrock", "model_id": "claude"}
FALLBACK = {"role": "fallback", "vendor": "openai", "model_id": "gpt-5.2"}


def attempt(who: dict[str, str], outcome: str, started: int, ended: int, **more: Any) -> dict[str, Any]:
    return who | {"outcome": outcome, "started_ms": started, "ended_ms": ended} | more


def call(who: dict[str, str], reason: str, *attempts: dict[str, Any], **decision: Any) -> dict[str, Any]:
    return who | {"reason": reason, "latency_ms": 1_800, "decision": {"attempts": list(attempts)} | decision}


WON = attempt(FALLBACK, "won", 1_500, 1_800)
THROTTLED = attempt(PRIMARY, "throttled", 0, 40, error_code="ModelRateLimitError/429")


@pytest.mark.parametrize(
    ("model_call", "line"),
    [
        (call(PRIMARY, "primary", attempt(PRIMARY, "won", 0, 1_800)), "bedrock claude answered in 1800 ms"),
        (
            call(FALLBACK, "ttft", attempt(PRIMARY, "abandoned", 0, 1_500), WON),
            "bedrock claude gave no first token in time (1500 ms); openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "projected", attempt(PRIMARY, "abandoned", 0, 1_500), WON),
            "bedrock claude streamed too slowly to finish in time (1500 ms); openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "hedge_win", attempt(PRIMARY, "lost", 0, 900), WON),
            "bedrock claude was slower than the hedged call (900 ms); openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "throttled", THROTTLED, WON),
            "bedrock claude throttled the call (40 ms); openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "throttled", WON, earlier=[THROTTLED]),
            "bedrock claude throttled the call (ModelRateLimitError/429) in an earlier delivery; "
            "openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "breaker", WON),
            "the primary was left alone after too many slow or failed calls; openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "budget", WON),
            "the primary would not have finished within the budget; openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "policy", WON, not_permitted=["bedrock:claude (us)"]),
            "bedrock:claude (us) may not see this data; openai gpt-5.2 answered in 1800 ms",
        ),
        (
            call(FALLBACK, "throttled", THROTTLED, attempt(FALLBACK, "abandoned", 40, 9_000), result="failed"),
            "no model answered: bedrock claude throttled the call (ModelRateLimitError/429) (40 ms); "
            "openai gpt-5.2 was too slow (8960 ms)",
        ),
        (call(PRIMARY, "primary", result="failed"), "no model answered: no time was left to ask any"),
        (None, ""),
    ],
)
def test_failover_is_described_in_one_line(model_call: dict[str, Any] | None, line: str) -> None:
    assert describe_model_call(model_call) == line
