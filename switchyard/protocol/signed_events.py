"""Which events must be signed, by whom, and what: the one table that `audit verify` and an auditor's verifier read.

A statement is rebuilt from the recorded event, so that nothing but the public keys is needed. A new signed event needs
an entry here, and the same entry in `switchyard/audit/export/standalone/verify_bundle.py`, which may import nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import OperatorKeys

Ring = Literal["approvers", "operators", "sources"]
SignerRings = Mapping[Ring, OperatorKeys]
"""Public keys by name, of each kind of signer. A source that signs for its users has the names `source/key id`."""


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """What was signed. `statement` has the source of each field: a dotted path in the event; `cause` in front of it
    for the event that caused it; or, after `=`, the value itself.

    `also` names a list in the payload of further signatures, each with its own values of the payload's fields. `when`
    says which events must be signed, by how the values of paths begin, or after `!` do not begin; all of them if it is
    empty.
    """

    ring: Ring
    signer: str
    signature: str
    statement: dict[str, str]
    also: str | None = None
    when: dict[str, str] = field(default_factory=dict)


_APPROVAL = {
    "approval_id": "payload.approval_id",
    "case_id": "case_id",
    "content_sha256": "payload.content_sha256",
    "pack": "cause.payload.pack",
    "approver": "payload.approver",
    "signed_at": "payload.signed_at",
    "purpose": "=switchyard/approval/1",
}
_COMMAND = {
    "command_id": "payload.command_id",
    "target": "payload.playbook",
    "operator": "payload.operator",
    "reason": "payload.why",
    "signed_at": "payload.signed_at",
    "purpose": "=switchyard/command/1",
}
_REQUEST = {
    "request_id": "payload.request.request_id",
    "tenant": "tenant",
    "person": "payload.request.person",
    "signed_by": "payload.request.signed_by",
    "signed_at": "payload.request.signed_at",
    "purpose": "=switchyard/forgetting/1",
}
SIGNED_EVENTS: Mapping[str, tuple[SignedEvent, ...]] = {
    "ApprovalGranted": (
        SignedEvent(
            "approvers",
            "payload.approver",
            "payload.signature",
            {**_APPROVAL, "verdict": "=granted", "reason": "payload.reason"},
            also="payload.co_approvals",
        ),
    ),
    "ApprovalDenied": (
        SignedEvent(
            "approvers",
            "payload.approver",
            "payload.signature",
            {**_APPROVAL, "verdict": "=denied", "reason": "payload.message"},
        ),
    ),
    "ApprovalReturned": (
        SignedEvent(
            "approvers",
            "payload.approver",
            "payload.signature",
            {**_APPROVAL, "verdict": "=returned", "reason": "payload.instructions"},
        ),
    ),
    "TaskRetried": (
        SignedEvent(
            "operators",
            "payload.operator",
            "payload.signature",
            {
                "case_id": "case_id",
                "failed": "parents.0",
                "command": "payload.command.digest",
                "closed": "payload.closed",
                "operator": "payload.operator",
                "reason": "payload.reason",
                "requested_at": "payload.requested_at",
                "purpose": "=switchyard/retry/1",
            },
        ),
    ),
    "PlaybookHalted": (
        SignedEvent("operators", "payload.operator", "payload.signature", {**_COMMAND, "action": "=halt"}),
    ),
    "PlaybookResumed": (
        SignedEvent("operators", "payload.operator", "payload.signature", {**_COMMAND, "action": "=resume"}),
    ),
    "BudgetSet": (
        SignedEvent(
            "operators",
            "payload.operator",
            "payload.signature",
            {**_COMMAND, "target": "payload.target", "action": "=budget"},
        ),
    ),
    "CaseClosed": (
        SignedEvent(
            "operators",
            "payload.cancellation.operator",
            "payload.cancellation.signature",
            {
                "command_id": "payload.cancellation.command_id",
                "action": "=cancel",
                "target": "case_id",
                "operator": "payload.cancellation.operator",
                "reason": "payload.cancellation.reason",
                "signed_at": "payload.cancellation.signed_at",
                "purpose": "=switchyard/command/1",
            },
            when={"payload.outcome": "cancelled"},
        ),
    ),
    "SendingResolved": (
        SignedEvent(
            "operators",
            "payload.operator",
            "payload.signature",
            {
                "resolution_id": "payload.resolution_id",
                "case_id": "case_id",
                "content_sha256": "payload.content_sha256",
                "provider_message_id": "payload.provider_message_id",
                "operator": "payload.operator",
                "evidence": "payload.evidence",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/resolution/1",
            },
            when={"payload.operator": "!service:"},
        ),
    ),
    "MemoryForgotten": (
        SignedEvent(
            "operators",
            "payload.operator",
            "payload.signature",
            {**_COMMAND, "target": "payload.target", "action": "=forget"},
            when={"payload.reason": "operator"},
        ),
        SignedEvent(
            "sources",
            "payload.request.signed_by",
            "payload.request.signature",
            {**_REQUEST, "scope": "=one", "memory": "payload.items.0.id", "besides": "payload.items.1"},
            when={"payload.reason": "user_request", "payload.request.scope": "one"},
        ),
        SignedEvent(
            "sources",
            "payload.request.signed_by",
            "payload.request.signature",
            {**_REQUEST, "scope": "=all", "memory": "=", "besides": "="},
            when={"payload.reason": "user_request", "payload.request.scope": "!one"},
        ),
    ),
}
NOBODY = OperatorKeys({})
CAUSES = frozenset({"AskApproval"})
"""Types of event that a statement's `cause` may name."""


def check_signatures(event: Json, cause: Json | None, signers: SignerRings) -> Iterator[str]:
    """Why a recorded event is not signed as the table says: an unknown key, or another statement. Never raises."""
    for signed in SIGNED_EVENTS.get(event["type"], ()):
        if _must_be_signed(event, signed.when):
            yield from _check(event, cause, signed, signers.get(signed.ring, NOBODY))


def _check(event: Json, cause: Json | None, signed: SignedEvent, keys: OperatorKeys) -> Iterator[str]:
    further = _value(event, cause, signed.also) if signed.also else None
    payload = event["payload"]
    for each in ({}, *(further if isinstance(further, list) else ())):
        one = event | {"payload": payload | each} if isinstance(each, dict) else event | {"payload": {}}
        signer, signature = (_value(one, cause, path) for path in (signed.signer, signed.signature))
        try:
            statement = canonical_json({name: _value(one, cause, path) for name, path in signed.statement.items()})
            keys.verify(str(signer), statement, str(signature))
        except InvalidEvent as problem:
            yield f"it names {signer}: {problem.message}"
        except ValueError:
            yield f"it names {signer}, and its statement has no canonical form"


def _must_be_signed(event: Json, when: Mapping[str, str]) -> bool:
    values = [(_value(event, None, path), value) for path, value in when.items()]
    return all(str(found).startswith(value.lstrip("!")) != value.startswith("!") for found, value in values)


def _value(event: Json, cause: Json | None, path: str) -> Any:
    """What a path leads to; an empty text if it leads nowhere."""
    if path.startswith("="):
        return path[1:]
    found: Any = event
    for name in path.split("."):
        if name == "cause":
            found = cause
        elif isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit():
            found = found[int(name)] if int(name) < len(found) else None
        else:
            return ""
    return "" if found is None else found
