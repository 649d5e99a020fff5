"""A case rests at the case manager.

For a person's decision, for an hour, for a resumption. Nothing of it is in memory.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from contracts.events.email_sender import SendingHalted
from switchyard.case_manager.intake import UpstreamPolicy
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.protocol.envelope import add_digest
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.signing import sign_statement
from switchyard.protocol.statements import approval_statement
from switchyard.runtime.core.clock import timestamp
from tests.integration.case_manager.conftest import SIGNING_KEYS, CaseManager, StartCaseManager, make_overdue, operate
from tests.integration.cloud import Tap
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.reference import route
from tests.unit.protocol.bus_events import golden
from tests.unit.router.cases import SEAL, received, routed
from tests.unit.router.email_cases import (
    ALLOWED,
    CONTENT,
    DEFERRED,
    DRAFTED,
    PACK,
    PASSED,
    SENDABLE,
    TO_APPROVE,
    answered,
)

pytestmark = pytest.mark.integration

SOURCE = "upstream.ledger"


async def opened(case_manager: CaseManager, **changes: Any) -> Json:
    submission = golden("EmailCaseSubmitted") | {"idempotency_key": fresh_id()} | changes
    [event] = await case_manager.intake.open_case(SOURCE, submission, "EmailCaseSubmitted")
    return event


async def command(case_manager: CaseManager, *answers: Contract, **changes: Any) -> Json:
    """What the router asks of the case manager after these answers, in a case of its own."""
    asked = routed(await opened(case_manager, **changes))
    for answer in answers:
        asked = routed(answered(asked, answer))
    return asked


async def waits(case_manager: CaseManager, asked: Json) -> None:
    event: ReceivedEvent[Any] = received(asked)
    if asked["type"] == "AskApproval":
        await case_manager.outbox.publish(await case_manager.approvals.request_approval(event))
    else:
        await case_manager.outbox.publish(await case_manager.pending.add_wait(event))


async def stated(
    owner: Owner,
    asked: Json,
    clock: ManualClock,
    verdict: str = "granted",
    *,
    approver: str = "j.okafor",
    content: str = CONTENT,
    signer: str | None = None,
    signed: timedelta = timedelta(0),
) -> str:
    """An approver's decision as the command line writes it; its id."""
    at = clock.now() + signed
    statement = approval_statement(
        approval_id=asked["event_id"],
        case_id=asked["case_id"],
        content_sha256=content,
        pack=PACK,
        verdict=verdict,  # type: ignore[arg-type]
        approver=approver,
        reason="Reads well.",
        signed_at=timestamp(at),
    )
    signature = sign_statement(SIGNING_KEYS.get(signer or approver, b"\x09" * 32), statement)
    decision: str = await owner.fetchval(
        "select case_manager.decide($1, $2, $3, $4, $5, $6, $7)::text",
        asked["event_id"], verdict, content, approver, "Reads well.", at, signature,
    )  # fmt: skip
    return decision


async def result(owner: Owner, decision: str) -> str | None:
    reported: str | None = await owner.fetchval("select case_manager.decided($1)", decision)
    return reported


async def answers(tap: Tap, asked: Json) -> list[Json]:
    return [
        event for event in await tap.seen("case_manager", asked["case_id"]) if event["parents"] == [asked["digest"]]
    ]


async def test_granted_approval_returns_to_the_router_with_the_state(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    assert await case_manager.timers.tick() == 0
    decision = await stated(owner, asked, clock)
    await case_manager.timers.tick()
    assert await result(owner, decision) == "granted"
    (granted,) = await answers(tap, asked)
    assert (granted["type"], granted["payload"]["approver"]) == ("ApprovalGranted", "j.okafor")
    (following,) = route(received(granted), SEAL)
    assert following["type"] == "CheckSending"


async def test_denied_approval_ends_the_case(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    await stated(owner, asked, clock, "denied")
    await case_manager.timers.tick()
    (denied,) = await answers(tap, asked)
    (following,) = route(received(denied), SEAL)
    assert (following["type"], following["payload"]["outcome"]) == ("CloseCase", "denied")


async def test_returned_approval_has_the_draft_written_again(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    decision = await stated(owner, asked, clock, "returned")
    await case_manager.timers.tick()
    assert await result(owner, decision) == "returned"
    (returned,) = await answers(tap, asked)
    assert returned["payload"]["instructions"] == "Reads well."
    (following,) = route(received(returned), SEAL)
    assert (following["type"], following["payload"]["instructions"]) == ("DraftEmail", "Reads well.")
    # A grant of what was sent back does not count any more.
    late = await stated(owner, asked, clock)
    await case_manager.timers.tick()
    assert "decided already: returned" in str(await result(owner, late))


async def test_return_without_a_way_back_in_the_playbook_is_refused(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    del asked["payload"]["returnable"]
    asked = add_digest({name: value for name, value in asked.items() if name != "digest"})
    await waits(case_manager, asked)
    decision = await stated(owner, asked, clock, "returned")
    await case_manager.timers.tick()
    assert str(await result(owner, decision)).startswith("refused: this playbook has no way back")
    assert await answers(tap, asked) == []


@pytest.mark.parametrize("spelling", ["c.ruiz", "C.Ruiz", "c.ruiz@harbor.example", "C.RUIZ@Harbor.Example"])
async def test_submitter_under_any_spelling_may_not_approve_and_another_may(
    spelling: str, case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE, submitted_for=spelling)
    await waits(case_manager, asked)
    own = await stated(owner, asked, clock, approver="c.ruiz")
    await case_manager.timers.tick()
    assert "may not approve it" in str(await result(owner, own))
    assert await answers(tap, asked) == []
    other = await stated(owner, asked, clock, approver="j.okafor")
    await case_manager.timers.tick()
    assert await result(owner, other) == "granted"


async def test_unknown_submitter_needs_second_approver_and_event_names_both(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE, submitted_for="j.okafor@another.example")
    await waits(case_manager, asked)
    first = await stated(owner, asked, clock, approver="j.okafor")
    await case_manager.timers.tick()
    assert str(await result(owner, first)).startswith("granted: a second approver must agree")
    queue = "select agreed_by from case_manager.approval_queue where approval_id = $1::text::uuid"
    assert await owner.fetchval(queue, asked["event_id"]) == ["j.okafor"]
    again = await stated(owner, asked, clock, approver="j.okafor")
    await case_manager.timers.tick()
    assert str(await result(owner, again)).startswith("refused: this approver has agreed already")
    assert await answers(tap, asked) == []
    second = await stated(owner, asked, clock, approver="c.ruiz")
    await case_manager.timers.tick()
    assert await result(owner, second) == "granted"
    [granted] = await tap.next("case_manager", asked["case_id"], 1)
    assert (granted["type"], granted["payload"]["approver"]) == ("ApprovalGranted", "c.ruiz")
    assert [each["approver"] for each in granted["payload"]["co_approvals"]] == ["j.okafor"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"approver": "c.ruiz"}, "may not approve it", id="by who asked for the email"),
        pytest.param({"approver": "m.allory"}, "no approver of that name", id="by a stranger"),
        pytest.param({"signer": "c.ruiz"}, "signature is not this approver's", id="in another's name"),
        pytest.param({"content": "e" * 64}, "another content", id="of another content"),
        pytest.param({"signed": timedelta(minutes=-16)}, "too old or in the future", id="signed long ago"),
        pytest.param({"signed": timedelta(minutes=16)}, "too old or in the future", id="signed in the future"),
    ],
)
async def test_decision_that_is_invalid_does_not_count(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock, changes: dict[str, Any], why: str
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    decision = await stated(owner, asked, clock, **changes)
    await case_manager.timers.tick()
    assert why in str(await result(owner, decision))
    assert await answers(tap, asked) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("signed", "20026-11-28T00:00:00Z"),
        ("signed", "infinity"),
        ("signed", "-infinity"),
        ("signed", "0001-01-01T00:00:00Z"),
        ("content", "not a hash"),
        ("signature", "x" * 1_000),
    ],
)
async def test_unreadable_decision_is_refused_by_the_database(owner: Owner, column: str, value: str) -> None:
    given = {"content": "a" * 64, "signed": "2026-11-28T00:00:00Z", "signature": "s"} | {column: value}
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.fetchval(
            "select case_manager.decide($1, 'granted', $2, 'j.okafor', 'Fine.', ($3::text)::timestamptz, $4)",
            fresh_id(), given["content"], given["signed"], given["signature"],
        )  # fmt: skip


async def test_inapplicable_decision_is_set_aside_and_others_count(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    broken, sound = [await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE) for _ in range(2)]
    decisions = []
    for asked in (broken, sound):
        await waits(case_manager, asked)
        decisions.append(await stated(owner, asked, clock))
    await owner.execute("update case_manager.pending_command set command = '{' where task_id = $1", broken["event_id"])
    await case_manager.timers.tick()
    await case_manager.timers.tick()
    assert await result(owner, decisions[1]) == "granted"
    assert await result(owner, decisions[0]) is None
    assert case_manager.approvals.aside.names() == [decisions[0]]
    assert [event["type"] for event in await answers(tap, sound)] == ["ApprovalGranted"]


async def test_timers_continue_after_a_failing_step(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    decision = await stated(owner, asked, clock)
    await owner.execute("alter table case_manager.operator_command rename to renamed")
    try:
        assert await case_manager.timers.tick() == 1
    finally:
        await owner.execute("alter table case_manager.renamed rename to operator_command")
    assert await result(owner, decision) == "granted"


async def test_second_decision_on_an_approval_does_not_count(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    first, second = await stated(owner, asked, clock, "denied"), await stated(owner, asked, clock)
    await case_manager.timers.tick()
    assert await result(owner, first) == "denied"
    assert "decided already" in str(await result(owner, second))
    assert [event["type"] for event in await answers(tap, asked)] == ["ApprovalDenied"]


async def test_decision_on_a_closed_case_does_not_count(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    assert await operate(case_manager, owner, clock, "cancel", asked["case_id"]) == "cancelled"
    ended = (await tap.seen("case_manager", asked["case_id"]))[-1]
    assert ended["payload"]["outcome"] == "cancelled"
    decision = await stated(owner, asked, clock)
    await case_manager.timers.tick()
    assert str(await result(owner, decision)).startswith("refused: ")
    assert await answers(tap, asked) == []


async def test_approval_expires_after_days_at_another_case_manager(
    case_manager: CaseManager, start_case_manager: StartCaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, TO_APPROVE)
    await waits(case_manager, asked)
    other = await start_case_manager()
    clock.advance(3 * 86_400 - 1)
    await other.timers.tick()
    assert await answers(tap, asked) == []
    clock.advance(1)
    decision = await stated(owner, asked, clock)
    await other.timers.tick()
    assert "expired" in str(await result(owner, decision))
    assert [event["type"] for event in await answers(tap, asked)] == ["ApprovalExpired"]


async def test_case_before_its_permitted_hour_waits(case_manager: CaseManager, tap: Tap, clock: ManualClock) -> None:
    until = timestamp(clock.now() + timedelta(hours=10))
    asked = await command(case_manager, ALLOWED, DRAFTED, PASSED, DEFERRED.model_copy(update={"until": until}))
    await waits(case_manager, asked)
    clock.advance(36_000 - 1)
    assert await case_manager.timers.tick() == 0
    clock.advance(1)
    await case_manager.timers.tick()
    (over,) = await answers(tap, asked)
    assert over["payload"] == {"waited_for": "time"}
    assert [event["type"] for event in route(received(over), SEAL)] == ["CheckSending"]


async def test_halted_case_waits_for_resumption_and_both_are_logged(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(case_manager, ALLOWED, DRAFTED, PASSED, SENDABLE, SendingHalted())
    assert await operate(case_manager, owner, clock, "halt", "outbound_email") == "halted"
    await waits(case_manager, asked)
    await case_manager.timers.tick()
    assert await answers(tap, asked) == []
    assert await operate(case_manager, owner, clock, "resume", "outbound_email") == "resumed"
    assert await operate(case_manager, owner, clock, "resume", "outbound_email") == "was not halted"
    (over,) = await answers(tap, asked)
    assert over["payload"] == {"waited_for": "resume"}
    reports = await tap.seen("case_manager")
    assert [
        (event["type"], event["payload"]["operator"]) for event in reports if event["type"].startswith("Playbook")
    ] == [("PlaybookHalted", "a.lindqvist"), ("PlaybookResumed", "a.lindqvist")]


async def test_lost_answer_is_published_again_identically(
    case_manager: CaseManager, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(
        case_manager, ALLOWED, DRAFTED, PASSED, DEFERRED.model_copy(update={"until": timestamp(clock.now())})
    )
    await waits(case_manager, asked)
    await case_manager.timers.tick()
    await waits(case_manager, asked)  # the router's command again: it had not seen the answer
    first, again = await answers(tap, asked)
    assert first == again


async def test_case_manager_killed_between_store_and_publish_loses_nothing(
    case_manager: CaseManager, start_case_manager: StartCaseManager, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    asked = await command(
        case_manager, ALLOWED, DRAFTED, PASSED, DEFERRED.model_copy(update={"until": timestamp(clock.now())})
    )
    await waits(case_manager, asked)

    class Dead:
        async def publish(self, events: object) -> None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await replace(case_manager.timers, publisher=Dead()).tick()
    await make_overdue(owner)
    await (await start_case_manager()).outbox.tick()
    assert [event["type"] for event in await answers(tap, asked) if event["type"] != "EmailCaseOpened"] == ["WaitOver"]


async def test_two_case_managers_publish_one_answer(
    case_manager: CaseManager, start_case_manager: StartCaseManager, tap: Tap, clock: ManualClock
) -> None:
    asked = await command(
        case_manager, ALLOWED, DRAFTED, PASSED, DEFERRED.model_copy(update={"until": timestamp(clock.now())})
    )
    await waits(case_manager, asked)
    other = await start_case_manager()
    await asyncio.gather(case_manager.timers.tick(), other.timers.tick())
    assert len({event["event_id"] for event in await answers(tap, asked)}) == 1


async def test_consumer_data_is_sealed_and_the_address_is_a_keyed_hash(case_manager: CaseManager, owner: Owner) -> None:
    event = await opened(case_manager)
    stored = await owner.fetchval("select event from case_manager.outbox where case_id = $1", event["case_id"])
    for personal in ("ada.byron", "Byron", "4711", "consumer-1", "14604"):
        assert personal not in stored
    upper = golden("EmailCaseSubmitted")
    upper["facts"]["email"]["address"] = "ADA.BYRON@example.com"
    same = await opened(case_manager, facts=upper["facts"])
    assert same["payload"]["address_key"] == event["payload"]["address_key"]


async def test_suppressed_contact_is_recorded_once_and_reported(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    report = golden("SuppressionRequested") | {"report_id": fresh_id()}
    first = await case_manager.suppression.suppress_contact("upstream.email_feedback", report)
    clock.advance(86_400)
    again = await case_manager.suppression.suppress_contact("upstream.email_feedback", report)
    assert first == again, "the same report on another day is the same event, not another one under its id"
    opened_event = await opened(case_manager)
    assert (
        await owner.fetchval("select key from case_manager.control where kind = 'suppressed_address'")
        == (opened_event["payload"]["address_key"])
    )
    await make_overdue(owner)
    await case_manager.outbox.tick()
    assert [event["type"] for event in await tap.seen("case_manager", first["case_id"])] == ["ContactSuppressed"]


@pytest.mark.parametrize(
    ("source", "changes", "field"),
    [
        pytest.param("upstream.collections", {"address": None, "address_key": "a" * 64}, "address_key", id="by a key"),
        pytest.param("upstream.a b", {}, "source", id="under a name that no event can carry"),
        pytest.param("switchyard.email_sender", {}, "source", id="as one of ours"),
        pytest.param("upstream.ingress", {}, "source", id="as one who must sign"),
        pytest.param("upstream.email_feedback", {"tenant": "other"}, "tenant", id="for another tenant"),
    ],
)
async def test_invalid_suppression_report_is_refused_and_names_the_field(
    case_manager: CaseManager, owner: Owner, source: str, changes: dict[str, Any], field: str
) -> None:
    upstreams = {"upstream.email_feedback": UpstreamPolicy(tenants=("acme-*",))}
    suppression = replace(case_manager.suppression, upstreams=upstreams)
    if field in {"address_key", "source"}:
        suppression = replace(case_manager.suppression, principals=PrincipalKeys({"upstream.ingress": {}}))
    report = {name: value for name, value in (golden("SuppressionRequested") | changes).items() if value is not None}
    with pytest.raises(InvalidEvent) as caught:
        await suppression.suppress_contact(source, report)
    assert caught.value.field == field
    assert await owner.fetchval("select count(*) from case_manager.control") == 0
