"""An unknown outcome is listed, settled once by a named person, and published as a child of what it settles."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from contracts.events.email_sender import SendingUnknown
from services.specialists.email_sender.unresolved_sends import (
    Resolution,
    ResolutionPublisher,
    list_unresolved_sends,
    request_resolution,
    resolution_result,
)
from switchyard.cli.app.console import console
from switchyard.cli.app.main import app
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.signing import sign_statement
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.messaging.outbox import Outbox as PublishedEvents
from tests.integration.conftest import PoolFor
from tests.integration.email_sender.conftest import Case, EmailSender, OpenCase, Outbox
from tests.integration.events import envelope_of, fresh_id
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.manual_clock import ManualClock
from tests.operators import OPERATOR, OPERATOR_KEY, OPERATORS
from tests.reference import derive_event, find_event_type

EVIDENCE = "SES event log, Send event of this message"
SIGNED_AT = "2026-07-01T12:30:00.000000Z"


class Recorded:
    """A bus that remembers, and that can fail after it accepted."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.dies = False

    async def publish(self, events: Any) -> None:
        """Accept."""
        self.events += events
        if self.dies:
            raise ConnectionResetError("killed here")


async def ended(owner: Owner, command: Json, payload: Contract) -> Json:
    """The command's outcome, stored in the inbox as the consumer stores it."""
    event = stamp_event(
        derive_event(envelope_of(command), payload, node_from="email_sender", state_seal=command["state_seal"]),
        occurred_at=command["occurred_at"],
        trace={},
    )
    await owner.execute("insert into email_sender.outbox (event) values ($1)", json.dumps(event))
    await owner.execute(
        "insert into email_sender.inbox (event_id, digest, case_id, type, token, claims, lease_until, outputs)"
        " values ($1, $2, $3, 'SendEmail', 1, 1, now(), array[$4::text::uuid])",
        command["event_id"],
        command["digest"],
        command["case_id"],
        event["event_id"],
    )
    return event


async def left_unknown(case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, *, note: str = "") -> Json:
    """A case whose email may or may not have been sent; its SendingUnknown."""
    outbox.plan("drop_after")
    command = case.command(email_sender.soon, note=note)
    answer = await email_sender.send(command)
    assert isinstance(answer, SendingUnknown), answer
    return await ended(owner, command, answer)


@pytest.fixture
async def pool(pool_for: PoolFor) -> Pool:
    """The email sender's own."""
    return await pool_for("email_sender")


def resolution(case: Case, key: bytes = OPERATOR_KEY, **changes: Any) -> Resolution:
    """What the operator found out, signed."""
    found = Resolution(fresh_id(), case.case_id, case.content_sha256, "0100018f-aa", OPERATOR, EVIDENCE, SIGNED_AT)
    found = replace(found, **changes)
    return replace(found, signature=sign_statement(key, found.statement()))


async def resolve(pool: Pool, owner: Owner, *resolutions: Resolution) -> list[str | None]:
    """Hand resolutions in and let the email sender decide; what it made of each."""
    for each in resolutions:
        await request_resolution(owner, each)
    await ResolutionPublisher(pool, OPERATORS, Recorded(), ManualClock()).tick()
    return [await resolution_result(owner, each.resolution_id) for each in resolutions]


async def test_unknown_send_is_listed_until_it_is_resolved(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool
) -> None:
    await left_unknown(case, email_sender, outbox, owner)
    [waiting] = await list_unresolved_sends(pool)
    assert (waiting.case_id, waiting.content_sha256) == (case.case_id, case.content_sha256)
    assert waiting.ended_as == "SendingUnknown"
    assert await resolve(pool, owner, resolution(case)) == ["resolved"]
    assert await list_unresolved_sends(pool) == []


@pytest.mark.parametrize("how", ["another key", "altered", "unknown operator"])
async def test_resolution_without_an_operators_signature_is_refused(
    how: str, case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool
) -> None:
    await left_unknown(case, email_sender, outbox, owner)
    found = {
        "another key": resolution(case, key=b"\x09" * 32),
        "altered": replace(resolution(case), provider_message_id=None),
        "unknown operator": resolution(case, operator="m.allory"),
    }[how]
    [result] = await resolve(pool, owner, found)
    assert str(result).startswith("refused")
    assert len(await list_unresolved_sends(pool)) == 1


async def test_resolution_handed_in_twice_is_refused_by_the_database(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool
) -> None:
    await left_unknown(case, email_sender, outbox, owner)
    found = resolution(case)
    await resolve(pool, owner, found)
    with pytest.raises(asyncpg.UniqueViolationError):
        await request_resolution(owner, found)


async def test_resolution_kept_from_before_settles_no_later_attempt(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool, clock: ManualClock
) -> None:
    """A kept "was not sent" would have the email sent a third time."""
    await left_unknown(case, email_sender, outbox, owner)
    kept = resolution(case, provider_message_id=None)
    assert await resolve(pool, owner, resolution(case, provider_message_id=None)) == ["resolved"]
    clock.advance(3_600)
    await left_unknown(case, email_sender, outbox, owner, note="again")
    assert "after this was signed" in str(await resolve(pool, owner, kept))
    assert len(await list_unresolved_sends(pool)) == 1


async def test_concurrent_resolutions_have_one_winner(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool
) -> None:
    await left_unknown(case, email_sender, outbox, owner)
    for _ in range(4):
        await request_resolution(owner, resolution(case))
    publisher = ResolutionPublisher(pool, OPERATORS, Recorded(), ManualClock())
    await asyncio.gather(*(publisher.tick() for _ in range(4)))
    results = [row["result"] for row in await owner.fetch("select result from email_sender.resolution_request")]
    assert sorted(result.partition(":")[0] for result in results) == ["refused"] * 3 + ["resolved"]
    assert await owner.fetchval("select count(*) from email_sender.resolution") == 1


async def test_sent_or_untried_email_cannot_be_resolved(
    case: Case, open_case: OpenCase, email_sender: EmailSender, owner: Owner, pool: Pool
) -> None:
    command = case.command(email_sender.soon)
    await ended(owner, command, await email_sender.send(command))
    untried = await open_case()
    results = await resolve(pool, owner, resolution(case, provider_message_id=None), resolution(untried))
    assert all(str(result).startswith("refused: there is no such") for result in results)


async def test_resolution_is_published_once_as_child_of_outcome(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool, clock: ManualClock
) -> None:
    unknown = await left_unknown(case, email_sender, outbox, owner)
    found = resolution(case)
    await request_resolution(owner, found)
    bus = Recorded()
    settlements = ResolutionPublisher(pool, OPERATORS, bus, clock)
    assert [await settlements.tick(), await settlements.tick()] == [1, 0]

    [event] = bus.events
    assert event["type"] == "SendingResolved"
    assert event["parents"] == [unknown["digest"]]
    assert (event["node_from"], event["node_to"], event["seq"]) == ("email_sender", "external", unknown["seq"] + 1)
    fields = {name: value for name, value in asdict(found).items() if name != "case_id"}
    assert event["payload"] == fields | {"sent": True}
    assert not find_event_type(envelope_of(event)).terminal


async def test_resolution_killed_while_publishing_is_republished_from_the_outbox(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool, clock: ManualClock
) -> None:
    await left_unknown(case, email_sender, outbox, owner)
    await request_resolution(owner, resolution(case, provider_message_id=None))
    bus = Recorded()
    bus.dies = True
    with pytest.raises(ConnectionResetError):
        await ResolutionPublisher(pool, OPERATORS, bus, clock).tick()
    bus.dies = False
    assert await ResolutionPublisher(pool, OPERATORS, bus, clock).tick() == 0, "it is in the outbox"
    await owner.execute("update email_sender.outbox set publish_after = now() where type = 'SendingResolved'")
    assert await PublishedEvents(pool, bus).tick() == 1
    first, second = bus.events
    assert (first["event_id"], first["digest"]) == (second["event_id"], second["digest"])


async def test_case_failed_during_a_send_is_listed_and_resolved(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool, clock: ManualClock
) -> None:
    """As when a worker dies so often that its message ends in the dead-letter queue."""
    command = case.command(email_sender.soon)
    await email_sender.send(command)
    await owner.execute("update email_sender.sending set state = 'intended', provider_message_id = null")
    assert await list_unresolved_sends(pool) == []
    failed = await ended(
        owner,
        command,
        TaskFailed(task=command["event_id"], task_type="SendEmail", code="worker_lost", message="", attempts=0),
    )
    [waiting] = await list_unresolved_sends(pool)
    assert waiting.ended_as == "TaskFailed"
    await request_resolution(owner, resolution(case))
    bus = Recorded()
    await ResolutionPublisher(pool, OPERATORS, bus, clock).tick()
    assert bus.events[0]["parents"] == [failed["digest"]]


async def test_late_provider_answer_resolves_a_send_reported_as_unknown(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, pool: Pool, clock: ManualClock
) -> None:
    """A worker that was away for long comes back with the provider's answer, after another one had given up."""
    command = case.command(email_sender.soon)
    sending = email_sender.handler.keywords["ledger"]  # type: ignore[attr-defined]
    record = sending.record

    async def late(*arguments: Any, **fields: Any) -> None:
        clock.advance(3_600)
        given_up = await email_sender.send(case.command(email_sender.soon))
        assert isinstance(given_up, SendingUnknown)
        await ended(owner, command, given_up)
        sending.record = record
        await record(*arguments, **fields)

    sending.record = late
    await email_sender.send(command)
    [taken] = outbox.of(case.case_id)
    assert await list_unresolved_sends(pool) == []
    bus = Recorded()
    await ResolutionPublisher(pool, OPERATORS, bus, clock).tick()
    payload = bus.events[0]["payload"]
    assert (payload["sent"], payload["provider_message_id"]) == (True, taken.message_id)
    assert payload["operator"] == "service:email_sender"


async def test_email_list_unresolved_and_resolve_record_the_status_once(
    case: Case,
    email_sender: EmailSender,
    outbox: Outbox,
    owner: Owner,
    pool: Pool,
    infrastructure: Infrastructure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWITCHYARD_OPERATOR_DB_URL", infrastructure.role_url("operator"))
    monkeypatch.setenv("SWITCHYARD_OPERATOR_KEY", OPERATOR_KEY.hex())
    publisher = ResolutionPublisher(pool, OPERATORS, Recorded(), ManualClock())
    monkeypatch.setattr(console, "width", 200)
    await left_unknown(case, email_sender, outbox, owner)

    async def switchyard(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["email", *arguments, "--env", "aws"])

    listed = await switchyard("list-unresolved")
    assert case.case_id in listed.output
    assert "1 unresolved" in listed.output
    who = ("--operator", OPERATOR, "--evidence", EVIDENCE)
    assert "the delivery status is missing" in str((await switchyard("resolve", case.case_id, *who)).exception)
    both = await switchyard("resolve", case.case_id, "--sent", "m-1", "--not-sent", *who)
    assert "the delivery status is missing" in str(both.exception)
    other = await switchyard("resolve", "6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e", "--not-sent", *who)
    assert "0 unresolved emails" in str(other.exception)
    blank = await switchyard("resolve", case.case_id, "--sent", "two words", *who)
    assert "the database refuses a value" in str(blank.exception)
    settling = asyncio.create_task(switchyard("resolve", case.case_id, "--sent", "m-1", *who))
    while not settling.done():
        await publisher.tick()
        await asyncio.sleep(0.05)
    settled = await settling
    assert settled.exit_code == 0, settled.output
    assert "was sent" in settled.output
    assert "0 unresolved" in (await switchyard("list-unresolved")).output
    row = await owner.fetchrow("select * from email_sender.resolution")
    assert row is not None
    assert (row["operator"], row["evidence"], row["provider_message_id"]) == (OPERATOR, EVIDENCE, "m-1")


async def test_operator_role_resolves_and_changes_nothing_else_in_the_ledger(pool_for: PoolFor) -> None:
    pool = await pool_for("operator")
    assert await list_unresolved_sends(pool) == []
    for statement in (
        "select * from email_sender.sending",
        "delete from email_sender.unresolved_send",
        "select * from email_sender.inbox",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await pool.execute(statement)
