"""What `receive` accepts, and how it refuses the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.drafter import AnswerDrafted
from switchyard.protocol.canonical import MAX_JSON_DEPTH
from switchyard.protocol.catalogue import EXTERNAL, UPSTREAM_PREFIX, EventType
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.received import read_envelope
from tests.reference import read_event
from tests.unit.protocol.bus_events import changed, delivered, golden, with_digest, without

CANARY = "dana.field@acme.example"
"""Stands for personal data in the place of the wrong value; no refusal may repeat it."""

DRAFTED = golden("AnswerDrafted")
DEEP = json.loads("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH)
SHA256 = next(iter(DRAFTED["storage_refs"]))


@dataclass(frozen=True)
class RejectedCase:
    """A body, and how it is refused."""

    body: str
    reason: RejectionReason
    field: str | None
    remedy: str | None
    node: str = "router"


def redigested(path: str, value: Any, **bus: Any) -> str:
    return delivered(with_digest(changed(DRAFTED, path, value)), **bus)


def malformed(body: str, field: str | None, remedy: str) -> RejectedCase:
    return RejectedCase(body, RejectionReason.MALFORMED, field, remedy)


ENVELOPE = "envelope.json"

REFUSED = {
    "text that is not JSON": malformed(CANARY, None, "one JSON object"),
    "an array": malformed(json.dumps([CANARY]), None, "one JSON object"),
    "a submission sent to the queue": malformed(json.dumps(golden("CaseSubmitted")), "source", "put events on the bus"),
    "a source that is no text": malformed(delivered(DRAFTED, source=1), "source", "put events on the bus"),
    "no detail-type": malformed(delivered(DRAFTED, detail_type=None), "detail-type", "put events on the bus"),
    "a detail in quotes": malformed(delivered(DRAFTED, detail=json.dumps(DRAFTED)), "detail", "put events on the bus"),
    "a fraction": malformed(
        redigested("rubric_score", 0).replace('"rubric_score": 0', '"rubric_score": 0.5'), None, "basis points"
    ),
    "a name twice": malformed(
        delivered(DRAFTED).replace('"tenant":', f'"tenant": "{CANARY}", "tenant":', 1), "tenant", "once"
    ),
    "NUL in the payload": malformed(
        delivered(changed(DRAFTED, "payload.note", CANARY + "\0")), "detail.payload.note", "remove"
    ),
    "a lone surrogate": malformed(
        delivered(changed(DRAFTED, "payload.note", CANARY + "\ud800")), "detail.payload.note", "Unicode"
    ),
    "nesting without end": malformed(delivered(changed(DRAFTED, "payload.note", DEEP)), None, "flatten"),
    "no tenant": malformed(delivered(without(DRAFTED, "tenant")), "tenant", ENVELOPE),
    "a tenant with a blank": malformed(redigested("tenant", f"{CANARY} x"), "tenant", ENVELOPE),
    "an event id that is no UUID": malformed(redigested("event_id", CANARY), "event_id", ENVELOPE),
    "a version in quotes": malformed(redigested("version", "1"), "version", ENVELOPE),
    "a day that does not exist": malformed(redigested("opened_on", "2026-02-30"), "opened_on", ENVELOPE),
    "a deadline that does not exist": malformed(
        redigested("case_deadline", "2026-02-30T00:00:00Z"), "case_deadline", ENVELOPE
    ),
    "a playbook version without a number": malformed(
        redigested("playbook_version", CANARY), "playbook_version", ENVELOPE
    ),
    "a parent that is no digest": malformed(redigested("parents", [CANARY]), "parents.0", ENVELOPE),
    "no digest": malformed(delivered(without(DRAFTED, "digest")), "digest", ENVELOPE),
    "a seal beyond ASCII": malformed(redigested("state_seal", "k.1.\u00e9"), "state_seal", ENVELOPE),
    "a principal without a subject": malformed(delivered(without(DRAFTED, "principal.sub")), "principal.sub", ENVELOPE),
    "too many attempts": malformed(redigested("budget.attempts", 21), "budget.attempts", ENVELOPE),
    "a score above one": malformed(redigested("rubric_score", 10_001), "rubric_score", ENVELOPE),
    "an artefact in two places": malformed(
        redigested(f"storage_refs.{SHA256}.uri", CANARY), f"storage_refs.{SHA256}", ENVELOPE
    ),
    "an artefact under another name": malformed(
        redigested("storage_refs", {CANARY: {"inline": ""}}), "storage_refs.(name).[key]", ENVELOPE
    ),
    "a payload that is a list": malformed(redigested("payload", [CANARY]), "payload", ENVELOPE),
    "another service's source": RejectedCase(
        delivered(DRAFTED, source="switchyard.triage"), RejectionReason.FORGED, "node_from", "switchyard.drafter"
    ),
    "an upstream's source": RejectedCase(
        delivered(DRAFTED, source="upstream.portal"), RejectionReason.FORGED, "node_from", "switchyard.drafter"
    ),
    "a source that only ends alike": RejectedCase(
        delivered(DRAFTED, source="x.switchyard.drafter"), RejectionReason.FORGED, "node_from", "switchyard.drafter"
    ),
    "another detail-type": RejectedCase(delivered(DRAFTED, detail_type=CANARY), RejectionReason.FORGED, "type", None),
    "an altered payload": RejectedCase(
        delivered(changed(DRAFTED, "payload.cites", [CANARY])), RejectionReason.FORGED, "digest", "produce it again"
    ),
    "an added field": RejectedCase(
        delivered(changed(DRAFTED, "note", CANARY)), RejectionReason.FORGED, "digest", "produce it again"
    ),
    "an altered state": RejectedCase(
        delivered(changed(DRAFTED, "state.agent", CANARY)), RejectionReason.FORGED, "digest", "produce it again"
    ),
    "another digest": RejectedCase(
        delivered(changed(DRAFTED, "digest", "0" * 64)), RejectionReason.FORGED, "digest", "as produced"
    ),
    "a producer without the right": RejectedCase(
        redigested("node_from", "triage", source="switchyard.triage"),
        RejectionReason.FORGED,
        "node_from",
        "allowed: drafter",
    ),
    "a submission inside an envelope": RejectedCase(
        redigested("type", "CaseSubmitted", detail_type="CaseSubmitted"),
        RejectionReason.FORGED,
        "node_from",
        "upstream.",
    ),
    "an event for somebody else": RejectedCase(
        delivered(DRAFTED), RejectionReason.FORGED, "node_to", "rule", node="case_manager"
    ),
    "an event addressed off its flow": RejectedCase(
        redigested("node_to", "case_manager"), RejectionReason.FORGED, "node_to", "rule", node="case_manager"
    ),
    "a type from the future": RejectedCase(
        redigested("type", "CaseReopened", detail_type="CaseReopened"),
        RejectionReason.UNKNOWN,
        "type",
        "deploy the consumer",
    ),
    "a version from the future": RejectedCase(
        redigested("version", 2), RejectionReason.UNKNOWN, "version", "deploy the consumer"
    ),
    "a payload without its answer": RejectedCase(
        delivered(with_digest(without(DRAFTED, "payload.answer"))),
        RejectionReason.INVALID,
        "payload.answer",
        "AnswerDrafted",
    ),
    "an answer that is text": RejectedCase(
        redigested("payload.answer", CANARY), RejectionReason.INVALID, "payload.answer", "AnswerDrafted"
    ),
    "an answer whose hash is no hash": RejectedCase(
        redigested("payload.answer.sha256", CANARY), RejectionReason.INVALID, "payload.answer.sha256", "AnswerDrafted"
    ),
    "a size in quotes": RejectedCase(
        redigested("payload.answer.size", "64"), RejectionReason.INVALID, "payload.answer.size", "AnswerDrafted"
    ),
    "a citation of nothing": RejectedCase(
        redigested("payload.cites", ["F1", CANARY]), RejectionReason.INVALID, "payload.cites.1", "AnswerDrafted"
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REFUSED.items()])
def test_invalid_event_is_refused_with_reason_field_and_remedy(case: RejectedCase) -> None:
    with pytest.raises(InvalidEvent) as caught:
        read_event(case.body, node=case.node)
    rejection = caught.value
    assert (rejection.reason, rejection.field) == (case.reason, case.field)
    assert rejection.remedy is None if case.remedy is None else case.remedy in (rejection.remedy or "")
    assert CANARY not in str(rejection)
    assert "dana" not in str(rejection)


def test_cases_cover_each_rejection_reason() -> None:
    assert {case.reason for case in REFUSED.values()} == set(RejectionReason) - {RejectionReason.TOO_LARGE}


ENVELOPED = [
    type_ for type_ in CATALOGUE.types if type_.producers != (UPSTREAM_PREFIX,) and type_.consumers != (EXTERNAL,)
]


@pytest.mark.parametrize("type_", [pytest.param(type_, id=type_.name) for type_ in ENVELOPED])
def test_golden_events_are_accepted_at_their_consumers(type_: EventType) -> None:
    event = golden(type_.name)
    received = read_event(delivered(event), node=event["node_to"])
    assert type(received.payload) is type_.payload
    assert received.raw == event
    assert received.envelope.digest == event["digest"]


def test_unknown_fields_are_accepted_digested_and_kept() -> None:
    newer = with_digest(changed(changed(DRAFTED, "added", {"x": "\u00fc"}), "payload.tone", "calm"))
    received = read_event(delivered(newer), node="router")
    assert received.raw["added"] == {"x": "\u00fc"}
    assert received.raw["payload"]["tone"] == "calm"
    assert isinstance(received.payload, AnswerDrafted)


def test_undeployed_event_can_be_read_for_its_case() -> None:
    envelope, raw = read_envelope(redigested("version", 2))
    assert (envelope.case_id, raw["version"]) == (DRAFTED["case_id"], 2)
