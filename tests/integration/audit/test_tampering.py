"""The database's owner disables the trigger and changes the past; verification names the row and says why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind, VerifyReport
from switchyard.protocol.fields import Json
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
LATER = cases.NOW + timedelta(hours=1)


@pytest.fixture
async def events(store: AuditStore, owner: Owner, reader: AuditReader) -> list[Json]:
    """A recorded case among others, in a log that holds, with the triggers out of the way."""
    for number in range(3):
        await store.record(cases.bodies(cases.answered(number)))
    assert (await reader.verify(now=LATER)).ok
    await owner.execute("alter table transition disable trigger all")
    return cases.answered(1)


def named(report: VerifyReport) -> list[tuple[FindingKind, str | None, str | None]]:
    return [(finding.kind, finding.event_id, finding.field) for finding in report.findings]


async def test_edited_column_is_named(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute("update transition set rubric_score = 9999 where event_id = $1", events[6]["event_id"])

    report = await reader.verify(now=LATER)

    assert named(report) == [(FindingKind.COLUMN_DIFFERS, events[6]["event_id"], "rubric_score")]
    assert report.findings[0].why == "the column is 9999, and the body has 8750"
    assert report.findings[0].case_id == events[0]["case_id"]


async def test_edited_body_is_named(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute(
        "update transition set body = replace(body, '8750', '9999'), rubric_score = 9999 where event_id = $1",
        events[6]["event_id"],
    )

    assert named(await reader.verify(now=LATER)) == [(FindingKind.DIGEST_MISMATCH, events[6]["event_id"], "digest")]


async def test_edited_digest_is_named(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute(
        "update transition set transcript_hash = repeat('0', 64) where event_id = $1", events[6]["event_id"]
    )

    assert named(await reader.verify(now=LATER)) == [
        (FindingKind.COLUMN_DIFFERS, events[6]["event_id"], "transcript_hash")
    ]


async def test_row_rewritten_in_all_tables_orphans_its_children(
    events: list[Json], owner: Owner, reader: AuditReader
) -> None:
    forged = cases.rewritten(events[6], rubric_score=9_999)
    await owner.execute(
        "update transition set body = $2, rubric_score = 9999, transcript_hash = $3, bus_id = $4 where event_id = $1",
        events[6]["event_id"],
        cases.body(forged),
        forged["digest"],
        cases.bus_event(forged)["id"],
    )

    assert named(await reader.verify(now=LATER)) == [(FindingKind.MISSING_PARENT, events[7]["event_id"], "parents")]


async def test_dropped_middle_orphans_its_children(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute("delete from transition where event_id = $1", events[4]["event_id"])

    report = await reader.verify(now=LATER)

    assert named(report) == [(FindingKind.MISSING_PARENT, events[5]["event_id"], "parents")]
    assert events[4]["digest"] in report.findings[0].why


async def test_dropped_ending_leaves_an_unended_case(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute("delete from transition where event_id = $1", events[8]["event_id"])

    report = await reader.verify(now=LATER)

    assert not report.ok
    assert (report.unended_cases, named(report)) == ([events[0]["case_id"]], [])


async def test_inserted_row_is_named(events: list[Json], store: AuditStore, reader: AuditReader) -> None:
    forged = cases.rewritten(events[4], event_id="00000000-0000-4000-8000-000000000000")
    await store.record([cases.body(forged)])

    report = await reader.verify(now=LATER)

    assert {(finding.kind, finding.event_id) for finding in report.findings} == {
        (FindingKind.ID_NOT_DERIVED, forged["event_id"]),
        (FindingKind.SIBLINGS_DISAGREE, forged["event_id"]),
    }


async def test_row_moved_to_another_day_is_named(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute("update transition set opened_on = opened_on - 400 where event_id = $1", events[3]["event_id"])

    assert named(await reader.verify(now=LATER)) == [(FindingKind.COLUMN_DIFFERS, events[3]["event_id"], "opened_on")]


async def test_row_backdated_before_its_event_is_named(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute(
        "update transition set recorded_at = recorded_at - interval '1 day' where event_id = $1",
        events[3]["event_id"],
    )

    assert named(await reader.verify(now=LATER)) == [(FindingKind.RECORDED_EARLY, events[3]["event_id"], "recorded_at")]


async def test_copy_under_another_id_is_named(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute("create temporary table copied (like transition)")
    await owner.execute("insert into copied select * from transition where event_id = $1", events[3]["event_id"])
    await owner.execute("update copied set event_id = gen_random_uuid()")
    await owner.execute("insert into transition select * from copied")

    kinds = {finding.kind for finding in (await reader.verify(now=LATER)).findings}

    assert kinds == {FindingKind.COLUMN_DIFFERS, FindingKind.DUPLICATE, FindingKind.SIBLINGS_DISAGREE}


async def test_verify_covers_one_case_or_one_day_alone(events: list[Json], owner: Owner, reader: AuditReader) -> None:
    await owner.execute("update transition set tenant = 'other' where event_id = $1", events[2]["event_id"])

    this = await reader.verify(case_id=events[0]["case_id"], now=LATER)
    other = await reader.verify(case_id=cases.first(0)["case_id"], now=LATER)
    today = await reader.verify(day=cases.OPENED.date(), now=LATER)
    yesterday = await reader.verify(day=cases.OPENED.date() - timedelta(days=1), now=LATER)

    assert (this.finding_count, this.cases, this.rows) == (1, 1, 9)
    assert (other.finding_count, other.cases) == (0, 1)
    assert (today.finding_count, today.cases) == (1, 3)
    assert (yesterday.finding_count, yesterday.cases) == (0, 0)


@pytest.mark.parametrize("removed", ["case", "ending rewritten"])
async def test_removed_last_event_is_found_only_by_a_checkpoint(
    events: list[Json], owner: Owner, reader: AuditReader, removed: str
) -> None:
    """The limit of a chain inside the database: a whole case, or the last event of one, belongs to its owner."""
    if removed == "case":
        await owner.execute("delete from transition where case_id = $1", events[0]["case_id"])
    else:
        forged = cases.rewritten(events[8], payload={**events[8]["payload"], "outcome": "cancelled"})
        await owner.execute(
            "update transition set body = $2, outcome = 'cancelled', transcript_hash = $3, bus_id = $4"
            " where event_id = $1",
            events[8]["event_id"],
            cases.body(forged),
            forged["digest"],
            cases.bus_event(forged)["id"],
        )

    assert (await reader.verify(now=LATER)).ok
