"""In any order of deliveries, copies, endings and crashes: turns keep their order, and sessions never mix."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchyard.case_manager.sessions import TurnRules
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import TurnPolicy
from tests.integration.case_manager.conftest import (
    SOURCE,
    TABLES,
    CaseManager,
    close_case,
    make_overdue,
    operate,
    submission,
)
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration
SESSIONS = ("s", "t")
USERS = ("ada", "ben")
MAX_QUEUED = 3
TURN = st.tuples(st.sampled_from(SESSIONS), st.sampled_from(USERS), st.integers(0, 5))
ACTION = st.one_of(
    st.tuples(st.just("deliver"), st.lists(TURN, min_size=1, max_size=1)),
    st.tuples(st.just("deliver at once"), st.lists(TURN, min_size=2, max_size=6)),
    st.tuples(st.just("end"), st.integers(0, 7)),
    st.tuples(st.just("copy of an end"), st.integers(0, 7)),
    st.tuples(st.just("end, killed before it publishes"), st.integers(0, 7)),
    st.tuples(st.just("cancel"), st.integers(0, 7)),
    st.tuples(st.just("expire"), st.integers(0, 7)),
)


OVERTAKEN = """
select count(*) from case_manager.session n
join case_manager.submission o on o.case_id = n.open_case
join case_manager.submission q on q.session_key = n.session_key and q.queued and q.turn < o.turn"""


def session_of(event: Json) -> tuple[str, str]:
    """Session id and pseudonym."""
    return event["session_id"], event["principal"]["subject"]


@dataclass
class Run:
    """The case manager, and what has reached the bus."""

    case_manager: CaseManager
    owner: Owner
    clock: ManualClock
    bus: list[Json] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    """Cases in the order in which their submissions were first delivered."""

    async def publish(self, events: list[Json]) -> None:
        """What the process that stored the events does at once."""
        seen = {event["event_id"] for event in self.bus}
        self.bus += [event for event in events if event["event_id"] not in seen]

    async def relay(self) -> None:
        """What the relay does for a process that was killed."""
        await make_overdue(self.owner)
        rows = await self.owner.fetch(
            "select event from case_manager.outbox where publish_after < 'infinity' order by publish_after, stored_at"
        )
        await self.publish([json.loads(row["event"]) for row in rows])

    async def deliver(self, turns: list[tuple[str, str, int]]) -> None:
        """Deliver submissions at once, each for the first time or again; those at once arrive in any order."""
        details = [
            submission(session_id=session, user_id=user, idempotency_key=f"{session}-{user}-{number}")
            for session, user, number in turns
        ]
        known = set(await self.cases())
        intake = self.case_manager.intake
        for events in await asyncio.gather(*(intake.open_case(SOURCE, detail, "CaseSubmitted") for detail in details)):
            await self.publish(events)
        self.arrived += [case for case in await self.cases() if case not in known]

    async def cases(self) -> list[str]:
        """Every case that intake has recorded, by turns."""
        rows = await self.owner.fetch("select case_id from case_manager.submission order by turn")
        return [str(row["case_id"]) for row in rows]

    def begun(self, *, ended: bool = False) -> list[Json]:
        """Openings on the bus whose case has not ended there, or has."""
        over = {event["case_id"] for event in self.bus if event["type"] == "CaseClosed"}
        return [event for event in self.bus if event["type"] == "CaseOpened" and (event["case_id"] in over) is ended]

    async def end(self, opened: Json, *, published: bool = True) -> None:
        """The router's word that a case is over arrives."""
        events = await self.case_manager.closing.close_case(close_case(opened))
        if published:
            await self.publish(events)
        else:
            await self.relay()

    async def stop(self, action: str, number: int) -> None:
        """Cancel or expire one of the cases that have not ended, whether its turn has come or not."""
        rows = await self.owner.fetch("select case_id from case_manager.latest_ending")
        ended = {str(row["case_id"]) for row in rows}
        open_cases = sorted(case for case in await self.cases() if case not in ended)
        if not open_cases:
            return
        case = open_cases[number % len(open_cases)]
        if action == "cancel":
            await operate(self.case_manager, self.owner, self.clock, "cancel", case)
            await self.relay()
            return
        past = "update case_manager.timer set due_at = $2 where case_id = $1::uuid"
        await self.owner.execute(past, case, self.clock.now())
        await self.publish(await self.case_manager.closing.close_expired())

    async def check(self) -> None:
        """What must hold at every moment."""
        by_session: dict[tuple[str, str], list[Json]] = {}
        for event in self.begun() + self.begun(ended=True):
            by_session.setdefault(session_of(event), []).append(event)
        for turns in by_session.values():
            numbers = [event["payload"]["turn"] for event in turns]
            assert len(set(numbers)) == len(numbers)
        assert len({session_of(event) for event in self.begun()}) == len(self.begun()), "two open turns of a session"
        endings = [event["case_id"] for event in self.bus if event["type"] == "CaseClosed"]
        assert len(endings) == len(set(endings)), "a case with two endings"
        assert await self.owner.fetchval(OVERTAKEN) == 0, "a turn waits behind a later one"

    async def finish(self) -> None:
        """End what is open until nothing is; then nothing may be left waiting."""
        await self.relay()
        while begun := self.begun():
            await self.check()
            await self.end(begun[0])
        left = "select count(*) from case_manager.submission where queued or parked"
        assert await self.owner.fetchval(left) == 0
        assert await self.owner.fetchval("select count(*) from case_manager.session where open_case is not null") == 0
        assert await self.owner.fetchval("select coalesce(sum(queued), 0) from case_manager.session") == 0
        ended = {event["case_id"] for event in self.bus if event["type"] == "CaseClosed"}
        assert ended == set(await self.cases()), "a case without an ending"
        self.check_order()

    def check_order(self) -> None:
        """Turns are numbered as they arrived, and each names the one before."""
        openings = {event["case_id"]: event for event in self.bus if event["type"] == "CaseOpened"}
        last: dict[tuple[str, str], Json] = {}
        for case in self.arrived:
            event = openings[case]
            before = last.get(session_of(event))
            place = event["payload"]["turn"], event["payload"].get("previous_case")
            assert place == ((before["payload"]["turn"] + 1, before["case_id"]) if before else (1, None))
            last[session_of(event)] = event


@pytest.mark.parametrize("policy", ["queue", "reject"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions=st.lists(ACTION, min_size=5, max_size=40))
async def test_turns_keep_their_order_and_sessions_never_mix_in_any_interleaving(
    case_manager: CaseManager,
    owner: Owner,
    clock: ManualClock,
    policy: TurnPolicy,
    actions: list[tuple[str, list[tuple[str, str, int]] | int]],
) -> None:
    await owner.execute(f"truncate {TABLES}")
    rules = TurnRules({"assist": policy}, MAX_QUEUED)
    run = Run(replace(case_manager, intake=replace(case_manager.intake, turns=rules)), owner, clock)
    for action, argument in actions:
        if isinstance(argument, list):
            await run.deliver(argument)
        elif action in ("cancel", "expire"):
            await run.stop(action, argument)
        else:
            candidates = run.begun(ended=action.startswith("copy"))
            if candidates:
                killed = action.startswith("end, killed")
                await run.end(candidates[argument % len(candidates)], published=not killed)
        await run.check()
    await run.finish()
