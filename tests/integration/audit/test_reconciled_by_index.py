"""What the reconciler compares is found by log index: no time in the log hides an event from it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.reconciliation.completeness import PublishedEvent
from switchyard.audit.reconciliation.reconciler import LogPresence
from switchyard.audit.records.store import AuditStore
from tests.integration.audit.proof import Proof
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
FROM_THE_START = uuid.UUID(int=0)
SINCE = cases.NOW - timedelta(hours=1)


def case_ids(*numbers: int) -> list[uuid.UUID]:
    return sorted(uuid.UUID(cases.first(number)["case_id"]) for number in numbers)


async def test_backdated_event_is_compared_by_index_and_hidden_only_by_a_time_range(
    store: AuditStore, proof: Proof, owner: Owner
) -> None:
    await store.record([cases.body(cases.first(0))])
    await proof.index_rows()
    before = await LogPresence(proof._reading).last_index()
    await owner.execute(
        "create function attack() returns trigger language plpgsql as"
        " $$ begin new.recorded_at := new.recorded_at - interval '20 days'; return new; end $$"
    )
    await owner.execute("create trigger attack before insert on transition for each row execute function attack()")
    await store.record([cases.body(cases.first(1))])
    await owner.execute(
        "insert into log_entry select 2, opened_on, event_id, transcript_hash, recorded_at,"
        " sha256(convert_to(body, 'UTF8')), mac, mac_key from transition where recorded_at < now() - interval '1 day'"
    )
    presence = LogPresence(proof._reading)

    assert await presence.cases(None, 0, FROM_THE_START, 10) == case_ids(0, 1)
    assert await presence.cases(SINCE, before, FROM_THE_START, 10) == case_ids(1)
    assert await presence.cases(SINCE, 0, FROM_THE_START, 10) == case_ids(0)
    assert (before, await presence.last_index()) == (1, 2)


async def test_recorded_event_whose_month_was_dropped_is_not_published_again(
    store: AuditStore, proof: Proof, owner: Owner
) -> None:
    gone, lost = cases.first(0), cases.first(1)
    await store.record([cases.body(gone)])
    await proof.index_rows()
    partition = await owner.fetchval("select tableoid::regclass::text from transition")
    await owner.execute(f"drop table {partition}")

    published = [_published(event) for event in (gone, lost)]
    missing = await LogPresence(proof._reading).still_missing(published)

    assert [event.event_id for event in missing] == [lost["event_id"]]


def _published(event: dict[str, Any]) -> PublishedEvent:
    ids = event["case_id"], event["event_id"], event["digest"], cases.OPENED.date(), event["type"]
    return PublishedEvent("case_manager", *ids, cases.NOW, ask=("case_manager", event["event_id"]))
