"""Branches are joined once, in any order, as often and as late as they arrive, and no result is lost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
from typing import Any

import pytest

from contracts.events.specialists import FindingsReady
from switchyard.case_manager.gathers import MAX_INLINE_TOTAL, Gathers
from switchyard.protocol.envelope import serialize_detail
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.router import GatherBranches
from switchyard.protocol.fields import Artefact, Json, StorageRef
from switchyard.runtime.core.errors import Unavailable
from tests.integration.case_manager.conftest import CaseManager, StartCaseManager, close_case, halt
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.unit.protocol.bus_events import changed, with_digest
from tests.unit.router.branch_cases import chosen, findings, followed, join, recalling
from tests.unit.router.cases import failed, received, reply

pytestmark = pytest.mark.integration

EVENT = chosen()
GATHER, *COMMANDS = followed(EVENT)
ENDS = [followed(findings(command))[0] for command in COMMANDS]
JOINED = join(GATHER, ENDS)


class Killed(Exception):
    """Stands for kill -9: nothing of the handler runs any more."""


async def deliver(gathers: Gathers, event: Json) -> list[Json]:
    """What the case manager publishes because of a message."""
    message: Any = received(event)
    if isinstance(message.payload, GatherBranches):
        return await gathers.open(message)
    return await gathers.end_branch(message)


async def joined_events(owner: Owner) -> list[Json]:
    rows = await owner.fetch("select event from case_manager.outbox where type in ('BranchesJoined', 'TaskFailed')")
    return [json.loads(row["event"]) for row in rows]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 2, 3, 0), (2, 0, 3, 1)])
async def test_join_follows_the_last_of_gather_and_ends_in_any_order(
    case_manager: CaseManager, owner: Owner, order: tuple[int, ...]
) -> None:
    messages = [GATHER, *ENDS]
    *before, last = [await deliver(case_manager.gathers, messages[number]) for number in order]
    assert before == [[]] * 3
    [event] = last
    assert (event["event_id"], event["digest"]) == (JOINED["event_id"], JOINED["digest"])
    assert event["storage_refs"] == JOINED["storage_refs"]
    assert [each["event_id"] for each in await joined_events(owner)] == [event["event_id"]]


async def test_message_that_arrives_again_after_the_join_publishes_the_same_event(
    case_manager: CaseManager, owner: Owner
) -> None:
    *_, [event] = [await deliver(case_manager.gathers, each) for each in (GATHER, *ENDS)]
    for again in (ENDS[0], GATHER, ENDS[2]):
        assert await deliver(case_manager.gathers, again) == [event]
    assert len(await joined_events(owner)) == 1


async def test_end_that_arrives_twice_counts_once(case_manager: CaseManager) -> None:
    for each in (GATHER, ENDS[0], ENDS[0], ENDS[1], ENDS[1]):
        assert await deliver(case_manager.gathers, each) == []


async def test_second_end_of_a_branch_is_forged_and_the_first_one_counts(case_manager: CaseManager) -> None:
    await deliver(case_manager.gathers, GATHER)
    await deliver(case_manager.gathers, ENDS[0])
    other = followed(findings(COMMANDS[0], "another result"))[0]
    forged = with_digest(other | {"event_id": fresh_id()})
    with pytest.raises(InvalidEvent, match="ended already") as caught:
        await deliver(case_manager.gathers, forged)
    assert caught.value.reason is RejectionReason.FORGED
    *_, [event] = [await deliver(case_manager.gathers, each) for each in ENDS]
    assert event["digest"] == JOINED["digest"]


async def test_branch_of_another_case_neither_counts_nor_takes_a_place(case_manager: CaseManager) -> None:
    foreign = with_digest(ENDS[0] | {"case_id": fresh_id(), "event_id": fresh_id()})
    assert await deliver(case_manager.gathers, foreign) == []  # before the gather: kept apart
    await deliver(case_manager.gathers, GATHER)
    with pytest.raises(InvalidEvent, match="another case") as caught:
        await deliver(case_manager.gathers, foreign)
    assert caught.value.reason is RejectionReason.FORGED
    *_, [event] = [await deliver(case_manager.gathers, each) for each in ENDS]
    assert event["digest"] == JOINED["digest"]


@pytest.mark.parametrize("early", [True, False])
async def test_branch_that_the_gather_does_not_have_is_not_joined(case_manager: CaseManager, early: bool) -> None:
    surplus = with_digest(changed(ENDS[0], "branch.number", 3) | {"event_id": fresh_id()})
    if early:
        await deliver(case_manager.gathers, surplus)
    await deliver(case_manager.gathers, GATHER)
    with pytest.raises(InvalidEvent, match="3 branches"):
        await deliver(case_manager.gathers, surplus)
    *_, [event] = [await deliver(case_manager.gathers, each) for each in ENDS]
    assert event["digest"] == JOINED["digest"]


async def test_end_without_a_branch_is_forged(case_manager: CaseManager) -> None:
    bare = with_digest({name: value for name, value in ENDS[0].items() if name != "branch"})
    with pytest.raises(InvalidEvent, match="names no branch"):
        await deliver(case_manager.gathers, bare)


async def test_other_gather_under_the_same_id_is_forged(case_manager: CaseManager) -> None:
    await deliver(case_manager.gathers, GATHER)
    fewer = with_digest(changed(GATHER, "payload.branches", GATHER["payload"]["branches"][:1]))
    with pytest.raises(InvalidEvent, match="another command"):
        await deliver(case_manager.gathers, fewer)


@pytest.mark.parametrize("seed", range(12))
async def test_any_interleaving_with_kills_joins_once_and_loses_no_result(
    start_case_manager: StartCaseManager, owner: Owner, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    workers = [(await start_case_manager()).gathers for _ in range(3)]
    look = Gathers._join

    async def killed_sometimes(self: Gathers, *given: Any, **named: Any) -> list[Json]:
        when = chance.random()
        if when < 0.3:
            raise Killed  # between the commit of the end and the join
        await asyncio.sleep(chance.random() * 0.01)
        events = await look(self, *given, **named)
        if when < 0.5:
            raise Killed  # after the join was stored, before it was published
        return events

    monkeypatch.setattr(Gathers, "_join", killed_sometimes)
    waiting = [GATHER, *ENDS] * chance.choice([1, 2, 3])
    published: list[Json] = []

    async def handle(event: Json) -> None:
        try:
            published.extend(await deliver(chance.choice(workers), event))
        except Killed:
            waiting.append(event)  # not deleted from its queue: it is delivered again

    while waiting:
        chance.shuffle(waiting)
        count = chance.randint(1, len(waiting))
        batch, waiting = waiting[:count], waiting[count:]
        await asyncio.gather(*map(handle, batch))
    [stored] = await joined_events(owner)
    assert stored["digest"] == JOINED["digest"]
    assert [result["answer"] for result in stored["payload"]["results"]] == [end["payload"]["answer"] for end in ENDS]
    assert {event["digest"] for event in published} == {JOINED["digest"]}
    assert {event["occurred_at"] for event in published} == {stored["occurred_at"]}


async def test_failed_branches_and_one_success_are_joined_with_their_reasons(case_manager: CaseManager) -> None:
    ends = [followed(failed(COMMANDS[0]))[0], ENDS[1], followed(failed(COMMANDS[2]))[0]]
    *_, [event] = [await deliver(case_manager.gathers, each) for each in (*ends, GATHER)]
    codes = [result.get("failure", {}).get("code") for result in event["payload"]["results"]]
    assert (event["type"], codes) == ("BranchesJoined", ["time_limit", None, "time_limit"])


async def test_gather_of_which_every_branch_failed_is_a_failed_task(case_manager: CaseManager) -> None:
    ends = [followed(failed(command))[0] for command in COMMANDS]
    *_, [event] = [await deliver(case_manager.gathers, each) for each in (GATHER, *ends)]
    assert (event["type"], event["payload"]["code"], len(event["payload"]["causes"])) == (
        "TaskFailed",
        "branches_failed",
        3,
    )


async def test_gather_whose_branches_have_no_money_fails_for_that_reason(case_manager: CaseManager) -> None:
    stopped = with_digest(changed(failed(COMMANDS[0]), "payload.code", "budget_exceeded"))
    ends = [followed(each)[0] for each in (stopped, *map(failed, COMMANDS[1:]))]
    *_, [event] = [await deliver(case_manager.gathers, each) for each in (GATHER, *ends)]
    assert (event["type"], event["payload"]["code"]) == ("TaskFailed", "budget_exceeded")


async def test_branch_that_ends_after_its_case_is_not_joined(case_manager: CaseManager, owner: Owner) -> None:
    for each in (GATHER, *ENDS[:2]):
        await deliver(case_manager.gathers, each)
    await case_manager.close(close_case(EVENT, "failed"))
    assert await deliver(case_manager.gathers, ENDS[2]) == []
    assert await deliver(case_manager.gathers, GATHER) == []
    assert await joined_events(owner) == []
    for table in ("gather", "branch_end"):
        assert await owner.fetchval(f"select count(*) from case_manager.{table}") == 0


async def test_gather_of_a_halted_playbook_is_joined(case_manager: CaseManager, owner: Owner) -> None:
    # Halting stops effects and new cases; what is read already is not lost.
    await deliver(case_manager.gathers, GATHER)
    await halt(owner)
    *_, events = [await deliver(case_manager.gathers, each) for each in ENDS]
    assert [event["digest"] for event in events] == [JOINED["digest"]]


async def test_unreachable_database_loses_no_end(case_manager: CaseManager, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (GATHER, *ENDS[:2]):
        await deliver(case_manager.gathers, each)

    async def away(*_: Any, **__: Any) -> list[Json]:
        raise Unavailable("database", "away")

    with monkeypatch.context() as patch:
        patch.setattr(Gathers, "_join", away)
        with pytest.raises(Unavailable):
            await deliver(case_manager.gathers, ENDS[2])
    [event] = await deliver(case_manager.gathers, ENDS[2])
    assert event["digest"] == JOINED["digest"]


async def test_large_results_of_several_branches_fit_on_the_bus(case_manager: CaseManager) -> None:
    def large(command: Json, number: int) -> Json:
        places, findings = {}, []
        for part in range(4):
            data = hashlib.sha256(f"{number}/{part}".encode()).digest() * 500
            sha256 = hashlib.sha256(data).hexdigest()
            findings.append(Artefact(name="findings", sha256=sha256, size=len(data), media_type="application/json"))
            places[sha256] = StorageRef(inline=base64.b64encode(data).decode()).model_dump(exclude_none=True)
        answer = reply(command, FindingsReady(findings=tuple(findings)))
        return answer | {"storage_refs": answer["storage_refs"] | places}

    ends = [followed(large(command, number))[0] for number, command in enumerate(COMMANDS)]
    assert sum(len(str(end["storage_refs"])) for end in ends) > MAX_INLINE_TOTAL
    *_, [event] = [await deliver(case_manager.gathers, each) for each in (GATHER, *ends)]
    serialize_detail(event)
    (draft,) = followed(event)
    serialize_detail(draft)
    sha256 = received(draft).payload.results[1].answer["findings"][2]["sha256"]  # type: ignore[attr-defined]
    stored = await case_manager.gathers.objects.get(draft["storage_refs"][sha256]["uri"])
    assert hashlib.sha256(stored).hexdigest() == sha256


def other_places(event: Json, *digests: str) -> Json:
    """The event with other bytes at these artefacts' places; no digest shows it."""
    return event | {"storage_refs": event["storage_refs"] | {each: {"inline": "b3RoZXI="} for each in digests}}


async def test_branch_does_not_replace_places_of_the_gather_or_of_earlier_branches(case_manager: CaseManager) -> None:
    foreign = (*GATHER["storage_refs"], *ENDS[0]["storage_refs"])
    *_, [event] = [
        await deliver(case_manager.gathers, each) for each in (other_places(ENDS[2], *foreign), *ENDS[:2], GATHER)
    ]
    assert event["storage_refs"] == JOINED["storage_refs"]


@pytest.mark.parametrize("bad", ["!", "A"])
@pytest.mark.parametrize(("count", "kept"), [(1, True), (6, False)])
async def test_places_with_bad_bytes_are_left_for_their_reader_or_dropped(
    case_manager: CaseManager, bad: str, count: int, kept: bool
) -> None:
    good = {}
    for number in range(5):
        data = hashlib.sha256(str(number).encode()).digest() * 512
        good[hashlib.sha256(data).hexdigest()] = {"inline": base64.b64encode(data).decode()}
    names = [hashlib.sha256(f"bad {number}".encode()).hexdigest() for number in range(count)]
    wrong = {sha256: {"inline": bad * 21_848} for sha256 in names}
    ends = [ENDS[0] | {"storage_refs": good}, ENDS[1] | {"storage_refs": wrong}, ENDS[2]]
    *_, [event] = [await deliver(case_manager.gathers, each) for each in (GATHER, *ends)]
    places = event["storage_refs"]
    assert all("uri" in places[sha256] for sha256 in good)
    assert {sha256: places[sha256] for sha256 in wrong if sha256 in places} == (wrong if kept else {})
    serialize_detail(event)


# A gather with a time limit goes on without what is late.

RECALL = recalling()
OPTIONAL, RECALLED = RECALL[1], RECALL[-1]


async def test_gather_with_a_time_limit_is_joined_when_its_time_is_over(
    case_manager: CaseManager, clock: ManualClock, owner: Owner
) -> None:
    assert await deliver(case_manager.gathers, OPTIONAL) == []
    clock.advance(3.9)
    assert await case_manager.gathers.join_due() == []
    clock.advance(0.2)
    [event] = await case_manager.gathers.join_due()
    assert event["payload"]["results"][0]["failure"]["code"] == "late"
    assert (event["digest"], event["parents"]) == (join(OPTIONAL, [])["digest"], [OPTIONAL["digest"]])
    assert await case_manager.gathers.join_due() == []
    # What comes after that changes nothing.
    assert await deliver(case_manager.gathers, RECALLED) == [event]
    assert [each["event_id"] for each in await joined_events(owner)] == [event["event_id"]]


@pytest.mark.parametrize("early", [True, False])
async def test_branch_that_ends_in_time_is_joined_and_the_timer_adds_nothing(
    case_manager: CaseManager, clock: ManualClock, early: bool
) -> None:
    order = [RECALLED, OPTIONAL] if early else [OPTIONAL, RECALLED]
    assert await deliver(case_manager.gathers, order[0]) == []
    [event] = await deliver(case_manager.gathers, order[1])
    assert event["digest"] == join(OPTIONAL, [RECALLED])["digest"]
    clock.advance(60)
    assert await case_manager.gathers.join_due() == []


async def test_gather_without_a_time_limit_waits_for_all(case_manager: CaseManager, clock: ManualClock) -> None:
    await deliver(case_manager.gathers, GATHER)
    await deliver(case_manager.gathers, ENDS[0])
    clock.advance(3_600)
    assert await case_manager.gathers.join_due() == []


async def test_late_branch_and_the_timer_at_once_join_one_way_only(
    start_case_manager: StartCaseManager, clock: ManualClock, owner: Owner
) -> None:
    workers = [(await start_case_manager()).gathers for _ in range(3)]
    await deliver(workers[0], OPTIONAL)
    clock.advance(5)
    await asyncio.gather(deliver(workers[0], RECALLED), *(each.join_due() for each in workers))
    assert len(await joined_events(owner)) == 1


async def test_gather_of_a_closed_case_is_not_joined_when_its_time_is_over(
    case_manager: CaseManager, clock: ManualClock
) -> None:
    await deliver(case_manager.gathers, OPTIONAL)
    await case_manager.closing.close_case(close_case(OPTIONAL, "failed"))
    clock.advance(5)
    assert await case_manager.gathers.join_due() == []
