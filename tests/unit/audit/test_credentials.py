"""What was issued is compared with what the log says was used, both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from switchyard.audit.reconciliation.completeness import Gap, GapKind, RecordedEvent
from switchyard.audit.reconciliation.credentials import IssuedCredential, compare_credentials

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
ANA, BEN = (f"00000000-0000-4000-8000-00000000000{digit}" for digit in "ab")
CASE, GRANT, COMMAND, OUTCOME = (f"00000000-0000-4000-8000-00000000000{digit}" for digit in "1234")
ISSUED = IssuedCredential(
    "tok-1", COMMAND, GRANT, CASE, "text_to_sql", "https://warehouse.example", ["session:role:NORTH"], NOW
)


def command() -> RecordedEvent:
    return RecordedEvent("router", CASE, COMMAND, "c" * 64, "AnswerQuestion", NOW, node_to="text_to_sql", subject=ANA)


def outcome(*used: dict[str, Any], producer: str = "text_to_sql") -> RecordedEvent:
    access = json.dumps(used) if used else None
    at = NOW + timedelta(seconds=2)
    return RecordedEvent(
        producer, CASE, OUTCOME, "d" * 64, "FindingsReady", at, ("c" * 64,), "router", subject=ANA, access=access
    )


def ending(after_s: float) -> RecordedEvent:
    at = NOW + timedelta(seconds=after_s)
    return RecordedEvent("case_manager", CASE, "e", "e" * 64, "CaseClosed", at, ("d" * 64,), terminal=True)


def use(**changes: Any) -> dict[str, Any]:
    return {
        "subject": ANA,
        "agent": "text_to_sql",
        "grant": GRANT,
        "jti": "tok-1",
        "audience": "https://warehouse.example",
        "scopes": ["session:role:NORTH"],
    } | changes


def gaps(*events: RecordedEvent, issued: tuple[IssuedCredential, ...] = (ISSUED,)) -> list[tuple[GapKind, str]]:
    found: list[Gap] = compare_credentials(issued, events, settled_before=NOW + timedelta(hours=1))
    return [(gap.kind, gap.event_id) for gap in found]


def test_credential_that_the_outcome_names_is_no_gap() -> None:
    assert gaps(command(), outcome(use())) == []


def test_credential_that_the_outcome_hides_is_unrecorded() -> None:
    assert gaps(command(), outcome()) == [(GapKind.UNRECORDED, COMMAND)]


def test_credential_of_a_task_that_is_under_way_is_no_gap() -> None:
    assert gaps(command()) == []
    assert gaps(command(), ending(-1)) == [], "an ending before it was issued: the case was tried again"
    assert gaps(command(), ending(2 * 3_600)) == [], "the outcome may still arrive"


def test_credential_of_a_task_without_outcome_in_an_ended_case_is_unrecorded() -> None:
    assert gaps(command(), ending(5)) == [(GapKind.UNRECORDED, COMMAND)]


def test_credential_that_nobody_issued_is_found() -> None:
    assert gaps(command(), outcome(use()), issued=()) == [(GapKind.UNISSUED, OUTCOME)]


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "drafter"},
        {"grant": BEN},
        {"audience": "https://other.example"},
        {"scopes": ["session:role:SOUTH"]},
        {"scopes": []},
        {"subject": BEN},
    ],
)
def test_credential_recorded_otherwise_than_issued_is_found_both_ways(changes: dict[str, Any]) -> None:
    assert set(gaps(command(), outcome(use(**changes)))) == {
        (GapKind.UNRECORDED, COMMAND),
        (GapKind.UNISSUED, OUTCOME),
    }


def test_credential_lost_in_a_crash_is_no_gap_if_another_is_named() -> None:
    again = replace(ISSUED, jti="tok-2")
    assert gaps(command(), outcome(use(jti="tok-2")), issued=(ISSUED, again)) == []
    assert gaps(command(), outcome(use(jti="tok-3")), issued=(ISSUED, again)) == [(GapKind.UNISSUED, OUTCOME)]


def test_credential_that_another_agent_reports_does_not_count() -> None:
    found = gaps(command(), outcome(use(), producer="drafter"), ending(5))
    assert set(found) == {(GapKind.UNRECORDED, COMMAND), (GapKind.UNISSUED, OUTCOME)}


def test_credential_of_another_task_does_not_count_for_this_one() -> None:
    other = replace(ISSUED, task="00000000-0000-4000-8000-000000000009")
    assert (GapKind.UNISSUED, OUTCOME) in gaps(command(), outcome(use()), issued=(other,))


@pytest.mark.parametrize("text", ["", "{", "5", '["x"]', "[" * 10_000, '[{"jti": 5}]'])
def test_row_with_unreadable_credentials_counts_as_none(text: str) -> None:
    assert gaps(command(), replace(outcome(), access=text)) == [(GapKind.UNRECORDED, COMMAND)]
