"""A retry repeats the router's own command, and nothing that only looks like one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.case_manager.retry import RetryRequest, build_task_retried, next_attempt, read_request
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import OperatorKeys, derive_public_key, sign_statement
from switchyard.router.retry import quoted_command
from switchyard.router.state_seal import StateSeal
from tests.reference import decide_routing, derive_event, route
from tests.unit.protocol.bus_events import changed, delivered, with_digest, without
from tests.unit.router.branch_cases import chosen, findings, followed, join
from tests.unit.router.cases import (
    ANSWER_QUESTION,
    CHOOSE,
    FINDINGS,
    OPENED,
    SEAL,
    failed,
    received,
    reply,
    routed,
    stamped,
)

KEY = b"k" * 32
OPERATORS = OperatorKeys({"ana": bytes.fromhex(derive_public_key(KEY))})
NOW = datetime(2026, 7, 1, 8, 5, tzinfo=UTC)


def retried(command: Json, failure: Json | None = None) -> Json:
    """The case manager's event that has a command of a failed case done again."""
    failure = failure or failed(command)
    close = routed(failure)
    ending = derive_event(
        received(close).envelope, CaseClosed(outcome="failed", code="time_limit"), node_from="case_manager"
    )
    request = {
        "operator": "ana",
        "reason": "The vendor is back.",
        "requested_at": "2026-07-01T08:05:00Z",
        "signature": "0" * 128,
        "command": command,
        "failed": failure,
        "close": close,
    }
    statement = RetryRequest.model_validate_json(json.dumps(request)).statement(ending["digest"])
    signed = json.dumps(request | {"signature": sign_statement(KEY, statement)})
    return stamped(build_task_retried(CATALOGUE, read_request(signed, command["case_id"]), ending, OPERATORS, NOW))


RETRIED = retried(ANSWER_QUESTION)


def test_retried_command_has_a_new_id_and_the_same_state() -> None:
    again = routed(RETRIED)
    for name in ("type", "node_to", "state", "payload", "budget", "time_limit_ms", "principal", "case_deadline"):
        assert again[name] == ANSWER_QUESTION[name], name
    assert again["event_id"] != ANSWER_QUESTION["event_id"]
    assert again["parents"] == [RETRIED["digest"]]
    assert again["seq"] == ANSWER_QUESTION["seq"] + 3
    assert again["storage_refs"] == ANSWER_QUESTION["storage_refs"]


def test_events_after_a_retry_carry_its_attempt() -> None:
    from contracts.events.drafter import AnswerDrafted
    from contracts.events.specialists import FindingsReady
    from tests.unit.router.cases import ANSWER

    found = reply(routed(RETRIED), FindingsReady(findings=(FINDINGS,)), written=(FINDINGS,))
    drafted = reply(routed(found), AnswerDrafted(answer=ANSWER, cites=("F1",)), written=(ANSWER,))
    close = routed(drafted)
    assert {each["attempt"] for each in (RETRIED, found, drafted, close)} == {"retry-1"}
    assert close["payload"]["outcome"] == "answered"


def test_same_retry_derives_the_same_command() -> None:
    assert routed(RETRIED)["digest"] == routed(retried(ANSWER_QUESTION))["digest"]


def _with(**fields: Any) -> Json:
    event = RETRIED
    for path, value in fields.items():
        event = changed(event, path.replace("__", "."), value)
    return with_digest(event)


def _requoted(**fields: Any) -> Json:
    """The retry with another command in it, whose digest fits."""
    return _with(payload__command=with_digest(RETRIED["payload"]["command"] | fields))


@pytest.mark.parametrize(
    ("event", "field"),
    [
        pytest.param(_requoted(state=CHOOSE["state"]), "state_seal", id="another state"),
        pytest.param(_requoted(node_to="triage"), "state_seal", id="another node"),
        pytest.param(_requoted(case_id=OPENED["event_id"]), "state_seal", id="another case"),
        pytest.param(_requoted(principal=OPENED["principal"] | {"sub": "root"}), "state_seal", id="other claims"),
        pytest.param(_with(payload__command__state={}), "payload.command.digest", id="an altered command"),
        pytest.param(_with(payload__command={}), "payload.command.event_id", id="no command"),
        pytest.param(retried(CHOOSE) | {"event_id": RETRIED["event_id"]}, "event_id", id="another task's retry"),
        pytest.param(_with(seq=RETRIED["seq"] + 1), "event_id", id="another place"),
        pytest.param(_with(tenant="other"), "payload.command.tenant", id="another tenant"),
        pytest.param(_with(case_deadline="2027-07-01T08:15:00Z"), "payload.command.case_deadline", id="more time"),
        pytest.param(with_digest(without(RETRIED, "payload.command.state_seal")), "state_seal", id="no seal"),
    ],
)
def test_retry_of_a_command_never_issued_is_forged(event: Json, field: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        route(received(with_digest(event)), SEAL)
    assert (refused.value.reason, refused.value.field) == (RejectionReason.FORGED, field)


def test_retry_of_a_command_of_other_keys_is_forged() -> None:
    with pytest.raises(InvalidEvent, match="no seal of this router"):
        quoted_command(received(RETRIED), StateSeal({"k2": b"2" * 32}))
    with pytest.raises(InvalidEvent, match="never issued"):
        quoted_command(received(RETRIED), StateSeal({"k1": b"2" * 32}))


@pytest.mark.parametrize("path", ["reason", "requested_at", "closed", "operator", "signature"])
def test_retry_without_an_operators_signature_is_forged(path: str) -> None:
    others = {"requested_at": "2026-07-01T08:06:00Z", "closed": "0" * 64, "signature": "0" * 128}
    forged = _with(**{f"payload__{path}": others.get(path, "mallory")})
    decision = decide_routing(delivered(forged), SEAL, operators=OPERATORS)
    assert decision.events == ()
    assert decision.rejection is not None
    assert decision.rejection.reason is RejectionReason.FORGED
    assert decide_routing(delivered(RETRIED), SEAL, operators=OPERATORS).rejection is None


def test_retry_without_configured_operators_is_refused() -> None:
    assert decide_routing(delivered(RETRIED), SEAL, operators=OperatorKeys({})).events == ()


def test_retries_count_the_attempt() -> None:
    assert [next_attempt(name) for name in (None, "retry-1", "retry-9")] == ["retry-1", "retry-2", "retry-10"]
    with pytest.raises(Exception, match="not_an_attempt"):
        next_attempt("what-if-1")


def test_retry_of_a_gather_asks_every_branch_again() -> None:
    gather, *commands = followed(chosen(2))
    failure = join(gather, [followed(failed(command))[0] for command in commands])
    again, *asked = followed(retried(gather, failure))
    assert [each["payload"] for each in (again, *asked)] == [each["payload"] for each in (gather, *commands)]
    assert {each["attempt"] for each in (again, *asked)} == {"retry-1"}
    assert {each["branch"]["gather"] for each in asked} == {again["event_id"]} != {gather["event_id"]}
    (draft,) = followed(join(again, [followed(findings(command))[0] for command in asked]))
    assert (draft["type"], draft["attempt"]) == ("DraftAnswer", "retry-1")


def test_retry_of_a_sequence_begins_with_the_step_that_failed() -> None:
    gather, first = followed(chosen(2, "sequence"))
    failure = join(gather, followed(failed(first)))
    again, asked = followed(retried(gather, failure))
    second_gather, second = followed(join(again, followed(findings(asked))))
    assert received(second).payload.findings is not None  # type: ignore[attr-defined]
    assert second_gather["attempt"] == "retry-1"


def test_retry_of_a_gather_without_deployed_agents_fails_again_with_the_reason() -> None:
    gather, *ends = followed(chosen(2, agents=("palmist", "astrologer")))
    event = retried(gather, join(gather, ends))
    again, *unknown = followed(event)
    assert again["payload"] == gather["payload"]
    (close,) = followed(join(again, unknown))
    assert (close["type"], close["payload"]["code"], close["attempt"]) == ("CloseCase", "branches_failed", "retry-1")
    early = with_digest(event | {"seq": event["seq"] - 1})
    with pytest.raises(InvalidEvent, match="does not follow from a failure"):
        followed(early)


def test_retry_of_a_gather_that_quotes_other_branches_is_forged() -> None:
    gather, *commands = followed(chosen(2))
    failure = join(gather, [followed(failed(command))[0] for command in commands])
    event = retried(gather, failure)
    fewer = with_digest(changed(event, "payload.command.payload.branches", gather["payload"]["branches"][:1]))
    with pytest.raises(InvalidEvent) as refused:
        followed(fewer)
    assert (refused.value.reason, refused.value.field) == (RejectionReason.FORGED, "payload.command.digest")
