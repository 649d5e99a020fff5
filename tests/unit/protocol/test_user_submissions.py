"""What a user submits: which fields are the caller's, and what an ingress vouches for."""

from __future__ import annotations

import hashlib
from typing import Literal

import pytest

from switchyard.api.requests import case_body, case_fields
from switchyard.protocol.events.case_manager import UserCaseOpened
from switchyard.protocol.fields import Artefact, Contract, Name
from switchyard.protocol.principals import content_digest
from switchyard.protocol.submissions import SealedContent, UserSubmission, open_user_case


class WishSubmitted(UserSubmission):
    playbook: Literal["wishes"] = "wishes"
    wish: str


class WishOpened(UserCaseOpened):
    wish: Artefact


class Forgetful(Contract):
    playbook: Name


WISH = WishSubmitted(tenant="acme", idempotency_key="k", session_id="s", user_id="ada", wish="rain")


def test_caller_sets_the_fields_of_the_subclass_the_key_and_the_deadline_only() -> None:
    assert case_fields(WishSubmitted) == {"wish", "idempotency_key", "deadline_ms"}
    schema = case_body(WishSubmitted).model_json_schema()
    assert set(schema["required"]) == {"wish", "idempotency_key"}
    assert schema["additionalProperties"] is False


def test_opening_of_a_user_claims_what_is_sealed() -> None:
    sealed = {"wish": SealedContent(b"rain", "text/plain")}
    opening = open_user_case(WISH, WishOpened, facts={"playbook": "wishes"}, sealed=sealed)
    assert opening.person == "ada"
    assert opening.claims == {"role": None, "content_sha256": hashlib.sha256(b"rain").hexdigest()}


def test_digest_of_several_contents_depends_on_each_and_not_on_their_order() -> None:
    assert content_digest(b"a", b"b") == content_digest(b"b", b"a") != content_digest(b"a", b"c")
    assert content_digest(b"a") == hashlib.sha256(b"a").hexdigest()


def test_first_event_that_does_not_record_who_vouched_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="Forgetful does not record who vouched"):
        open_user_case(WISH, Forgetful, facts={}, sealed={})
