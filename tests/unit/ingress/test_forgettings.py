"""A user asks to be forgotten: what the function signs, and for whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.upstream import ForgettingRequested
from switchyard.protocol.forgetting import forgetting_statement, person_commitment
from switchyard.protocol.signing import derive_public_key, source_keys
from tests.unit.ingress.test_handler import CLAIMS, SOURCE, ask, token

MEMORY = "9b6dbef6-7af8-51d3-af84-a04758f5c5d7"
ONE = {"scope": "one", "memory": MEMORY, "idempotency_key": "portal-1"}
ALL = {"scope": "all", "idempotency_key": "portal-1"}
KEYS = source_keys({SOURCE: {"2026-11": bytes.fromhex(derive_public_key(b"\1" * 32))}})


def put(body: Any) -> tuple[dict[str, Any], ForgettingRequested]:
    status, answer, entries = ask(body=body, route="forgettings", session=None)
    assert status == 202, answer
    [entry] = entries
    assert (entry["Source"], entry["DetailType"]) == (SOURCE, "ForgettingRequested")
    return answer, ForgettingRequested.model_validate_json(entry["Detail"])


@pytest.mark.parametrize("body", [ONE, ALL])
def test_request_to_forget_is_signed_for_the_user_of_the_token(body: dict[str, Any]) -> None:
    answer, asked = put(body)
    assert (answer["request_id"], asked.scope, asked.memory) == (asked.request_id, body["scope"], body.get("memory"))
    assert (asked.tenant, asked.user_id) == (CLAIMS["tenant"], CLAIMS["sub"])
    assert asked.person == person_commitment(asked.nonce, asked.tenant, asked.user_id)
    stated = asked.model_dump(exclude={"user_id", "nonce", "signature"})
    KEYS.verify(asked.signed_by, forgetting_statement(**stated), asked.signature)
    with pytest.raises(InvalidEvent):
        KEYS.verify(asked.signed_by, forgetting_statement(**stated | {"tenant": "other"}), asked.signature)


def test_repeated_request_has_the_same_id_and_another_commitment() -> None:
    (first, once), (second, twice) = put(ALL), put(ALL)
    assert first == second
    assert once.person != twice.person


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": "ben@acme.example"}, "user_id"),
        ({"tenant": "other"}, "tenant"),
        ({"scope": "all"}, "memory"),
        ({"scope": "some"}, "scope"),
        ({"memory": None}, "memory"),
        ({"memory": "x"}, "memory"),
        ({"idempotency_key": ""}, "idempotency_key"),
    ],
)
def test_request_for_another_person_or_of_another_form_is_refused(change: dict[str, Any], field: str) -> None:
    status, problem, entries = ask(body=ONE | change, route="forgettings", session=None)
    assert (status, problem["field"], entries) == (400, field, [])


def test_request_without_a_login_is_refused() -> None:
    status, _, entries = ask(f"Bearer {token(exp=1)}", body=json.loads(json.dumps(ALL)), route="forgettings")
    assert (status, entries) == (401, [])
