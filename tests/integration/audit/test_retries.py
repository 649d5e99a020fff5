"""A case that was tried again, as a reviewer's views and the command line show it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.records.stored_row import CaseStatus
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import connect_pool
from tests.integration.audit.conftest import UrlFor
from tests.integration.manual_clock import ManualClock
from tests.unit.audit.cases import NOW, bodies, follow
from tests.unit.audit.test_attempts import AGAIN, ONCE, RETRY, TWICE

pytestmark = pytest.mark.integration
CASE = ONCE[0]["case_id"]
EXPIRED = follow(RETRY, CaseClosed(outcome="expired", code="case_deadline"), "case_manager", after_ms=5_000)


@pytest.fixture
async def reader(url_for: UrlFor) -> AsyncIterator[AuditReader]:
    """The log as it is read at the moment of the cases, however long the session has been running."""
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    yield AuditReader(pool, CATALOGUE, clock=ManualClock(NOW))
    await pool.close()


async def shown(
    store: AuditStore, reader: AuditReader, events: list[Json]
) -> tuple[CaseStatus, str | None, str | None]:
    """Status, outcome and code of the case, which the list must agree with."""
    await store.record(bodies(events))
    summary = await reader.summary(CASE)
    assert summary is not None
    assert [row.outcome for row in await reader.list_cases(status=summary.status)] == [summary.outcome]
    assert len(await reader.list_cases(outcome=summary.outcome or "failed")) == (summary.outcome is not None)
    return summary.status, summary.outcome, summary.code


async def test_retried_case_is_open_without_an_outcome(store: AuditStore, reader: AuditReader) -> None:
    assert await shown(store, reader, ONCE) == (CaseStatus.CLOSED, "failed", "failed")
    assert await shown(store, reader, [RETRY, AGAIN]) == (CaseStatus.OPEN, None, None)


async def test_retried_case_has_the_outcome_of_its_last_attempt(store: AuditStore, reader: AuditReader) -> None:
    assert await shown(store, reader, [*ONCE, RETRY, AGAIN, EXPIRED]) == (CaseStatus.CLOSED, "expired", "case_deadline")
    assert (await reader.verify(case_id=CASE)).ok


async def test_timeline_shows_both_attempts_in_causal_order(store: AuditStore, reader: AuditReader) -> None:
    await store.record(bodies(reversed(TWICE)))
    steps = await reader.timeline(CASE)
    endings = [event["event_id"] for event in TWICE if event["type"] == "CaseClosed"]
    assert [step.event_id for step in steps if step.terminal] == endings
    assert {step.event_id for step in steps} == {event["event_id"] for event in TWICE}
    assert (await reader.verify(case_id=CASE)).ok
