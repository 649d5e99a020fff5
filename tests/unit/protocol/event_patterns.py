"""EventBridge's matching, as far as our rules use it: exact values, `prefix` and `exists`.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

from typing import Any


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether the event has, for every field of the pattern, one of the listed values."""
    for name, wanted in pattern.items():
        if isinstance(wanted, dict):
            inner = event.get(name)
            if not isinstance(inner, dict) or not matches(wanted, inner):
                return False
        elif not any(_holds(condition, name, event) for condition in wanted):
            return False
    return True


def _holds(condition: Any, name: str, event: dict[str, Any]) -> bool:
    if not isinstance(condition, dict):
        return name in event and event[name] == condition
    ((operator, operand),) = condition.items()
    if operator == "exists":
        return (name in event) is operand
    if operator == "prefix":
        return isinstance(event.get(name), str) and event[name].startswith(operand)
    raise NotImplementedError(f"the rules use {operator}, and this matcher does not know it")
