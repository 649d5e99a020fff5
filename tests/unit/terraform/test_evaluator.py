"""The evaluator itself: what it does not know, it refuses to judge."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.terraform.evaluator import Request, allows

PUT = "events:PutEvents"


def policy(**parts: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": PUT, "Resource": "bus"} | parts]}


def test_for_all_values_holds_for_an_absent_key_as_in_aws() -> None:
    wanted = {"ForAllValues:StringEquals": {"events:source": ["a"]}}
    assert allows(policy(Condition=wanted), Request(PUT, "bus"))
    assert not allows(policy(Condition=wanted | {"Null": {"events:source": "false"}}), Request(PUT, "bus"))
    assert not allows(policy(Condition=wanted), Request(PUT, "bus", {"events:source": ["a", "b"]}))


def test_a_plain_operator_wants_the_key_there() -> None:
    wanted = {"StringEquals": {"events:source": ["a", "b"]}}
    assert allows(policy(Condition=wanted), Request(PUT, "bus", {"events:source": "b"}))
    assert not allows(policy(Condition=wanted), Request(PUT, "bus"))


def test_a_denial_wins() -> None:
    both = {"Statement": [*policy()["Statement"], *policy(Effect="Deny", Action="events:*")["Statement"]]}
    assert allows(policy(), Request(PUT, "bus"))
    assert not allows(both, Request(PUT, "bus"))


def test_a_star_crosses_slashes_and_actions_have_no_case() -> None:
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
def test_what_it_does_not_know_is_an_error(parts: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        allows(policy(**parts), Request(PUT, "bus"))


def test_a_request_has_only_keys_that_aws_sends_with_its_action() -> None:
    with pytest.raises(NotImplementedError):
        Request(PUT, "bus", {"kms:ViaService": "sqs"})
