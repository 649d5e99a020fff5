"""Artefacts go after the bodies, despite a kill, a hold, or an event that comes in late."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import RETENTION, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.retention.retention import CaseObjects, DueCase, RetentionStore, RetirementOutcome
from switchyard.cli.commands.audit.retention import retire_due_cases
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.audit.aged import age
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.retention.retiring import LONG_AGO, SIGNER, due_now
from tests.integration.cloud import Cloud
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


class Killed(Exception):
    """The process ends here."""


class Deadly(CaseObjects):
    """S3 at the moment of a kill: before it has deleted anything, or after."""

    after = False

    async def remove(self, case_id: str) -> None:
        if self.after:
            await super().remove(case_id)
        raise Killed


@pytest.fixture
async def pool(url_for: UrlFor) -> AsyncIterator[Pool]:
    """The retention role's connections."""
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    yield pool
    await pool.close()


async def artefacts(cloud: Cloud, case_id: str) -> int:
    return await CaseObjects(cloud.s3, OBJECT_BUCKET).count(case_id)


async def killed_retiring(pool: Pool, cloud: Cloud, case_id: str, *, after: bool = False) -> None:
    """Retire what is due, and be killed when the artefacts' turn comes."""
    await cloud.s3.put_object(Bucket=OBJECT_BUCKET, Key=f"artefacts/{case_id}/answer", Body=b"ciphertext")
    objects = Deadly(cloud.s3, OBJECT_BUCKET)
    objects.after = after
    dying = RetentionStore(pool, CATALOGUE, SIGNER, SystemClock(), objects=objects)
    (due,) = await due_now(dying)
    with pytest.raises(Killed):
        await dying.retire(due, operator="ada")


@pytest.mark.parametrize("after", [False, True])
async def test_retirement_killed_midway_is_completed_by_next_run(
    pool: Pool, cloud: Cloud, owner: Owner, retention: RetentionStore, events: list[Json], after: bool
) -> None:
    case_id = events[0]["case_id"]
    await killed_retiring(pool, cloud, case_id, after=after)
    bodies = await owner.fetchval("select count(body) from transition where case_id = $1", uuid.UUID(case_id))
    assert (bodies, await artefacts(cloud, case_id)) == (0, 0 if after else 1)

    assert await retention.sweep() == 1
    assert await artefacts(cloud, case_id) == 0
    assert await retention.sweep() == 0


async def test_hold_after_a_kill_keeps_the_artefacts_until_its_release(
    pool: Pool, cloud: Cloud, retention: RetentionStore, events: list[Json]
) -> None:
    case_id = events[0]["case_id"]
    await killed_retiring(pool, cloud, case_id)
    await retention.hold(case_id, reason="a complaint", operator="ada")
    assert (await retention.sweep(), await artefacts(cloud, case_id)) == (0, 1)

    await retention.release(case_id, reason="settled", operator="ada")
    assert (await retention.sweep(), await artefacts(cloud, case_id)) == (1, 0)


async def test_late_event_keeps_its_artefacts(
    pool: Pool, cloud: Cloud, retention: RetentionStore, store: AuditStore, events: list[Json]
) -> None:
    case_id = events[0]["case_id"]
    await killed_retiring(pool, cloud, case_id)
    await store.record([cases.body(cases.failed(events[1], "triage"))])

    assert (await retention.sweep(), await artefacts(cloud, case_id)) == (0, 1)


class HoldsComeIn(RetentionStore):
    """The first case that is tried is put on hold at that moment."""

    held: str | None = None

    async def retire(self, due: DueCase, *, operator: str) -> RetirementOutcome:
        if self.held is None:
            self.held = due.case_id
            await self.hold(due.case_id, reason="a complaint", operator="ben")
        return await super().retire(due, operator=operator)


async def test_hold_during_a_run_keeps_its_case_only(
    pool: Pool, cloud: Cloud, store: AuditStore, owner: Owner, events: list[Json], capsys: pytest.CaptureFixture[str]
) -> None:
    await store.record(cases.bodies(cases.answered(3, opened=LONG_AGO)))
    await age(owner)
    retention = HoldsComeIn(pool, CATALOGUE, SIGNER, SystemClock(), objects=CaseObjects(cloud.s3, OBJECT_BUCKET))

    assert await retire_due_cases(retention, "ada", 10) == 1

    rows = await owner.fetch(
        "select case_id::text, count(body) from transition where opened_on < '2025-01-01' group by 1"
    )
    assert {row[0]: row[1] for row in rows} == {
        case["case_id"]: 9 if case["case_id"] == retention.held else 0 for case in (events[0], cases.first(3))
    }
    output = " ".join(capsys.readouterr().out.split())
    assert f"kept case {retention.held}: retention_receipt: case {retention.held} may not be retired" in output
    assert "1 case retired (9 bodies), 1 kept" in output
