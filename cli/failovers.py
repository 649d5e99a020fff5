"""A failover decision in one line that a person understands."""

from __future__ import annotations

from typing import Any

_WHY = {
    "primary": "answered",
    "ttft": "gave no first token in time",
    "projected": "streamed too slowly to finish in time",
    "error": "failed",
    "throttled": "throttled the call",
    "breaker": "was left alone after too many slow or failed calls",
    "hedge_win": "was slower than the hedged call",
    "budget": "would not have finished within the budget",
    "policy": "may not see this data",
}


def told(model_call: dict[str, Any] | None) -> str:
    """For example: `bedrock … gave no first token in time (1500 ms); openai gpt-5.2 answered in 312 ms`."""
    if not model_call:
        return ""
    answered = f"{model_call['vendor']} {model_call['model_id']} answered in {model_call['latency_ms']} ms"
    reason = model_call["reason"]
    if model_call["role"] == "primary":
        return answered
    attempts = model_call.get("decision", {}).get("attempts", [])
    left = next((attempt for attempt in attempts if attempt["role"] == "primary"), None)
    if left is None:
        return f"the primary {_WHY.get(reason, reason)}; {answered}"
    spent = left["ended_ms"] - left["started_ms"]
    return f"{left['vendor']} {left['model_id']} {_WHY.get(reason, reason)} ({spent} ms); {answered}"
