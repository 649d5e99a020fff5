"""What the reviewer reads with plain SQL, and the same through the reader."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.records.store import AuditStore
from switchyard.audit.records.stored_row import CaseStatus
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.protocol.events.case_manager import CaseClosed
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
ROUTE = "case_manager→router→triage→router→text_to_sql→router→drafter→router→case_manager→external"


async def test_timeline_is_in_causal_order_for_any_order_of_arrival(store: AuditStore, reader: AuditReader) -> None:
    events = cases.answered()
    for text in reversed(cases.bodies(events)):
        await store.record([text])

    steps = await reader.timeline(events[0]["case_id"])

    assert [step.step for step in steps] == list(range(1, 10))
    assert [step.event_id for step in steps] == [event["event_id"] for event in events]
    assert [step.since_opened_ms for step in steps] == [250 * index for index in range(9)]
    assert (steps[6].model_id, steps[6].latency_ms, steps[6].rubric_score) == ("claude-test", 812, 8_750)
    assert [step.terminal for step in steps] == [False] * 8 + [True]


async def test_summary_has_the_route_and_the_outcome_of_a_case(store: AuditStore, reader: AuditReader) -> None:
    events = cases.answered(tenant="acme", session_id="s-9")
    await store.record(cases.bodies(events))

    summary = await reader.summary(events[0]["case_id"])

    assert summary is not None
    assert summary.route == ROUTE
    assert (summary.tenant, summary.session_id, summary.playbook_version) == ("acme", "s-9", "assist/1")
    assert (summary.agents, summary.model_ids, summary.hops) == (
        ["drafter", "text_to_sql", "triage"],
        ["claude-test"],
        9,
    )
    assert (summary.status, summary.outcome, summary.code) == (CaseStatus.CLOSED, "answered", "answered")
    assert summary.duration_ms == 2_000
    assert summary.opened_at == cases.OPENED


async def test_case_without_ending_is_open_until_deadline_and_unended_after(
    store: AuditStore, reader: AuditReader
) -> None:
    alive = cases.answered(1, deadline=timedelta(days=1))[:4]
    lost = cases.answered(2, deadline=timedelta(minutes=1))[:4]
    await store.record(cases.bodies([*alive, *lost]))

    status = {case.case_id: case.status for case in await reader.list_cases()}

    assert status == {alive[0]["case_id"]: CaseStatus.OPEN, lost[0]["case_id"]: CaseStatus.UNENDED}


async def test_cases_are_listed_latest_first_and_by_filter(store: AuditStore, reader: AuditReader) -> None:
    for number, tenant in enumerate(["acme", "acme", "zeta"]):
        opened = cases.OPENED + timedelta(seconds=number)
        await store.record(cases.bodies(cases.answered(number, opened=opened, tenant=tenant, session_id=f"s-{number}")))
    latest = cases.first(3, opened=cases.OPENED + timedelta(seconds=3), session_id="s-3")
    expired = cases.follow(latest, CaseClosed(outcome="expired", code="case_deadline"), "case_manager")
    await store.record(cases.bodies([latest, expired]))

    async def listed(**filters: Any) -> list[int]:
        ids = {str(uuid.uuid5(uuid.NAMESPACE_URL, f"case/{number}")): number for number in range(4)}
        return [ids[case.case_id] for case in await reader.list_cases(**filters)]

    assert await listed() == [3, 2, 1, 0]
    assert await listed(limit=2) == [3, 2]
    assert await listed(tenant="zeta") == [2]
    assert await listed(session_id="s-1", tenant="acme") == [1]
    assert await listed(outcome="expired") == [3]
    assert await listed(status=CaseStatus.CLOSED, tenant="acme") == [3, 1, 0]
    assert await listed(day=cases.OPENED.date(), status=CaseStatus.OPEN) == []
    assert await listed(day=cases.OPENED.date() - timedelta(days=1)) == []


async def test_states_before_and_after_come_from_the_cause_and_the_event(store: AuditStore, owner: Owner) -> None:
    events = cases.answered()
    await store.record(cases.bodies(events))

    rows = await owner.fetch("select * from transition_states order by seq")

    triage, specialist, drafter = ({"step": step} for step in ("triage", "specialist", "drafter"))
    states = [(json.loads(row["pre_state"] or "null"), json.loads(row["post_state"] or "null")) for row in rows]
    assert states == [
        (None, None),
        (None, triage),
        (triage, triage),
        (triage, specialist),
        (specialist, specialist),
        (specialist, drafter),
        (drafter, drafter),
        (drafter, None),
        (None, None),
    ]
    assert [row["caused_by"] for row in rows[1:]] == [uuid.UUID(event["event_id"]) for event in events[:-1]]


async def test_details_are_the_event_as_json(store: AuditStore, owner: Owner) -> None:
    drafted = cases.answered()[6]
    await store.record([cases.body(drafted)])

    row = await owner.fetchrow("select * from transition_detail")

    assert row is not None
    assert json.loads(row["detail"]) == drafted
    assert json.loads(row["payload"]) == drafted["payload"]
    assert json.loads(row["model_call"])["decision"] == {"window": 20}
    assert json.loads(row["principal"])["tenant"] == "acme"


async def test_views_answer_for_a_body_that_is_invalid_json(
    store: AuditStore, reader: AuditReader, owner: Owner
) -> None:
    events = cases.answered()
    await store.record(cases.bodies(events))
    await owner.execute("alter table transition disable trigger all")
    await owner.execute("update transition set body = 'gone' where terminal")

    rows = await owner.fetch("select detail is null as gone from transition_detail order by seq")
    summary = await reader.summary(events[0]["case_id"])

    assert [row["gone"] for row in rows] == [False] * 8 + [True]
    assert summary is not None
    assert (summary.outcome, summary.code) == ("answered", None)


async def test_unknown_case_has_no_summary_timeline_or_bodies(reader: AuditReader) -> None:
    unknown = str(uuid.uuid4())

    assert await reader.summary(unknown) is None
    assert await reader.timeline(unknown) == []
    assert await reader.bodies(unknown) == []
    assert await reader.list_cases() == []
    with pytest.raises(ValueError, match="UUID"):
        await reader.summary("not-an-id")


async def test_bodies_are_returned_in_causal_order(store: AuditStore, reader: AuditReader) -> None:
    texts = cases.bodies(cases.answered())
    await store.record(texts[::-1])

    assert await reader.bodies(cases.first()["case_id"]) == texts
