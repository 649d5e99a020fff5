"""An evaluator of IAM identity policies, for the part of the language that our policies use.

An evaluator that ignored unknown parts would report wrong denials. An unknown operator, condition key or policy element
is a `NotImplementedError`, and so is a request with a context key that AWS does not send with the action.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

# Which context keys AWS sends with an action, from its Service Authorization Reference. Kept to what we use.
KEYS: dict[str, frozenset[str]] = {
    "bedrock": frozenset({"bedrock:InferenceProfileArn"}),
    "events": frozenset({"events:source", "events:detail-type"}),
    "kms": frozenset({"kms:ViaService", "kms:EncryptionContextKeys", "kms:SigningAlgorithm"}),
    "s3": frozenset({"s3:prefix"}),
    "ses": frozenset({"ses:FromAddress"}),
}
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}
Values = str | Sequence[str]


@dataclass(frozen=True)
class Request:
    """A request to IAM."""

    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject keys that AWS does not send with this action."""
        for key in self.context:
            _known(key, self.action)

    def values(self, key: str) -> list[str] | None:
        """The values of a context key (its name is case-insensitive); None if it is absent."""
        for name, value in self.context.items():
            if name.lower() == key.lower():
                return _list(value)
        return None


def allows(policy: Mapping[str, Any], request: Request) -> bool:
    """Whether a statement of the policy allows the request and none denies it."""
    effects = {each["Effect"] for each in policy["Statement"] if _matches(each, request)}
    return "Allow" in effects and "Deny" not in effects


def _matches(statement: Mapping[str, Any], request: Request) -> bool:
    if unknown := statement.keys() - _ELEMENTS:
        raise NotImplementedError(f"policy elements {sorted(unknown)}")
    actions = [action.lower() for action in _list(statement["Action"])]
    return (
        any(fnmatchcase(request.action.lower(), pattern) for pattern in actions)
        and any(_like(request.resource, pattern) for pattern in _list(statement["Resource"]))
        and all(
            _holds(operator, key, _list(wanted), request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, key: str, wanted: list[str], request: Request) -> bool:
    _known(key, request.action)
    found = request.values(key)
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    quantifier, _, plain = operator.rpartition(":")
    if plain not in {"StringEquals", "StringLike"} or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise NotImplementedError(f"condition operator {operator}")

    def fits(value: str) -> bool:
        return any(value == each if plain == "StringEquals" else _like(value, each) for each in wanted)

    if quantifier == "ForAllValues":
        return all(fits(value) for value in found or [])
    if quantifier == "ForAnyValue":
        return any(fits(value) for value in found or [])
    if found is not None and len(found) != 1:
        raise NotImplementedError(f"{key} has {len(found)} values, and {operator} takes one")
    return found is not None and fits(found[0])


def _known(key: str, action: str) -> None:
    service = action.partition(":")[0]
    if key not in KEYS.get(service, ()) and not (service == "kms" and key.startswith("kms:EncryptionContext:")):
        raise NotImplementedError(f"condition key {key} with {action}")


def _like(value: str, pattern: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _list(value: Values) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
