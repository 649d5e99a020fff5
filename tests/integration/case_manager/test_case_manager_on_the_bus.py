"""The case manager's process, from the bus and back to it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import case_id_for
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from switchyard.runtime.messaging.dead_letters import MAX_REDRIVES
from tests.integration.case_manager.conftest import (
    SOURCE,
    USER,
    CaseManager,
    Serve,
    close_event,
    halt,
    resume,
    submission,
)
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.conftest import LogLines
from tests.integration.events import bus_body, fresh_id, opened, rewritten
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration

QUEUE, DEAD_LETTERS = queue_name("case_manager"), dead_letter_queue_name("case_manager")


@pytest.fixture
def clock() -> ManualClock:
    """That of the case manager beside the process, which shares its tables and so must live in its time."""
    return ManualClock(datetime.now(UTC))


async def submit(cloud: Cloud, sent: Json) -> str:
    """Put a submission on the bus; return the id of its case."""
    await cloud.put(sent, source=SOURCE, detail_type="CaseSubmitted")
    return case_id_for(sent["tenant"], SOURCE, sent["user_id"], sent["idempotency_key"])


async def test_submission_repeated_opens_one_case_with_an_identical_event(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("case_manager")
    sent = submission()
    case_id = await submit(cloud, sent)
    await tap.next("case_manager", case_id)
    await submit(cloud, sent)
    first, second = await tap.next("case_manager", case_id, 2)
    assert (first["type"], first["node_to"]) == ("CaseOpened", "router")
    assert first == second


async def test_recorded_case_never_published_is_published_unchanged(
    serve: Serve, cloud: Cloud, tap: Tap, case_manager: CaseManager
) -> None:
    await serve("case_manager")
    sent = submission(deadline_ms=86_400_000)
    [admitted] = await case_manager.intake.open_case(
        SOURCE, sent, "CaseSubmitted"
    )  # a case manager that died before it published
    case_id = await submit(cloud, sent)
    assert await tap.next("case_manager", case_id) == [admitted]


async def test_rejection_is_published_to_external_and_quotes_nothing(
    serve: Serve, cloud: Cloud, tap: Tap, capsys: pytest.CaptureFixture[str]
) -> None:
    await serve("case_manager")
    await submit(cloud, submission(question="Zanzibar" * 600, tenant=fresh_id()))

    async def rejected() -> bool:
        return any(event["type"] == "SubmissionRejected" for event in await tap.seen("case_manager"))

    await until(rejected, "a rejection on the bus")
    assert all("Zanzibar" not in body for body in tap.bodies)
    await cloud.settled(QUEUE)
    assert "Zanzibar" not in capsys.readouterr().err


async def test_case_closes_once_after_repeated_commands_of_the_router(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("case_manager")
    sent = submission()
    case_id = await submit(cloud, sent)
    [opened] = await tap.next("case_manager", case_id)
    await cloud.put(close_event(opened, "answered"))
    await tap.next("case_manager", case_id, 2)
    await cloud.put(close_event(opened, "failed"))
    await cloud.put(close_event(opened, "answered"))
    _, first, *others = await tap.next("case_manager", case_id, 4)
    assert first["payload"]["outcome"] == "answered"
    assert all(event == first for event in others)


async def test_unauthentic_bytes_are_quarantined_and_case_manager_continues(
    serve: Serve, cloud: Cloud, tap: Tap, capsys: pytest.CaptureFixture[str]
) -> None:
    await serve("case_manager")
    sent = submission()
    case_id = await submit(cloud, sent)
    [opened] = await tap.next("case_manager", case_id)
    closing = close_event(opened, "answered")
    bodies = {
        "no JSON": (f"not JSON: {USER} {fresh_id()}", "malformed"),
        "not the router's": (bus_body(closing, source="switchyard.drafter"), "forged"),
        "altered": (bus_body(closing | {"payload": {"outcome": "failed", "code": "failed"}}), "forged"),
        "no upstream": (bus_body(submission(), source="aws.s3", detail_type="CaseSubmitted"), "forged"),
    }
    for raw, _ in bodies.values():
        await cloud.send(QUEUE, raw)
    await cloud.settled(QUEUE)
    records = {name: await cloud.quarantine_of("case_manager", raw) for name, (raw, _) in bodies.items()}
    rejections = {name: record["reason"] for name, record in records.items()}
    assert rejections == {name: rejection for name, (_, rejection) in bodies.items()}
    assert records["no upstream"]["raw"] is None, "who asked what is not kept in the clear"
    assert records["altered"]["raw"] == bodies["altered"][0]
    assert await tap.seen("case_manager", case_id) == [opened], "the case stays open"
    await cloud.put(closing)
    await tap.next("case_manager", case_id, 2)
    assert USER not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"case_id": "00000000-0000-4000-8000-000000000001"}, "case_id"),
        ({"tenant": "rival"}, "tenant"),
        ({"principal": {"sub": "service:upstream.portal", "tenant": "acme", "act": ["staff:mallory"]}}, "principal"),
    ],
)
async def test_forged_router_command_is_quarantined(
    serve: Serve, cloud: Cloud, tap: Tap, owner: Owner, changes: Json, field: str
) -> None:
    await serve("case_manager")
    case_id = await submit(cloud, submission())
    [opened] = await tap.next("case_manager", case_id)
    body = bus_body(rewritten(close_event(opened, "answered"), **changes))
    await cloud.send(QUEUE, body)
    await cloud.settled(QUEUE)
    record = await cloud.quarantine_of("case_manager", body)
    assert (record["reason"], record["field"]) == ("forged", field)
    assert await owner.fetchval("select count(*) from case_manager.case_ending") == 0


async def test_parked_case_is_released_when_its_playbook_resumes(
    serve: Serve, cloud: Cloud, tap: Tap, owner: Owner
) -> None:
    await serve("case_manager")
    await halt(owner)
    case_id = await submit(cloud, submission())
    await cloud.settled(QUEUE)
    assert await tap.seen("case_manager", case_id) == []
    await resume(owner)
    [opened] = await tap.next("case_manager", case_id)
    assert opened["type"] == "CaseOpened"


async def test_submission_during_postgres_outage_is_recorded_after(
    serve: Serve, infrastructure: Infrastructure, cloud: Cloud, tap: Tap, log_lines: LogLines
) -> None:
    await serve("case_manager")
    await tap.next("case_manager", await submit(cloud, submission()))
    logged = []

    async def says(event: str) -> bool:
        logged.extend(log_lines())
        return any(line["event"] == event for line in logged)

    await infrastructure.stop("postgres")
    try:
        case_id = await submit(cloud, submission())
        await until(lambda: says("database.unreachable"), "the case manager notices")
    finally:
        await infrastructure.start("postgres")
    [opened] = await tap.next("case_manager", case_id)
    assert opened["type"] == "CaseOpened"


async def test_dead_letter_is_processed_again(serve: Serve, cloud: Cloud, tap: Tap) -> None:
    await serve("case_manager")
    sent = submission()
    await cloud.put_dead_letter("case_manager", bus_body(sent, source=SOURCE, detail_type="CaseSubmitted"))
    case_id = case_id_for(sent["tenant"], SOURCE, sent["user_id"], sent["idempotency_key"])
    [event] = await tap.next("case_manager", case_id)
    assert event["type"] == "CaseOpened"
    await cloud.settled(QUEUE, DEAD_LETTERS)


async def test_submission_dead_letter_opens_a_case_and_unreadable_is_quarantined(
    serve: Serve, cloud: Cloud, tap: Tap
) -> None:
    await serve("case_manager")
    body = bus_body(submission(), source=SOURCE, detail_type="CaseSubmitted")
    await cloud.put_dead_letter("case_manager", body, switchyard_redrives=str(MAX_REDRIVES))
    other = json.dumps({"given": "up", "id": fresh_id()})
    await cloud.put_dead_letter("case_manager", other, switchyard_redrives=str(MAX_REDRIVES))
    assert (await cloud.quarantine_of("case_manager", other))["reason"] == "malformed"
    await cloud.settled(QUEUE, DEAD_LETTERS)
    [event] = await tap.seen("case_manager")
    assert event["type"] == "CaseOpened"
    assert all(USER not in body for body in tap.bodies)


async def test_ending_of_newer_release_waits_then_is_quarantined(
    serve: Serve, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_DEPLOY_GRACE_S", "5")
    await serve("case_manager")
    newer = rewritten(close_event(opened()), version=9, case_deadline="2099-01-01T00:00:00.000000Z")
    raw = bus_body(newer)
    sent = asyncio.get_running_loop().time()
    await cloud.send(QUEUE, raw)
    record = await cloud.quarantine_of("case_manager", raw)
    assert asyncio.get_running_loop().time() - sent > 4, "it did not wait for the release"
    assert (record["reason"], record["field"]) == ("unknown", "version")
