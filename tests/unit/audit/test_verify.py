"""What verification finds in the rows of a case."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.triage import AgentChosen
from switchyard.audit.records.stored_row import CaseStatus, StoredRow
from switchyard.audit.verification.case_verifier import verify_cases
from switchyard.audit.verification.findings import CaseVerdict, FindingKind, VerifyReport
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from tests.reference import verify_case
from tests.unit.audit import cases


def findings_in(events: list[Json], **more: Any) -> list[tuple[FindingKind, str | None]]:
    verdict = verify_case(cases.stored(events), **{"now": cases.NOW, **more})
    return [(finding.kind, finding.event_id) for finding in verdict.findings]


def column(stored: StoredRow, **fields: Any) -> StoredRow:
    return StoredRow(stored.row._replace(**fields), stored.recorded_at)


def test_unaltered_case_has_no_findings() -> None:
    verdict = verify_case(cases.stored(cases.answered()), now=cases.NOW)

    assert verdict.findings == verdict.pending == ()
    assert (verdict.status, verdict.rows) == (CaseStatus.CLOSED, 9)


@pytest.mark.parametrize("seed", range(5))
def test_row_order_does_not_change_the_verdict(seed: int) -> None:
    events = cases.answered()
    random.Random(seed).shuffle(events)

    assert findings_in(events) == []


ALTERED: list[tuple[str, Any]] = [
    ("opened_on", date(2020, 1, 1)),
    ("event_id", "00000000-0000-0000-0000-000000000001"),
    ("tenant", "other"),
    ("session_id", "other"),
    ("principal_sub", "user:other"),
    ("subject", None),
    ("node_from", "triage"),
    ("node_to", "case_manager"),
    ("transition", "NoAgentFits"),
    ("type_version", 2),
    ("seq", 99),
    ("ordinal", 1),
    ("siblings", 2),
    ("parents", ()),
    ("transcript_hash", "0" * 64),
    ("playbook_version", "assist/2"),
    ("bundle", "ab" * 32),
    ("prompt_version", "p8"),
    ("model_id", "another-model"),
    ("latency_ms", 1),
    ("rubric_score", 10_000),
    ("time_limit_ms", 1),
    ("case_deadline", cases.NOW),
    ("terminal", True),
    ("outcome", "answered"),
    ("event_ts", cases.NOW),
    ("source", "switchyard.other"),
    ("bus_id", "other"),
    ("bus_ts", None),
]


@pytest.mark.parametrize(("name", "value"), ALTERED, ids=[name for name, _ in ALTERED])
def test_altered_column_is_named(name: str, value: object) -> None:
    rows = cases.stored(cases.answered())
    rows[6] = column(rows[6], **{name: value})

    (finding,) = verify_case(rows, now=cases.NOW).findings

    assert (finding.kind, finding.field, finding.event_id) == (FindingKind.COLUMN_DIFFERS, name, rows[6].row.event_id)


def test_altered_body_does_not_match_its_digest() -> None:
    events = cases.answered()
    rows = cases.stored(events)
    altered = events[6] | {"rubric_score": 9_999}
    rows[6] = column(rows[6], body=cases.body(altered), rubric_score=9_999)

    (finding,) = verify_case(rows, now=cases.NOW).findings

    assert (finding.kind, finding.event_id) == (FindingKind.DIGEST_MISMATCH, events[6]["event_id"])


def test_invalid_body_is_unreadable() -> None:
    rows = cases.stored(cases.answered())
    rows[2] = column(rows[2], body="{}")

    (finding,) = verify_case(rows, now=cases.NOW).findings

    assert (finding.kind, finding.event_id) == (FindingKind.UNREADABLE, rows[2].row.event_id)


def test_event_rewritten_with_its_digest_orphans_its_children() -> None:
    events = cases.answered()
    events[6] = cases.rewritten(events[6], rubric_score=9_999)

    assert findings_in(events) == [(FindingKind.MISSING_PARENT, events[7]["event_id"])]


def test_removed_event_orphans_its_children() -> None:
    events = cases.answered()
    removed = events.pop(4)

    assert findings_in(events) == [(FindingKind.MISSING_PARENT, events[4]["event_id"])]
    assert removed["digest"] in verify_case(cases.stored(events), now=cases.NOW).findings[0].why


def test_case_without_its_first_event_is_a_finding() -> None:
    events = cases.answered()[1:]

    assert findings_in(events) == [
        (FindingKind.NO_FIRST_EVENT, None),
        (FindingKind.MISSING_PARENT, events[0]["event_id"]),
    ]


def test_case_without_an_ending_is_unended_after_its_deadline() -> None:
    rows = cases.stored(cases.answered()[:-1])

    before = verify_case(rows, now=cases.OPENED + timedelta(minutes=14))
    after = verify_case(rows, now=cases.OPENED + timedelta(minutes=21))

    assert (before.status, after.status) == (CaseStatus.OPEN, CaseStatus.UNENDED)
    assert before.findings == after.findings == ()


def test_inserted_event_with_underived_id_is_a_finding() -> None:
    events = cases.answered()
    forged = cases.rewritten(
        cases.follow(events[1], AgentChosen(agent="text_to_sql"), "triage", ordinal=1, siblings=1),
        event_id="00000000-0000-4000-8000-000000000000",
        ordinal=0,
    )

    kinds = {kind for kind, event_id in findings_in([*events, forged]) if event_id == forged["event_id"]}

    assert FindingKind.ID_NOT_DERIVED in kinds


def test_inserted_event_with_taken_ordinal_is_a_finding() -> None:
    events = cases.answered()
    forged = cases.renamed(events[2], events[1], type="NoAgentFits", payload={"why": ""})

    rows = cases.stored([*events, forged])
    (finding,) = verify_case(rows, now=cases.NOW).findings

    assert finding.kind is FindingKind.SIBLINGS_DISAGREE
    assert finding.event_id in {events[2]["event_id"], forged["event_id"]}


def test_event_of_another_case_has_no_parent() -> None:
    stranger = cases.rewritten(cases.answered(1)[4], case_id=cases.first()["case_id"])

    kinds = {kind for kind, event_id in findings_in([*cases.answered(), stranger]) if event_id == stranger["event_id"]}

    assert {FindingKind.MISSING_PARENT, FindingKind.CASE_FACT_DIFFERS} <= kinds


def test_wrong_seq_is_a_finding() -> None:
    events = cases.answered()[:2]
    events[1] = cases.rewritten(events[1], seq=5)

    assert findings_in(events) == [(FindingKind.WRONG_SEQ, events[1]["event_id"])]


def test_second_first_event_is_a_finding() -> None:
    events = cases.answered()
    second = cases.rewritten(events[0], event_id="00000000-0000-4000-8000-000000000000")

    assert FindingKind.SECOND_FIRST_EVENT in {kind for kind, _ in findings_in([*events, second])}


def test_second_ending_is_a_finding_on_the_later_row() -> None:
    events = cases.answered()
    expired = cases.follow(
        events[0], CaseClosed(outcome="expired", code="case_deadline"), "case_manager", after_ms=60_000
    )

    assert findings_in([*events, expired]) == [(FindingKind.SECOND_ENDING, expired["event_id"])]


def test_event_after_the_ending_is_no_finding() -> None:
    opened, asked, *_ = cases.answered()
    expired = cases.follow(opened, CaseClosed(outcome="expired", code="case_deadline"), "case_manager")
    late = cases.failed(asked, "triage")

    assert findings_in([opened, asked, expired, late]) == []


def test_failure_and_result_of_one_task_are_two_outcomes() -> None:
    events = cases.answered()
    failure = cases.failed(events[1], "triage")

    assert {kind for kind, _ in findings_in([*events, failure])} == {FindingKind.SIBLINGS_DISAGREE}


def test_router_failure_after_its_result_is_no_finding() -> None:
    events = cases.answered()
    failure = cases.failed(events[2], "router")

    assert findings_in([*events, failure]) == []


def test_notice_to_the_user_and_the_answer_of_one_command_are_no_finding() -> None:
    events = cases.consented()
    assert findings_in(events) == []
    assert findings_in(events[:-1]) == []
    second = cases.failed(events[-3], "case_manager")
    assert {kind for kind, _ in findings_in([*events, second])} == {FindingKind.SIBLINGS_DISAGREE}


def test_missing_sibling_is_a_finding_after_the_grace() -> None:
    opened, one, _ = cases.forked()
    rows = cases.stored([opened, one])

    early = verify_case(rows, now=rows[1].recorded_at + timedelta(seconds=1))
    late = verify_case(rows, now=cases.NOW)

    assert [finding.kind for finding in early.pending] == [FindingKind.MISSING_SIBLING]
    assert early.findings == ()
    assert [finding.kind for finding in late.findings] == [FindingKind.MISSING_SIBLING]


def test_fork_with_two_branches_has_no_findings() -> None:
    assert findings_in(cases.forked()) == []


def test_event_before_its_parent_is_pending_within_the_grace() -> None:
    events = cases.answered()[:3]
    del events[1]
    rows = cases.stored(events)

    early = verify_case(rows, now=rows[-1].recorded_at + timedelta(seconds=1))
    late = verify_case(rows, now=cases.NOW)

    assert [finding.kind for finding in early.pending] == [FindingKind.MISSING_PARENT]
    assert [finding.kind for finding in late.findings] == [FindingKind.MISSING_PARENT]


def test_event_stored_under_two_days_is_a_finding() -> None:
    rows = cases.stored(cases.answered())
    moved = column(rows[3], opened_on=date(2020, 1, 1))

    kinds = {finding.kind for finding in verify_case([*rows, moved], now=cases.NOW).findings}

    assert {FindingKind.DUPLICATE, FindingKind.COLUMN_DIFFERS} <= kinds


def test_backdated_row_is_a_finding() -> None:
    rows = cases.stored(cases.answered())
    rows[8] = StoredRow(rows[8].row, rows[8].recorded_at - timedelta(days=1))

    (finding,) = verify_case(rows, now=cases.NOW).findings

    assert (finding.kind, finding.event_id) == (FindingKind.RECORDED_EARLY, rows[8].row.event_id)


def test_later_catalogue_type_keeps_row_columns_valid() -> None:
    rows = cases.stored(cases.answered())
    rows[8] = column(rows[8], catalogued=False, terminal=False, outcome=None)

    verdict = verify_case(rows, now=cases.NOW)

    assert verdict.findings == ()
    assert verdict.status is CaseStatus.CLOSED


@pytest.mark.parametrize("number", [2, 8])
def test_column_that_ends_a_case_by_a_type_that_was_not_known_is_a_finding(number: int) -> None:
    rows = cases.stored(cases.answered())
    rows[number] = column(rows[number], catalogued=False, terminal=True, outcome="sent")

    found = verify_case(rows, now=cases.NOW).findings

    assert [(each.kind, each.field) for each in found] == [
        (FindingKind.COLUMN_DIFFERS, "terminal"),
        (FindingKind.COLUMN_DIFFERS, "outcome"),
    ]


def test_producer_outside_the_catalogue_is_a_finding() -> None:
    events = cases.answered()[:2]
    events.append(
        cases.renamed(cases.answered()[8], events[1], node_from="triage", seq=2, parents=[events[1]["digest"]])
    )

    assert findings_in(events) == [(FindingKind.NOT_IN_CATALOGUE, events[2]["event_id"])]


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("scopes", ["role:FIELD_ALL"]),
        ("act", ["service:other"]),
        ("tenant", "other"),
        ("exp", "2030-01-01T00:00:00Z"),
        ("grant_ref", "00000000-0000-4000-8000-000000000000"),
    ],
)
def test_event_with_another_principal_is_a_finding(claim: str, value: object) -> None:
    events = cases.answered()[:3]
    events[2] = cases.rewritten(events[2], principal={**events[2]["principal"], claim: value})

    (finding,) = verify_case(cases.stored(events), now=cases.OPENED).findings

    assert (finding.kind, finding.event_id) == (FindingKind.CASE_FACT_DIFFERS, events[2]["event_id"])
    assert finding.field == f"principal.{claim}"


def _last_rewritten() -> list[Json]:
    events = cases.answered()
    return [*events[:-1], cases.rewritten(events[-1], payload={**events[-1]["payload"], "outcome": "failed"})]


def _late_event_removed() -> list[Json]:
    opened, asked, *_ = cases.answered()
    expired = cases.follow(opened, CaseClosed(outcome="expired", code="case_deadline"), "case_manager")
    late = cases.failed(asked, "triage")
    return [event for event in (opened, asked, expired, late) if event is not late]


def _last_inserted() -> list[Json]:
    events = cases.answered()[:-1]
    return [*events, cases.follow(events[-1], CaseClosed(outcome="cancelled", code="cancelled"), "case_manager")]


@pytest.mark.parametrize("tampered", [_last_rewritten, _late_event_removed, _last_inserted])
def test_removed_last_events_need_checkpoints_to_be_seen(tampered: Callable[[], list[Json]]) -> None:
    """What nothing follows can be replaced, removed or put in by the database's owner, unseen by the chain."""
    assert findings_in(tampered()) == []


async def test_streamed_cases_get_one_verdict_each() -> None:
    async def rows() -> AsyncIterator[StoredRow]:
        for number in range(3):
            for row in cases.stored(cases.answered(number)):
                yield row

    seen = [verdict async for verdict in verify_cases(CATALOGUE, rows(), now=cases.NOW)]

    assert [verdict.rows for verdict in seen] == [9, 9, 9]
    assert len({verdict.case_id for verdict in seen}) == 3


def test_report_counts_all_and_lists_up_to_its_limit() -> None:
    rows = [column(row, tenant="other") for row in cases.stored(cases.answered())]
    report = VerifyReport("all", limit=4)

    report.add(verify_case(rows, now=cases.NOW))
    report.add(CaseVerdict("x", CaseStatus.UNENDED, 1))

    assert (report.cases, report.rows, report.closed, report.unended) == (2, 10, 1, 1)
    assert (report.finding_count, len(report.findings)) == (9, 4)
    assert report.unended_cases == ["x"]
    assert not report.ok
