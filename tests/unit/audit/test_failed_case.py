"""Which failure ended a case, and why a case has none that could be tried again."""

from __future__ import annotations

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.verification.failed_case import NotRetryable, find_failure
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from tests.unit.audit.cases import answered, failed, first, follow
from tests.unit.audit.test_attempts import CLOSED, CLOSED_2, COMMAND, FAILURE, FAILURE_2, ONCE, OPENED, RETRY, TWICE


def failure_message(events: list[Json]) -> str:
    with pytest.raises(NotRetryable) as refused:
        find_failure(events, CATALOGUE)
    assert refused.value.remedy
    return refused.value.message


def test_failed_case_has_its_failure_and_command() -> None:
    found = find_failure(ONCE, CATALOGUE)
    assert (found.command, found.failed, found.close, found.ending) == (COMMAND, FAILURE, *CLOSED)


def test_case_retried_once_has_its_second_failure() -> None:
    assert (find_failure(TWICE, CATALOGUE).failed, find_failure(TWICE, CATALOGUE).ending) == (FAILURE_2, CLOSED_2[1])


def test_case_without_a_failure_is_refused_with_its_state() -> None:
    assert "has not ended" in failure_message([first()])
    assert "ended as answered" in failure_message(answered())
    assert "is being retried already" in failure_message([*ONCE, RETRY])


def test_case_that_the_router_failed_has_no_failed_task() -> None:
    own = failed(OPENED, "router")
    closed = follow(own, CaseClosed(outcome="failed", code="unknown_event"), "case_manager")
    assert "the router could not route" in failure_message([OPENED, own, closed])


def test_missing_cause_of_a_failure_is_refused() -> None:
    assert "does not have the cause of" in failure_message([event for event in ONCE if event is not CLOSED[0]])
