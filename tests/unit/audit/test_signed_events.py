"""People's signatures in recorded events: one table, read by the engine and by the auditor's own verifier."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.catalogue import CATALOGUE
from contracts.events.memory import MemoryForgotten
from switchyard.audit.export.standalone import verify_bundle
from switchyard.audit.verification.case_verifier import CaseVerifier, RowTrust
from switchyard.audit.verification.findings import FindingKind
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.events.case_manager import (
    ApprovalDenied,
    ApprovalGranted,
    ApprovalReturned,
    TaskRetried,
)
from switchyard.protocol.events.router import AskApproval
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.forgetting import forgetting_statement
from switchyard.protocol.signed_events import CAUSES, SIGNED_EVENTS, SignerRings, check_signatures
from switchyard.protocol.signing import OperatorKeys, derive_public_key, sign_statement, source_keys
from switchyard.protocol.statements import approval_statement, retry_statement
from tests.operators import OPERATOR_PUBLIC_KEYS, OPERATORS, signed_command
from tests.unit.audit import cases
from tests.unit.protocol.bus_events import golden

ANA, BEN = b"\1" * 32, b"\2" * 32
CONTENT = hashlib.sha256(b"email").hexdigest()
PUBLIC = {name: derive_public_key(key) for name, key in {"ana": ANA, "ben": BEN}.items()}
KEYS = {name: bytes.fromhex(key) for name, key in PUBLIC.items()}
SIGNERS: SignerRings = {"approvers": OperatorKeys(KEYS), "operators": OperatorKeys(KEYS)}
NOBODY: SignerRings = {"approvers": OperatorKeys({}), "operators": OperatorKeys({})}


def asked() -> tuple[Json, Json]:
    first = cases.first()
    request = AskApproval(content=cases.ANSWER, content_sha256=CONTENT, pack="2026.05", approval="first_contact")
    return first, cases.follow(first, request, "router", node_to="case_manager", time_limit_ms=60_000)


def decided(verdict: Any = "granted", *, key: bytes = ANA, approver: str = "ana") -> list[Json]:
    first, ask = asked()
    stated: dict[str, Any] = {
        "approval_id": ask["event_id"],
        "content_sha256": CONTENT,
        "approver": approver,
        "signed_at": cases.moment(cases.NOW),
    }
    statement = approval_statement(case_id=first["case_id"], pack="2026.05", verdict=verdict, reason="why", **stated)
    signature = sign_statement(key, statement)
    payloads: dict[str, Contract] = {
        "granted": ApprovalGranted(reason="why", signature=signature, **stated),
        "denied": ApprovalDenied(message="why", signature=signature, **stated),
        "returned": ApprovalReturned(instructions="why", signature=signature, **stated),
    }
    return [first, ask, cases.follow(ask, payloads[verdict], "case_manager")]


def retried(*, key: bytes = BEN) -> list[Json]:
    events = cases.answered()[:2]
    failure = cases.failed(events[1], "triage")
    stated: dict[str, Any] = {
        "closed": "ab" * 32,
        "operator": "ben",
        "reason": "back",
        "requested_at": cases.moment(cases.NOW),
    }
    statement = retry_statement(
        case_id=failure["case_id"], failed=failure["digest"], command=events[1]["digest"], **stated
    )
    task = {"task": events[1]["event_id"], "task_type": events[1]["type"], "command": events[1]}
    payload = TaskRetried(**task, **stated, signature=sign_statement(key, statement))
    return [*events, failure, cases.follow(failure, payload, "case_manager")]


SIGNED = {"granted": decided(), "denied": decided("denied"), "returned": decided("returned"), "retried": retried()}


def findings(events: list[Json], signers: SignerRings) -> list[str]:
    check = CaseVerifier(CATALOGUE, events[0]["case_id"], RowTrust(None, signers))
    for stored in cases.stored(events):
        check.add(stored)
    verdict = check.verdict(now=cases.NOW)
    return [each.why for each in verdict.findings if each.kind is FindingKind.FORGED_SIGNATURE]


def test_bundle_verifiers_table_of_signed_events_is_the_same() -> None:
    ours = {name: [asdict(rule) for rule in rules] for name, rules in SIGNED_EVENTS.items()}
    assert ours == verify_bundle.SIGNED_EVENTS
    named = {path for rules in SIGNED_EVENTS.values() for rule in rules for path in rule.statement.values()}
    assert CAUSES or not any(path.startswith("cause.") for path in named)


def test_signed_payloads_are_all_in_the_table() -> None:
    """A new signed event without an entry would pass unchecked."""
    named = {"signature", "cancellation"}
    unlogged = {type_.name for type_ in CATALOGUE.types_emitted_by(UPSTREAM_PREFIX)}
    signed = {type_.name for type_ in CATALOGUE.types if named & type_.payload.model_fields.keys()}
    assert signed - unlogged == set(SIGNED_EVENTS)


@pytest.mark.parametrize("name", SIGNED)
def test_signature_by_the_named_person_is_no_finding(name: str) -> None:
    assert findings(SIGNED[name], SIGNERS) == []
    assert _standalone(SIGNED[name]) == []


@pytest.mark.parametrize("name", SIGNED)
def test_signature_by_an_unknown_key_is_a_finding(name: str) -> None:
    (why,) = findings(SIGNED[name], NOBODY)
    assert "no operator of that name may sign" in why
    (why,) = _standalone(SIGNED[name], {"approvers": {}, "operators": {}})
    assert "that you named" in why


@pytest.mark.parametrize("events", [decided(key=BEN), decided(approver="ben"), retried(key=ANA)])
def test_signature_of_another_person_is_a_finding(events: list[Json]) -> None:
    assert "not this operator's" in findings(events, SIGNERS)[0]
    assert "it is not signed by" in _standalone(events)[0]


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in SIGNED for field in SIGNED[name][-1]["payload"]])
def test_signature_covers_the_persons_decision(name: str, field: str) -> None:
    """A service that may emit the event cannot alter it: a field of the payload is signed, or says nothing new."""
    events = copy.deepcopy(SIGNED[name])
    value = events[-1]["payload"][field]
    changed: Any
    if isinstance(value, dict):
        changed = value | {"digest": "0" * 64}
    else:
        changed = ("0" if value[0] != "0" else "1") + value[1:] if field != "approver" else "ben"
    events[-1]["payload"][field] = changed
    found = list(check_signatures(events[-1], events[-2], SIGNERS))
    assert bool(found) is (field not in {"task", "task_type", "code"}), field


def test_signature_covers_the_pack_of_the_request_and_the_case() -> None:
    first, ask, granted = copy.deepcopy(SIGNED["granted"])
    assert list(check_signatures(granted, ask | {"payload": ask["payload"] | {"pack": "2026.06"}}, SIGNERS))
    assert list(check_signatures(granted | {"case_id": cases.first(5)["case_id"]}, ask, SIGNERS))
    assert list(check_signatures(granted, None, SIGNERS))
    assert list(check_signatures(granted, first, SIGNERS))


def test_several_signatures_are_each_checked() -> None:
    first, ask, granted = copy.deepcopy(SIGNED["granted"])
    payload = granted["payload"]
    stated = {name: payload[name] for name in ("approval_id", "content_sha256", "signed_at")}
    statement = approval_statement(
        case_id=first["case_id"], pack="2026.05", verdict="granted", approver="ben", reason="too", **stated
    )
    other = {"approver": "ben", "reason": "too", "signed_at": stated["signed_at"]}

    payload["co_approvals"] = [other | {"signature": sign_statement(BEN, statement)}]
    assert list(check_signatures(granted, ask, SIGNERS)) == []
    assert list(verify_bundle.check_signatures(granted, ask, {"approvers": PUBLIC})) == []
    payload["co_approvals"] = [other | {"signature": sign_statement(ANA, statement)}]
    assert len(list(check_signatures(granted, ask, SIGNERS))) == 1
    assert len(list(verify_bundle.check_signatures(granted, ask, {"approvers": PUBLIC}))) == 1
    nonsense: list[Any] = ["ben", ["ben"], {}, [{}], [{"approver": 1.5}], [[]]]
    for each in nonsense:
        payload["co_approvals"] = each
        list(check_signatures(granted, ask, SIGNERS))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(SIGNED_EVENTS)), st.dictionaries(st.text(max_size=8), JSON), JSON, JSON, JSON)
def test_signature_check_never_raises(name: str, payload: Json, parents: Any, also: Any, cause: Any) -> None:
    payload |= {"approver": "ana", "operator": "ana", "co_approvals": also, "command": also, "signature": "00"}
    payload |= {"outcome": "cancelled", "cancellation": also, "request": also}
    for reason in ("operator", "user_request"):
        event = {"type": name, "case_id": "c", "parents": parents, "payload": payload | {"reason": reason}}
        assert list(check_signatures(event, cause, SIGNERS))


def _standalone(events: list[Json], signers: verify_bundle.Signers | None = None) -> list[str]:
    given = signers if signers is not None else {"approvers": PUBLIC, "operators": PUBLIC}
    read = json.loads(json.dumps(events))
    return list(verify_bundle.check_signatures(read[-1], read[-2], given))


@pytest.mark.parametrize("name", ["PlaybookHalted", "PlaybookResumed", "SendingResolved"])
def test_golden_operator_command_is_signed_and_a_change_is_a_finding(name: str) -> None:
    event = golden(name)
    payload = event["payload"]
    signers: SignerRings = {
        "operators": OperatorKeys({payload["operator"]: bytes.fromhex(derive_public_key(b"\x07" * 32))})
    }
    assert list(check_signatures(event, None, signers)) == []
    for field in set(payload) - {"sent", "signature"}:
        changed = event | {"payload": payload | {field: "0" * 8}}
        assert list(check_signatures(changed, None, signers)), field


def test_cancelled_case_needs_a_signed_command_and_other_endings_do_not() -> None:
    command = signed_command("cancel", "5a3ed2a8-0000-4000-8000-000000000000")
    fields = {name: getattr(command, name) for name in ("command_id", "operator", "reason", "signed_at", "signature")}
    ending = {"type": "CaseClosed", "case_id": command.target, "parents": []}
    signers: SignerRings = {"operators": OPERATORS}
    for payload, found in (
        ({"outcome": "cancelled", "cancellation": fields}, 0),
        ({"outcome": "cancelled", "cancellation": fields | {"reason": "another"}}, 1),
        ({"outcome": "cancelled"}, 1),
        ({"outcome": "answered"}, 0),
    ):
        assert len(list(check_signatures(ending | {"payload": payload}, None, signers))) == found


SOURCE_KEYS = source_keys({"upstream.ingress": {"2026-11": bytes.fromhex(derive_public_key(b"\x08" * 32))}})
ANOTHER = "11111111-2222-4333-8444-555555555555"


def forgotten(name: str = "user_request") -> Json:
    """A receipt: of what a user asked for, or of what an operator signed for."""
    return golden("MemoryForgotten", variant="user_request" if name == "user_request" else "")


def altered_receipts() -> dict[str, Json]:
    """What a memory service that was broken into could put into the log."""
    asked, ordered = forgotten(), forgotten("operator")
    request, item = asked["payload"]["request"], asked["payload"]["items"][0]

    def changed(event: Json, **fields: Any) -> Json:
        return event | {"payload": event["payload"] | fields}

    return {
        "another memory": changed(asked, items=[item | {"id": ANOTHER}]),
        "one more memory": changed(asked, items=[item, item | {"id": ANOTHER}]),
        "all in place of one": changed(asked, request=request | {"scope": "all"}),
        "another scope": changed(asked, request=request | {"scope": "some"}),
        "another person": changed(asked, request=request | {"person": "0" * 64}),
        "another request": changed(asked, request=request | {"request_id": ANOTHER}),
        "another time": changed(asked, request=request | {"signed_at": "2026-07-31T08:59:00.000000Z"}),
        "another key": changed(asked, request=request | {"signed_by": "upstream.ingress/2026-10"}),
        "another tenant": asked | {"tenant": "other"},
        "no request": asked | {"payload": {name: asked["payload"][name] for name in ("items", "reason")}},
        "an operator's word for the user's": changed(ordered, reason="user_request"),
        "a user's word for the operator's": changed(asked, reason="operator"),
        "an operator's name on a user's request": changed(ordered, request=request, reason="user_request", operator="x")
        | {"tenant": "other"},
    }


@pytest.mark.parametrize("reason", ["user_request", "operator"])
def test_receipt_of_forgetting_on_request_is_signed_by_who_asked(reason: str) -> None:
    event = forgotten(reason)
    signers: SignerRings = {"sources": SOURCE_KEYS, "operators": OPERATORS}
    assert list(check_signatures(event, None, signers)) == []
    assert list(verify_bundle.check_signatures(event, None, _forgetting_signers())) == []
    assert list(check_signatures(event, None, {}))
    assert list(verify_bundle.check_signatures(event, None, {}))


@pytest.mark.parametrize("name", altered_receipts())
def test_altered_receipt_of_forgetting_is_a_finding_of_both_verifiers(name: str) -> None:
    event = altered_receipts()[name]
    assert list(check_signatures(event, None, {"sources": SOURCE_KEYS, "operators": OPERATORS}))
    assert list(verify_bundle.check_signatures(event, None, _forgetting_signers()))


def test_receipt_of_everything_names_any_number_of_memories() -> None:
    event = forgotten()
    payload = event["payload"]
    stated = {name: payload["request"][name] for name in ("request_id", "person", "signed_by", "signed_at")}
    statement = forgetting_statement(tenant=event["tenant"], scope="all", memory=None, **stated)
    request = payload["request"] | {"scope": "all", "signature": sign_statement(b"\x08" * 32, statement)}
    items = [payload["items"][0] | {"id": each} for each in (ANOTHER, payload["items"][0]["id"])]
    event |= {"payload": payload | {"items": items, "request": request}}
    assert list(check_signatures(event, None, {"sources": SOURCE_KEYS})) == []
    assert list(verify_bundle.check_signatures(event, None, _forgetting_signers())) == []


@pytest.mark.parametrize("name", ["one more memory", "no request", "an operator's word for the user's"])
def test_receipt_with_evidence_of_another_reason_is_no_payload(name: str) -> None:
    with pytest.raises(ValidationError, match="evidence"):
        MemoryForgotten.model_validate_json(json.dumps(altered_receipts()[name]["payload"]))


def _forgetting_signers() -> verify_bundle.Signers:
    ingress = {"upstream.ingress/2026-11": derive_public_key(b"\x08" * 32)}
    return {"sources": ingress, "operators": OPERATOR_PUBLIC_KEYS}
