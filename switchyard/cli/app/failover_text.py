"""A failover decision in one line that a person understands."""

from __future__ import annotations

from typing import Any

_WHY = {
    "primary": "answered",
    "ttft": "gave no first token in time",
    "projected": "streamed too slowly to finish in time",
    "error": "failed",
    "throttled": "throttled the call",
    "truncated": "reached a token limit",
    "filtered": "was stopped by a content filter",
    "breaker": "was left alone after too many slow or failed calls",
    "hedge_win": "was slower than the hedged call",
    "budget": "would not have finished within the budget",
    "policy": "may not see this data",
}
_ENDED = {
    "abandoned": "was too slow",
    "lost": "was slower",
    "throttled": "throttled the call",
    "error": "failed",
    "truncated": "reached a token limit",
    "filtered": "was stopped by a content filter",
    "rejected": "refused the request",
    "cancelled": "was cancelled",
}


def describe_model_call(model_call: dict[str, Any] | None) -> str:
    """For example: `bedrock … gave no first token in time (1500 ms); openai gpt-5.2 answered in 312 ms`."""
    if not model_call:
        return ""
    decision = model_call.get("decision", {})
    attempts = decision.get("attempts", [])
    if decision.get("result") == "failed":
        causes = "; ".join(_describe_attempt(each, _describe_outcome(each)) for each in attempts)
        return f"no model answered: {causes or 'no time was left to ask any'}"
    answered = f"{_model_name(model_call)} answered in {model_call['latency_ms']} ms"
    if model_call["role"] == "primary":
        return answered
    return f"{_describe_primary(model_call['reason'], decision, attempts)}; {answered}"


def _describe_primary(reason: str, decision: dict[str, Any], attempts: list[dict[str, Any]]) -> str:
    """Why the primary was left, or not even asked."""
    why = _WHY.get(reason, reason)
    if left := [attempt for attempt in attempts if attempt["role"] == "primary"]:
        return _describe_attempt(left[0], why)
    if reason == "policy" and decision.get("not_permitted"):
        return f"{', '.join(decision['not_permitted'])} {why}"
    earlier = [attempt for attempt in decision.get("earlier", []) if attempt["role"] == "primary"]
    if earlier and reason in {"error", "throttled", "truncated", "filtered", "ttft"}:
        return f"{_model_name(earlier[-1])} {_describe_outcome(earlier[-1])} in an earlier delivery"
    return f"the primary {why}"


def _model_name(call: dict[str, Any]) -> str:
    return f"{call['vendor']} {call['model_id']}"


def _describe_attempt(attempt: dict[str, Any], what: str) -> str:
    return f"{_model_name(attempt)} {what} ({attempt['ended_ms'] - attempt['started_ms']} ms)"


def _describe_outcome(attempt: dict[str, Any]) -> str:
    code = f" ({attempt['error_code']})" if attempt.get("error_code") else ""
    return f"{_ENDED.get(attempt['outcome'], attempt['outcome'])}{code}"
