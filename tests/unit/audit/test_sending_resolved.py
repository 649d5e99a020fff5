"""A settlement follows the case's end, as a child of the outcome that it settles, and breaks nothing of the proof."""

from __future__ import annotations

from datetime import timedelta

from contracts.events.email_sender import SendingResolved, SendingUnknown
from contracts.events.router import SendEmail
from switchyard.audit.records.stored_row import CaseStatus
from switchyard.audit.verification.findings import CaseVerdict, FindingKind
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Artefact, Json
from tests.reference import verify_case
from tests.unit.audit.cases import NOW, first, follow, moment, rewritten, stored

CONTENT = "c" * 64
SETTLED = SendingResolved(
    content_sha256=CONTENT, sent=True, provider_message_id="m-1", operator="m.chen", evidence="SES event log"
)


def unknown() -> list[Json]:
    """A case that was closed without knowing whether its email was sent."""
    opened = first()
    asked = follow(
        opened,
        SendEmail(
            email=Artefact(name="email", sha256="e" * 64, size=1, media_type="message/rfc822"),
            content_sha256=CONTENT,
            pack="2026-09-01.1",
            valid_until=moment(NOW),
            address_key="a" * 64,
        ),
        "router",
        state={"step": "send"},
    )
    answer = follow(asked, SendingUnknown(content_sha256=CONTENT, message=""), "email_sender", state={"step": "send"})
    close = follow(answer, CloseCase(outcome="unknown", code="outcome_unknown"), "router")
    return [
        opened,
        asked,
        answer,
        close,
        follow(close, CaseClosed(outcome="unknown", code="outcome_unknown"), "case_manager"),
    ]


def verdict(events: list[Json]) -> CaseVerdict:
    return verify_case(stored(events), now=NOW + timedelta(hours=1))


def test_resolved_case_has_one_ending_and_no_findings() -> None:
    events = unknown()
    settled = follow(events[2], SETTLED, "email_sender", after_ms=60_000)
    found = verdict([*events, settled])
    assert (found.status, found.findings, found.pending) == (CaseStatus.CLOSED, (), ())


def test_second_different_resolution_is_a_finding() -> None:
    events = unknown()
    settled = follow(events[2], SETTLED, "email_sender", after_ms=60_000)
    other = rewritten(settled, payload=settled["payload"] | {"operator": "somebody.else"})
    kinds = {found.kind for found in verdict([*events, settled, other]).findings}
    assert FindingKind.DUPLICATE in kinds


def test_resolution_without_unknown_sending_is_a_finding() -> None:
    events = unknown()
    settled = follow(events[2], SETTLED, "email_sender", after_ms=60_000)
    orphan = rewritten(settled, parents=["f" * 64])
    assert FindingKind.MISSING_PARENT in {found.kind for found in verdict([*events, orphan]).findings}
