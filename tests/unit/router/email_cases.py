"""An outbound email's case, walked step by step with the real contracts, router and seal."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from contracts.events.case_manager import EmailCaseOpened
from contracts.events.compliance import (
    ContactAllowed,
    ContactBlocked,
    EmailBlocked,
    EmailPassed,
    ReviewOutdated,
    RevisionNeeded,
    RuleResult,
    SendingAllowed,
    SendingDeferred,
)
from contracts.events.drafter import EmailDrafted
from contracts.events.email_sender import (
    EmailSent,
    EmailUndeliverable,
    SendingHalted,
    SendingStopped,
    SendingTooLate,
    SendingUnknown,
)
from services.orchestrator.graph import CURRENT
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER
from switchyard.protocol.envelope import add_digest
from switchyard.protocol.events.case_manager import (
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalReturned,
    WaitOver,
)
from switchyard.protocol.fields import Artefact, Contract, Json
from switchyard.protocol.submissions import case_id_for
from switchyard.router.state_seal import StateSeal
from tests.unit.router.cases import SEAL, artefact, place, reply, routed

CASE = case_id_for("acme-recovery", "upstream.ledger", "c.ruiz", "march-0001")
SUBJECT = "9a0f2f0c-5d0e-4c55-8d5e-6f1f6b0a7c22"
CONTENT = "c" * 64
ADDRESS_KEY = "a" * 64
APPROVAL = "0d2f4d5e-50c8-5a5a-9a53-8f1f5a8d1c02"
PACK = "2026-09-01.1"
ACCOUNT, EMAIL, REVIEW = artefact("account"), artefact("email"), artefact("review")
RESULTS = (RuleResult(rule="R03", verdict="pass", input_hash="b" * 64),)


def opened(account: Artefact = ACCOUNT) -> Json:
    """An email's case that has just opened."""
    payload = EmailCaseOpened(
        playbook="outbound_email",
        account=account,
        purpose="settlement_offer",
        address_key=ADDRESS_KEY,
        submitted_by="upstream.ledger",
    )
    return add_digest(
        {
            "event_id": str(uuid.uuid5(uuid.UUID(CASE), "EmailCaseOpened")),
            "type": "EmailCaseOpened",
            "version": 1,
            "tenant": "acme-recovery",
            "case_id": CASE,
            "session_id": "march",
            "opened_on": "2026-10-01",
            "playbook_version": CURRENT["outbound_email"],
            "seq": 0,
            "ordinal": 0,
            "siblings": 1,
            "node_from": CASE_MANAGER,
            "node_to": ROUTER,
            "parents": [],
            "occurred_at": "2026-10-01T15:00:00.000000Z",
            "trace": {},
            "case_deadline": "2026-10-08T15:00:00.000000Z",
            "budget": {"attempts": 3, "tokens": 0},
            "principal": {
                "sub": "service:upstream.ledger",
                "tenant": "acme-recovery",
                "subject": SUBJECT,
                "scopes": [],
                "act": ["staff:c.ruiz"],
                "exp": "2026-10-08T15:00:00.000000Z",
            },
            "payload": payload.model_dump(mode="json", exclude_none=True),
            "storage_refs": {
                sha256: storage_ref.model_dump(exclude_none=True) for sha256, storage_ref in (place(account),)
            },
        }
    )


ALLOWED = ContactAllowed(pack=PACK, results=RESULTS, review=REVIEW)
DRAFTED = EmailDrafted(email=EMAIL, content_sha256=CONTENT)
PASSED = EmailPassed(pack=PACK, results=RESULTS, review=REVIEW, content_sha256=CONTENT)
TO_APPROVE = PASSED.model_copy(update={"approval": "settlement_offer"})
RETURNED = ApprovalReturned(
    approval_id=APPROVAL,
    content_sha256=CONTENT,
    approver="j.okafor",
    instructions="Leave the date out.",
    signed_at="2026-10-01T15:10:00Z",
    signature="5" * 128,
)
GRANTED = ApprovalGranted(
    approval_id=APPROVAL,
    content_sha256=CONTENT,
    approver="j.okafor",
    signed_at="2026-10-01T15:10:00Z",
    signature="5" * 128,
)
SENDABLE = SendingAllowed(
    pack=PACK, results=RESULTS, review=REVIEW, content_sha256=CONTENT, valid_until="2026-10-01T15:30:00Z"
)
DEFERRED = SendingDeferred(pack=PACK, results=RESULTS, review=REVIEW, until="2026-10-02T12:00:00Z", rules=("R01",))
REVISION = RevisionNeeded(
    pack=PACK, results=RESULTS, review=REVIEW, message="R14: an amount is not in the ledger", rules=("R14",)
)
SENT = EmailSent(content_sha256=CONTENT, provider="ses", provider_message_id="0100019a-1")

ANSWERS: Mapping[str, tuple[tuple[Contract, ...], Contract]] = {
    # The answers that lead to a command, and then the answer under test.
    "ContactAllowed": ((), ALLOWED),
    "ContactBlocked": (
        (),
        ContactBlocked(pack=PACK, results=RESULTS, review=REVIEW, message="R04: wrote that contact shall cease",
                       rules=("R04",)),
    ),
    "EmailDrafted": ((ALLOWED,), DRAFTED),
    "RevisionNeeded": ((ALLOWED, DRAFTED), REVISION),
    "EmailBlocked": (
        (ALLOWED, DRAFTED),
        EmailBlocked(pack=PACK, results=RESULTS, review=REVIEW, message="R13: the debt is time-barred", rules=("R13",)),
    ),
    "EmailPassed": ((ALLOWED, DRAFTED), TO_APPROVE),
    "ApprovalGranted": ((ALLOWED, DRAFTED, TO_APPROVE), GRANTED),
    "ApprovalDenied": (
        (ALLOWED, DRAFTED, TO_APPROVE),
        ApprovalDenied(
            approval_id=APPROVAL, content_sha256=CONTENT, approver="j.okafor", message="Too soon.",
            signed_at="2026-10-01T15:10:00Z", signature="5" * 128,
        ),
    ),
    "ApprovalReturned": ((ALLOWED, DRAFTED, TO_APPROVE), RETURNED),
    "ApprovalExpired": ((ALLOWED, DRAFTED, TO_APPROVE), ApprovalExpired(approval_id=APPROVAL)),
    "ReviewOutdated": ((ALLOWED, DRAFTED, PASSED), ReviewOutdated(pack="2026-10-01.1", passed_under=PACK)),
    "SendingDeferred": ((ALLOWED, DRAFTED, PASSED), DEFERRED),
    "WaitOver": ((ALLOWED, DRAFTED, PASSED, DEFERRED), WaitOver(waited_for="time")),
    "SendingAllowed": ((ALLOWED, DRAFTED, TO_APPROVE, GRANTED), SENDABLE),
    "SendingHalted": ((ALLOWED, DRAFTED, PASSED, SENDABLE), SendingHalted()),
    "SendingTooLate": ((ALLOWED, DRAFTED, PASSED, SENDABLE), SendingTooLate(content_sha256=CONTENT)),
    "SendingStopped": (
        (ALLOWED, DRAFTED, PASSED, SENDABLE),
        SendingStopped(code="opted_out", message="The address opted out."),
    ),
    "EmailUndeliverable": (
        (ALLOWED, DRAFTED, PASSED, SENDABLE),
        EmailUndeliverable(code="address_rejected", message="The provider refuses the address."),
    ),
    "SendingUnknown": (
        (ALLOWED, DRAFTED, PASSED, SENDABLE),
        SendingUnknown(message="The provider's answer was never recorded.", content_sha256=CONTENT),
    ),
    "EmailSent": ((ALLOWED, DRAFTED, TO_APPROVE, GRANTED, SENDABLE), SENT),
}  # fmt: skip


def command_after(*answers: Contract, seal: StateSeal = SEAL) -> Json:
    """The command, or the ending, that the router publishes after these answers to a new case."""
    command = routed(opened(), seal)
    for answer in answers:
        command = routed(answered(command, answer), seal)
    return command


def answered(command: Json, answer: Contract) -> Json:
    """The answer as its agent publishes it."""
    written = tuple(value for value in (ACCOUNT, EMAIL, REVIEW) if value in vars(answer).values())
    return reply(command, answer, written=written)


def event(name: str, seal: StateSeal = SEAL) -> Json:
    """The event of this type in a case of its own, with everything before it."""
    if name == "EmailCaseOpened":
        return opened()
    before, answer = ANSWERS[name]
    return answered(command_after(*before, seal=seal), answer)
