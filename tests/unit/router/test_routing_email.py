"""Where every event of an outbound email leads."""

from __future__ import annotations

import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.case_manager import EmailCaseOpened
from contracts.events.compliance import EmailPassed
from contracts.events.email_sender import EmailSent, SendingHalted
from contracts.events.router import CheckSending, DraftEmail, ReviewEmail, SendEmail
from services.orchestrator.graph import CURRENT, PLAYBOOKS
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import WaitOver
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import AskApproval, CloseCase, Wait
from switchyard.protocol.fields import Contract
from tests.reference import route
from tests.unit.router.cases import SEAL, failed, received, reply, routed
from tests.unit.router.email_cases import (
    ADDRESS_KEY,
    ALLOWED,
    ANSWERS,
    APPROVAL,
    CONTENT,
    DEFERRED,
    DRAFTED,
    EMAIL,
    GRANTED,
    PASSED,
    RETURNED,
    REVIEW,
    REVISION,
    SENDABLE,
    SENT,
    TO_APPROVE,
    answered,
    command_after,
    event,
)

PLAYBOOK = PLAYBOOKS[CURRENT["outbound_email"]]


def payload(of: object) -> Contract:
    assert isinstance(of, dict)
    return received(of).payload


@pytest.mark.parametrize(
    ("name", "command", "node"),
    [
        ("EmailCaseOpened", "CheckContact", "compliance"),
        ("ContactAllowed", "DraftEmail", "drafter"),
        ("EmailDrafted", "ReviewEmail", "compliance"),
        ("RevisionNeeded", "DraftEmail", "drafter"),
        ("EmailPassed", "AskApproval", "case_manager"),
        ("ApprovalGranted", "CheckSending", "compliance"),
        ("ApprovalReturned", "DraftEmail", "drafter"),
        ("ReviewOutdated", "ReviewEmail", "compliance"),
        ("SendingDeferred", "Wait", "case_manager"),
        ("WaitOver", "CheckSending", "compliance"),
        ("SendingAllowed", "SendEmail", "email_sender"),
        ("SendingHalted", "Wait", "case_manager"),
        ("SendingTooLate", "CheckSending", "compliance"),
    ],
)
def test_event_is_routed_to_its_command(name: str, command: str, node: str) -> None:
    asked = routed(event(name))
    assert (asked["type"], asked["node_to"]) == (command, node)


@pytest.mark.parametrize(
    ("name", "outcome", "code"),
    [
        ("ContactBlocked", "blocked", "contact_blocked"),
        ("EmailBlocked", "blocked", "email_blocked"),
        ("ApprovalDenied", "denied", "denied"),
        ("ApprovalExpired", "expired", "approval_expired"),
        ("SendingStopped", "stopped", "opted_out"),
        ("EmailUndeliverable", "undeliverable", "address_rejected"),
        ("SendingUnknown", "unknown", "outcome_unknown"),
        ("EmailSent", "sent", "sent"),
    ],
)
def test_event_closes_the_case_with_its_outcome(name: str, outcome: str, code: str) -> None:
    reported = payload(routed(event(name)))
    assert isinstance(reported, CloseCase)
    assert (reported.outcome, reported.code) == (outcome, code)


def test_edges_of_the_playbook_are_all_covered() -> None:
    named = {edge.event.__name__ for edge in PLAYBOOK.edges} - {"TaskFailed", "EmailCaseOpened"}
    assert named == ANSWERS.keys()


def test_blocked_case_names_its_rules_and_reason() -> None:
    reported = payload(routed(event("ContactBlocked")))
    assert isinstance(reported, CloseCase)
    assert reported.rules == ("R04",)
    assert "cease" in reported.message


def test_failing_draft_is_revised_twice_then_blocked() -> None:
    command = command_after(ALLOWED, DRAFTED)
    for _ in range(2):
        revise = routed(answered(command, REVISION))
        assert payload(revise) == DraftEmail(
            account=DRAFT.account, purpose="settlement_offer", address_key=ADDRESS_KEY, email=EMAIL, review=REVIEW
        )
        command = routed(answered(revise, DRAFTED))
        assert isinstance(payload(command), ReviewEmail)
    reported = payload(routed(answered(command, REVISION)))
    assert isinstance(reported, CloseCase)
    assert (reported.outcome, reported.code, reported.rules) == ("blocked", "draft_blocked", ("R14",))


def test_returned_draft_is_written_and_reviewed_again_with_the_instructions() -> None:
    asked = command_after(ALLOWED, DRAFTED, TO_APPROVE)
    assert payload(asked) == AskApproval(
        content=EMAIL, content_sha256=CONTENT, pack=TO_APPROVE.pack, approval="settlement_offer", returnable=True
    )
    again = routed(answered(asked, RETURNED))
    draft = payload(again)
    assert isinstance(draft, DraftEmail)
    assert (draft.email, draft.review, draft.instructions) == (EMAIL, REVIEW, "Leave the date out.")
    review = routed(answered(again, DRAFTED))
    reviewed = payload(review)
    assert isinstance(reviewed, ReviewEmail)
    assert reviewed.instructions == "Leave the date out."
    # The new draft's own findings do not replace what the person asked for.
    revised = payload(routed(answered(review, REVISION)))
    assert isinstance(revised, DraftEmail)
    assert revised.instructions == "Leave the date out."


def test_draft_is_returned_three_times_and_then_denied() -> None:
    command = command_after(ALLOWED, DRAFTED, TO_APPROVE)
    for _ in range(3):
        command = routed(answered(routed(answered(routed(answered(command, RETURNED)), DRAFTED)), TO_APPROVE))
        assert isinstance(payload(command), AskApproval)
    reported = payload(routed(answered(command, RETURNED)))
    assert isinstance(reported, CloseCase)
    assert (reported.outcome, reported.code) == ("denied", "returned_too_often")


def test_email_without_approval_goes_on_to_the_check() -> None:
    assert isinstance(payload(command_after(ALLOWED, DRAFTED, PASSED)), CheckSending)


def test_send_email_has_the_checked_content_and_the_approval() -> None:
    reported = payload(command_after(ALLOWED, DRAFTED, TO_APPROVE, GRANTED, SENDABLE))
    assert reported == SendEmail(
        email=EMAIL,
        content_sha256=CONTENT,
        pack=SENDABLE.pack,
        valid_until=SENDABLE.valid_until,
        address_key=ADDRESS_KEY,
        approval="settlement_offer",
        approval_id=APPROVAL,
    )


def test_second_review_without_approval_withdraws_the_first() -> None:
    reviewed = command_after(ALLOWED, DRAFTED, TO_APPROVE, GRANTED, ANSWERS["ReviewOutdated"][1])
    reported = payload(routed(answered(routed(answered(reviewed, PASSED)), SENDABLE)))
    assert isinstance(reported, SendEmail)
    assert reported.approval is None


def test_wait_for_time_differs_from_wait_for_resumption() -> None:
    first = command_after(ALLOWED, DRAFTED, PASSED, DEFERRED)
    assert payload(first) == Wait(until=DEFERRED.until)
    again = routed(answered(routed(answered(first, WaitOver(waited_for="time"))), SENDABLE))
    assert payload(routed(answered(again, SendingHalted()))) == Wait(halted=True)


@pytest.mark.parametrize(
    ("before", "smuggled"),
    [
        pytest.param((), PASSED, id="a precheck is no review"),
        pytest.param((), SENDABLE, id="a precheck is no final check"),
        pytest.param((ALLOWED, DRAFTED), SENDABLE, id="a review is no final check"),
        pytest.param((ALLOWED, DRAFTED, PASSED), PASSED, id="a final check is no review"),
        pytest.param((ALLOWED, DRAFTED, TO_APPROVE), WaitOver(waited_for="time"), id="waiting is not agreeing"),
        pytest.param((ALLOWED, DRAFTED, PASSED, DEFERRED), GRANTED, id="agreeing is not waiting"),
    ],
)
def test_answer_to_another_step_of_the_node_is_forged(before: tuple[Contract, ...], smuggled: Contract) -> None:
    forged = answered(command_after(*before), smuggled)
    with pytest.raises(InvalidEvent, match="no answer to the step") as caught:
        route(received(forged), SEAL)
    assert (caught.value.reason, caught.value.field) == (RejectionReason.FORGED, "type")


def test_email_sent_from_another_node_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="may not emit EmailSent"):
        reply(command_after(ALLOWED, DRAFTED), SENT, node="compliance")


@pytest.mark.parametrize(
    "before", [(), (ALLOWED,), (ALLOWED, DRAFTED, TO_APPROVE), (ALLOWED, DRAFTED, PASSED, SENDABLE)]
)
def test_task_failure_closes_the_case(before: tuple[Contract, ...]) -> None:
    reported = payload(routed(failed(command_after(*before))))
    assert isinstance(reported, CloseCase)
    assert (reported.outcome, reported.code) == ("failed", "time_limit")


def test_answers_of_the_playbook_belong_to_commands() -> None:
    for edge in PLAYBOOK.edges:
        if edge.event in {EmailCaseOpened, TaskFailed}:
            continue
        assert CATALOGUE.of(edge.event).answers, edge.event
    assert CATALOGUE.of(EmailPassed).answers == (ReviewEmail,)
    assert CATALOGUE.of(EmailSent).answers == (SendEmail,)


FIRST = payload(command_after(ALLOWED))
assert isinstance(FIRST, DraftEmail)
DRAFT = FIRST
