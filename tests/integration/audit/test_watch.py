"""A cause that never came and an ending that is overdue are alarms, each once, and not before their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from switchyard.audit.records.store import AuditStore
from switchyard.audit.service.missing_events import LogWatch
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.proof import Proof, mac_keys
from tests.integration.manual_clock import ManualClock
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
GRACE = timedelta(minutes=5)


async def alarms(watch: LogWatch, writer: Pool) -> list[tuple[str, str]]:
    """What the watch says when it looks: the kind of alarm and the event or case."""
    with structlog.testing.capture_logs() as logged:
        async with TransparencyLog.open(writer, mac_keys(writer)) as transparency_log:
            await watch.raise_due_alarms(transparency_log.session)
    lines: list[dict[str, Any]] = [dict(line) for line in logged]
    return [(line["event"], line.get("event_id") or line["case_id"]) for line in lines]


async def test_cause_missing_after_the_grace_raises_one_alarm(store: AuditStore, proof: Proof, writer: Pool) -> None:
    events = cases.answered(deadline=timedelta(hours=2))
    await store.record(cases.bodies([events[0], events[2]]))
    await proof.index_rows()
    clock = ManualClock(datetime.now(UTC))
    watch = LogWatch(clock, grace=GRACE)

    early = await alarms(watch, writer)
    clock.advance(GRACE.total_seconds() + 120)
    late = await alarms(watch, writer)
    again = await alarms(watch, writer)

    assert (early, again) == ([], [])
    assert late == [("integrity.orphan", events[2]["event_id"])]


async def test_cause_within_the_grace_raises_no_alarm(store: AuditStore, proof: Proof, writer: Pool) -> None:
    events = cases.answered(deadline=timedelta(hours=2))
    await store.record(cases.bodies([events[0], events[2]]))
    await proof.index_rows()
    await store.record(cases.bodies([events[1]]))
    await proof.index_rows()
    clock = ManualClock(datetime.now(UTC))
    clock.advance(GRACE.total_seconds() + 120)

    assert await alarms(LogWatch(clock, grace=GRACE), writer) == []


async def test_unended_case_past_its_deadline_raises_one_alarm(store: AuditStore, proof: Proof, writer: Pool) -> None:
    lost, ended = cases.answered(1)[:-1], cases.answered(2)
    await store.record(cases.bodies([*lost, *ended]))
    await proof.index_rows()
    clock = ManualClock(cases.NOW)
    watch = LogWatch(clock, grace=GRACE)

    before = await alarms(watch, writer)
    clock.advance(600 + GRACE.total_seconds())
    after = await alarms(watch, writer)
    again = await alarms(watch, writer)

    assert (before, again) == ([], [])
    assert after == [("case.unended", lost[0]["case_id"])]
