"""The evaluator of IAM policies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.terraform.evaluator import Request, allows

PUT = "events:PutEvents"


def policy(**parts: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": PUT, "Resource": "bus"} | parts]}


def test_for_all_values_is_true_for_an_absent_key() -> None:
    wanted = {"ForAllValues:StringEquals": {"events:source": ["a"]}}
    assert allows(policy(Condition=wanted), Request(PUT, "bus"))
    assert not allows(policy(Condition=wanted | {"Null": {"events:source": "false"}}), Request(PUT, "bus"))
    assert not allows(policy(Condition=wanted), Request(PUT, "bus", {"events:source": ["a", "b"]}))


def test_plain_operator_is_false_for_an_absent_key() -> None:
    wanted = {"StringEquals": {"events:source": ["a", "b"]}}
    assert allows(policy(Condition=wanted), Request(PUT, "bus", {"events:source": "b"}))
    assert not allows(policy(Condition=wanted), Request(PUT, "bus"))


def test_deny_overrides_allow() -> None:
    both = {"Statement": [*policy()["Statement"], *policy(Effect="Deny", Action="events:*")["Statement"]]}
    assert allows(policy(), Request(PUT, "bus"))
    assert not allows(both, Request(PUT, "bus"))


def test_star_matches_slashes_and_actions_are_case_insensitive() -> None:
    assert allows(policy(Resource="b*", Action="EVENTS:putevents"), Request(PUT, "bus/a/b"))
    assert not allows(policy(Resource="b?s"), Request(PUT, "buus"))


@pytest.mark.parametrize(
    "parts",
    [
        {"Condition": {"DateLessThan": {"events:source": "a"}}},
        {"Condition": {"StringEquals": {"events:sauce": "a"}}},
        {"Condition": {"StringEquals": {"s3:prefix": "a"}}},
        {"NotAction": "x"},
    ],
)
def test_unknown_part_of_a_policy_is_an_error(parts: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        allows(policy(**parts), Request(PUT, "bus"))


def test_request_with_a_key_of_another_service_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        Request(PUT, "bus", {"kms:ViaService": "sqs"})
