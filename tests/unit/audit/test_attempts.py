"""A case ends once for each time that it was tried, and is tried again only after the failure that ended it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.events.router import AnswerQuestion
from switchyard.audit.records.stored_row import CaseStatus
from switchyard.audit.verification.findings import CaseVerdict, FindingKind
from switchyard.protocol.events.case_manager import CaseClosed, TaskRetried
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Json
from tests.reference import verify_case
from tests.unit.audit import cases
from tests.unit.audit.cases import NOW, QUESTION, failed, first, follow, stored

LATER = NOW + timedelta(minutes=10)


def retry_of(failure: Json, closed: Json, number: int = 1) -> Json:
    """The case manager's event that has a failed task done again."""
    payload = TaskRetried(
        task=failure["payload"]["task"],
        task_type=failure["payload"]["task_type"],
        command={},
        closed=closed["digest"],
        operator="ana",
        reason="fixed",
        requested_at="2026-07-01T08:00:00Z",
        signature="0" * 128,
    )
    return follow(failure, payload, "case_manager", attempt=f"retry-{number}")


def close(cause: Json, outcome: str = "failed") -> list[Json]:
    """The router's word and the case manager's, after `cause`."""
    asked = follow(cause, CloseCase(outcome=outcome, code=outcome), "router")
    return [asked, follow(asked, CaseClosed(outcome=outcome, code=outcome), "case_manager")]


OPENED = first(deadline=timedelta(hours=12))  # the reviewer's views go by the database's own clock
COMMAND = follow(OPENED, AnswerQuestion(question=QUESTION), "router", node_to="text_to_sql")
FAILURE = failed(COMMAND, "text_to_sql")
CLOSED = close(FAILURE)
ONCE = [OPENED, COMMAND, FAILURE, *CLOSED]
RETRY = retry_of(FAILURE, CLOSED[1])
AGAIN = follow(RETRY, AnswerQuestion(question=QUESTION), "router", node_to="text_to_sql")
FAILURE_2 = failed(AGAIN, "text_to_sql")
CLOSED_2 = close(FAILURE_2)
TWICE = [*ONCE, RETRY, AGAIN, FAILURE_2, *CLOSED_2]
RETRY_2 = retry_of(FAILURE_2, CLOSED_2[1], 2)


def verdict(*events: Json, without: Json | None = None) -> CaseVerdict:
    return verify_case(stored([event for event in events if event is not without]), now=LATER)


def kinds(found: CaseVerdict) -> set[FindingKind]:
    return {each.kind for each in found.findings}


def test_case_closed_retried_and_closed_has_no_findings() -> None:
    found = verdict(*TWICE)
    assert (found.findings, found.pending, found.status) == ((), (), CaseStatus.CLOSED)


def test_case_with_three_attempts_has_no_findings() -> None:
    again = follow(RETRY_2, AnswerQuestion(question=QUESTION), "router", node_to="text_to_sql")
    failure = failed(again, "text_to_sql")
    found = verdict(*TWICE, RETRY_2, again, failure, *close(failure))
    assert (found.findings, found.status) == ((), CaseStatus.CLOSED)


def test_reopened_case_is_open_until_deadline_and_unended_after() -> None:
    rows = stored([*ONCE, RETRY, AGAIN])
    assert verify_case(rows, now=NOW).status is CaseStatus.OPEN
    assert verify_case(rows, now=NOW + timedelta(days=1)).status is CaseStatus.UNENDED


def test_expired_second_attempt_is_ended() -> None:
    expired = follow(RETRY, CaseClosed(outcome="expired", code="case_deadline"), "case_manager")
    found = verdict(*ONCE, RETRY, AGAIN, expired)
    assert (found.findings, found.status) == ((), CaseStatus.CLOSED)


def test_second_ending_of_one_attempt_is_a_finding() -> None:
    another = follow(CLOSED_2[0], CaseClosed(outcome="failed", code="other"), "case_manager", ordinal=1, siblings=2)
    assert FindingKind.SECOND_ENDING in kinds(verdict(*TWICE, another))
    expired = follow(OPENED, CaseClosed(outcome="expired", code="case_deadline"), "case_manager")
    assert kinds(verdict(*ONCE, expired)) == {FindingKind.SECOND_ENDING}
    assert FindingKind.SECOND_ENDING in kinds(verdict(*TWICE, expired))


@pytest.mark.parametrize("gone", [CLOSED[0], CLOSED[1]], ids=["the router's word", "the ending"])
def test_retry_of_case_ended_otherwise_is_unfounded(gone: Json) -> None:
    assert FindingKind.RETRY_UNFOUNDED in kinds(verdict(*TWICE, without=gone))


def test_retry_of_foreign_failure_is_a_finding() -> None:
    asks = [
        follow(OPENED, AnswerQuestion(question=QUESTION), "router", node_to="text_to_sql", ordinal=n, siblings=2)
        for n in (0, 1)
    ]
    failures = [failed(command, "text_to_sql") for command in asks]
    ended = close(failures[0])
    held = verdict(OPENED, *asks, *failures, *ended, retry_of(failures[0], ended[1]))
    assert held.findings == ()
    wrong = verdict(OPENED, *asks, *failures, *ended, retry_of(failures[1], ended[1]))
    assert kinds(wrong) == {FindingKind.RETRY_UNFOUNDED}


def test_retry_without_failure_is_unfounded() -> None:
    answered = cases.answered()
    retry = retry_of({**answered[-2], "payload": FAILURE["payload"]}, answered[-1])
    assert FindingKind.RETRY_UNFOUNDED in kinds(verdict(*answered, retry))


def test_removed_retry_is_a_missing_parent() -> None:
    assert kinds(verdict(*TWICE, without=RETRY)) == {FindingKind.MISSING_PARENT}


def test_retry_before_the_ending_is_pending() -> None:
    rows = stored([OPENED, COMMAND, FAILURE, CLOSED[0], RETRY])
    found = verify_case(rows, now=NOW - timedelta(minutes=8))
    assert found.findings == ()
    assert {each.kind for each in found.pending} == {FindingKind.RETRY_UNFOUNDED}
