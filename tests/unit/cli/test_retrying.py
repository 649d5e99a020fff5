"""Which failure ended a case, and why a case has none that could be tried again."""

from __future__ import annotations

import pytest

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.commands.case import find_failure
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from tests.unit.audit.cases import answered, failed, first, follow
from tests.unit.audit.test_attempts import CLOSED, CLOSED_2, COMMAND, FAILURE, FAILURE_2, ONCE, OPENED, RETRY, TWICE


def told(events: list[Json]) -> str:
    with pytest.raises(CommandFailed) as refused:
        find_failure(events)
    assert refused.value.remedy
    return refused.value.message


def test_the_failure_that_ended_the_case_is_found_with_its_command() -> None:
    found = find_failure(ONCE)
    assert (found.command, found.failed, found.close, found.ending) == (COMMAND, FAILURE, *CLOSED)


def test_of_a_case_that_was_tried_twice_it_is_the_second_failure() -> None:
    assert (find_failure(TWICE).failed, find_failure(TWICE).ending) == (FAILURE_2, CLOSED_2[1])


def test_a_case_without_a_failure_says_how_it_ended_or_that_it_has_not() -> None:
    assert "has not ended" in told([first()])
    assert "ended as answered" in told(answered())
    assert "is being retried already" in told([*ONCE, RETRY])


def test_what_the_router_could_not_route_has_no_failed_task() -> None:
    own = failed(OPENED, "router")
    closed = follow(own, CaseClosed(outcome="failed", code="unknown_event"), "case_manager")
    assert "the router could not route" in told([OPENED, own, closed])


def test_a_log_with_a_hole_in_the_failure_is_not_enough() -> None:
    assert "does not have the cause of" in told([event for event in ONCE if event is not CLOSED[0]])
