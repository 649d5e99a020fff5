"""A case that failed is opened again when an operator signs for it, once, and only for what really happened."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.case_manager.retry import CaseRetrier, RetryRequest
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.digest import event_digest
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import OperatorKeys, derive_public_key, sign_statement
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.messaging.publisher import BusPublisher
from tests.integration.case_manager.conftest import (
    SOURCE,
    CaseManager,
    close_event,
    halt,
    make_overdue,
    operate,
    resume,
    submission,
)
from tests.integration.cloud import Tap
from tests.integration.conftest import PoolFor
from tests.integration.events import bus_body, envelope_of
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.reference import build_task_failed, decide_routing, read_event

pytestmark = pytest.mark.integration
SEAL = StateSeal({"tests": b"3" * 32})
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
OPERATORS = OperatorKeys({"ana": bytes.fromhex(derive_public_key(KEY))})


@dataclass(frozen=True)
class Failure:
    """A case that failed: the events of the log that an operator sends, and the case manager's ending."""

    opened: Json
    command: Json
    failed: Json
    close: Json
    ending: Json

    @property
    def case_id(self) -> str:
        """The case."""
        return str(self.opened["case_id"])

    def request(self, *, key: bytes = KEY, signed: Json | None = None, **changes: Any) -> Json:
        """What an operator writes; `signed` are fields that differ from what was signed."""
        request = {
            "operator": "ana",
            "reason": "The vendor is back.",
            "requested_at": "2026-07-01T08:00:00.000000Z",
            "signature": "0" * 128,
            "command": self.command,
            "failed": self.failed,
            "close": self.close,
        } | changes
        statement = RetryRequest.model_validate_json(json.dumps(request)).statement(self.ending["digest"])
        return request | {"signature": sign_statement(key, statement)} | (signed or {})


Ask = Callable[[Failure, Json], Awaitable[uuid.UUID]]
Answer = Callable[[uuid.UUID], Awaitable[tuple[str | None, str | None]]]


def routed(event: Json) -> Json:
    """What the router publishes because of an event."""
    (decided,) = decide_routing(bus_body(event), SEAL, operators=OPERATORS).events
    return stamp_event(dict(decided), occurred_at=event["occurred_at"], trace={})


def failing(command: Json, code: str = "models_failed") -> Json:
    """The agent's failure."""
    failed = build_task_failed(
        envelope_of(command), command["node_to"], PermanentTaskError(code, "No model answered."), 3
    )
    return stamp_event(failed, occurred_at=command["occurred_at"], trace={})


@pytest.fixture
async def fail(case_manager: CaseManager) -> Callable[..., Awaitable[Failure]]:
    """Makes a case that failed, closed by the case manager."""

    async def make(event: Json | None = None, code: str = "models_failed", **changes: Any) -> Failure:
        opened = event or await case_manager.submit(**changes)
        command = routed(opened)
        failed = failing(command, code)
        close = routed(failed)
        return Failure(
            opened,
            command,
            failed,
            close,
            await case_manager.close(read_event(bus_body(close), node="case_manager")),
        )

    return make


@pytest.fixture
async def pool(pool_for: PoolFor) -> Pool:
    return await pool_for("case_manager")


@pytest.fixture
def reopening(pool: Pool, case_manager: CaseManager, publisher: BusPublisher, clock: ManualClock) -> CaseRetrier:
    database = Database(pool, "the work database")
    return CaseRetrier(database, case_manager.vault, OPERATORS, publisher, clock, CATALOGUE)


@pytest.fixture
async def ask(pool_for: PoolFor) -> Ask:
    """Writes a request as the role `operator`, which may do nothing else."""
    operator = await pool_for("operator")

    async def write(failure: Failure, request: Json) -> uuid.UUID:
        request_id = uuid.uuid4()
        sql = "insert into case_manager.retry_request (request_id, case_id, request) values ($1, $2::text::uuid, $3)"
        await operator.execute(sql, request_id, failure.case_id, json.dumps(request))
        return request_id

    return write


@pytest.fixture
def answer(owner: Owner) -> Answer:
    async def read(request_id: uuid.UUID) -> tuple[str | None, str | None]:
        row = await owner.fetchrow("select code, why from case_manager.retry_request where request_id = $1", request_id)
        assert row is not None
        return row["code"], row["why"]

    return read


Fail = Callable[..., Awaitable[Failure]]


async def test_signed_request_opens_the_case_again_as_a_child_of_its_failure(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, tap: Tap, case_manager: CaseManager, owner: Owner
) -> None:
    failure = await fail()
    asked = await ask(failure, failure.request())
    assert await reopening.tick() == 1
    assert await answer(asked) == ("retried", None)
    (event,) = await tap.next("case_manager", failure.case_id)
    assert (event["type"], event["node_to"], event["attempt"]) == ("TaskRetried", "router", "retry-1")
    assert event["parents"] == [failure.failed["digest"]]
    again = routed(event)
    assert (again["type"], again["node_to"], again["attempt"]) == ("AnswerQuestion", "text_to_sql", "retry-1")
    assert again["state"] == failure.command["state"]
    assert again["event_id"] != failure.command["event_id"]
    timer = await owner.fetchrow(
        "select due_at from case_manager.timer where case_id = $1::text::uuid", failure.case_id
    )
    assert timer is not None, "a case that is open has a deadline"


async def test_case_that_was_stopped_for_money_may_be_retried(fail: Fail, ask: Ask, reopening: CaseRetrier) -> None:
    failure = await fail(code="budget_exceeded")
    assert failure.ending["payload"]["outcome"] == "budget_exceeded"
    await ask(failure, failure.request())
    assert await reopening.tick() == 1


async def test_second_attempt_ends_alone_and_first_stays_closed(
    fail: Fail, ask: Ask, reopening: CaseRetrier, tap: Tap, case_manager: CaseManager, owner: Owner
) -> None:
    failure = await fail()
    await ask(failure, failure.request())
    await reopening.tick()
    (event,) = await tap.next("case_manager", failure.case_id)
    late = read_event(bus_body(failure.close), node="case_manager")
    assert await case_manager.close(late) == failure.ending
    timers = "select count(*) from case_manager.timer where case_id = $1::text::uuid"
    assert await owner.fetchval(timers, failure.case_id) == 1, "the first try's end stopped the second's clock"
    answered = read_event(bus_body(close_event(event, "answered")), node="case_manager")
    second = await case_manager.close(answered)
    assert (second["payload"]["outcome"], second["attempt"]) == ("answered", "retry-1")
    assert await owner.fetchval(timers, failure.case_id) == 0


async def test_second_attempt_idle_too_long_expires(
    fail: Fail, ask: Ask, reopening: CaseRetrier, tap: Tap, case_manager: CaseManager, clock: ManualClock
) -> None:
    failure = await fail()
    await ask(failure, failure.request())
    await reopening.tick()
    (event,) = await tap.next("case_manager", failure.case_id)
    clock.advance(3_600)
    await case_manager.timers.tick()
    _, expired = await tap.next("case_manager", failure.case_id, 2)
    assert (expired["payload"]["outcome"], expired["attempt"]) == ("expired", "retry-1")
    assert expired["parents"] == [event["digest"]]


async def test_concurrent_retry_requests_have_one_winner_that_the_other_names(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, tap: Tap, owner: Owner
) -> None:
    failure = await fail()
    asked = [await ask(failure, failure.request(reason=f"reason {number}")) for number in range(2)]
    await asyncio.gather(reopening.tick(), reopening.tick())
    codes = sorted([(await answer(each))[0] or "" for each in asked])
    assert codes == ["already_retried", "retried"]
    events = await tap.seen("case_manager", failure.case_id)
    assert len({event["digest"] for event in events}) == 1
    assert await owner.fetchval("select count(*) from case_manager.retry") == 1


async def test_retry_recorded_before_a_crash_is_published_from_the_outbox(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, tap: Tap, owner: Owner, case_manager: CaseManager
) -> None:
    class Dying:
        async def publish(self, events: object) -> None:
            raise Unavailable("publish_failed", "killed")

    failure = await fail()
    asked = await ask(failure, failure.request())
    with pytest.raises(Unavailable):
        await replace(reopening, publisher=Dying()).tick()
    assert await answer(asked) == ("retried", None)
    stored = json.loads(
        await owner.fetchval("select event from case_manager.retry join case_manager.outbox using (event_id)")
    )
    assert await reopening.tick() == 0, "it is decided"
    await make_overdue(owner)
    await case_manager.outbox.tick()
    assert stored in await tap.seen("case_manager", failure.case_id)


async def test_second_failed_attempt_can_be_retried(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, tap: Tap, case_manager: CaseManager
) -> None:
    first = await fail()
    await ask(first, first.request())
    await reopening.tick()
    (event,) = await tap.next("case_manager", first.case_id)
    second = await fail(event)
    asked = await ask(second, second.request())
    await reopening.tick()
    assert await answer(asked) == ("retried", None)
    assert (await tap.next("case_manager", first.case_id, 2))[1]["attempt"] == "retry-2"


def _altered(event: Json, **fields: object) -> Json:
    changed = event | fields
    return changed | {"digest": event_digest(changed)}


async def _reported(failure: Failure, request: Json, ask: Ask, answer: Answer, reopening: CaseRetrier) -> str:
    asked = await ask(failure, request)
    await reopening.tick()
    code, why = await answer(asked)
    assert why, "a refusal says why"
    assert code
    return code


async def test_retry_request_without_a_valid_signature_is_refused(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier
) -> None:
    failure = await fail()
    forged = {
        "another key": failure.request(key=OTHER_KEY),
        "another reason": failure.request(signed={"reason": "another"}),
        "an unknown name": failure.request(operator="mallory"),
    }
    reported = {name: await _reported(failure, each, ask, answer, reopening) for name, each in forged.items()}
    assert reported == dict.fromkeys(forged, "not_authorised")


async def test_retry_request_of_other_evidence_is_refused_despite_its_signature(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, case_manager: CaseManager
) -> None:
    failure, other = await fail(), await fail()
    payload = failure.failed["payload"]
    requests = {
        "another state": failure.request(command=_altered(failure.command, state={"step": "x", "node": "triage"})),
        "a state under the old digest": failure.request(command=failure.command | {"state": {"step": "x"}}),
        "another failure": failure.request(failed=_altered(failure.failed, payload=payload | {"code": "other"})),
        "another case's ending": failure.request(close=other.close),
        "another case's failure": other.request(),
        "no failure": failure.request(failed=failure.command),
    }
    reported = {name: await _reported(failure, each, ask, answer, reopening) for name, each in requests.items()}
    assert reported == {
        "another state": "evidence_differs",
        "a state under the old digest": "evidence_differs",
        "another failure": "evidence_differs",
        "another case's ending": "evidence_differs",
        "another case's failure": "not_failed",
        "no failure": "not_failed",
    }


async def test_invalid_retry_request_is_refused_and_the_next_is_answered(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier
) -> None:
    failure = await fail()
    assert await _reported(failure, {"operator": "ana"}, ask, answer, reopening) == "bad_request"
    asked = await ask(failure, failure.request())
    await reopening.tick()
    assert (await answer(asked))[0] == "retried"


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "[" * 100_000,
        '{"command": ' * 50_000,
        "null",
        '"\\ud800"',
        '{"a": "\\u0000"}',
        '{"command": {"n": NaN}}',
        pytest.param({"command": {"n": 1.5}}, id="float"),
        pytest.param({"command": {"n": 10**400}}, id="integer"),
        pytest.param({"failed": {"case_deadline": "0001-01-01T00:00:00Z"}}, id="time"),
        pytest.param({"failed": {"parents": ["x" * 64]}}, id="parents"),
        pytest.param({"close": {"payload": {"outcome": "\ud800"}}}, id="surrogate"),
        pytest.param({"requested_at": "2026-02-30T00:00:00Z"}, id="day"),
    ],
)
async def test_hostile_request_is_refused_by_name_and_does_not_stop_the_next(
    hostile: str | Json, fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, owner: Owner
) -> None:
    failure, request_id = await fail(), uuid.uuid4()
    if not isinstance(hostile, str):
        request = failure.request()
        changed = {
            name: {**request[name], **value} if isinstance(value, dict) else value for name, value in hostile.items()
        }
        hostile = json.dumps(request | changed)
    await owner.execute(
        "insert into case_manager.retry_request (request_id, case_id, request) values ($1, $2, $3)",
        request_id, failure.case_id, hostile,
    )  # fmt: skip
    asked = await ask(failure, failure.request())
    await reopening.tick()
    assert (await answer(request_id))[0] in {"bad_request", "evidence_differs"}
    assert (await answer(asked))[0] == "retried"


async def test_retry_of_a_case_past_its_deadline_is_refused(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, clock: ManualClock
) -> None:
    failure = await fail()
    late = datetime.fromisoformat(failure.opened["case_deadline"]) + timedelta(seconds=1)
    clock.advance((late - clock.now()).total_seconds())
    assert timestamp(clock.now()) > failure.opened["case_deadline"]
    assert await _reported(failure, failure.request(), ask, answer, reopening) == "expired"


async def test_retry_of_a_case_with_an_erased_key_is_refused(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, owner: Owner
) -> None:
    failure = await fail(user_id="erased@example.com")
    subject = failure.opened["principal"]["subject"]
    await owner.execute("delete from vault.subject_key where subject = $1::text::uuid", subject)
    assert await _reported(failure, failure.request(), ask, answer, reopening) == "key_erased"


async def test_retry_of_halted_or_cancelled_case_is_denied_until_lifted(
    fail: Fail, ask: Ask, answer: Answer, reopening: CaseRetrier, owner: Owner
) -> None:
    failure = await fail()
    for kind, key in (("halted_playbook", "assist"), ("cancelled_case", failure.case_id)):
        await halt(owner, key, kind)
        assert await _reported(failure, failure.request(), ask, answer, reopening) == "stopped"
        await resume(owner, key)
    asked = await ask(failure, failure.request())
    await reopening.tick()
    assert (await answer(asked))[0] == "retried"


async def test_retry_of_a_case_that_an_operator_cancelled_after_its_end_is_refused(
    fail: Fail,
    ask: Ask,
    answer: Answer,
    reopening: CaseRetrier,
    case_manager: CaseManager,
    owner: Owner,
    clock: ManualClock,
) -> None:
    failure = await fail()
    assert "closed already" in str(await operate(case_manager, owner, clock, "cancel", failure.case_id))
    assert await _reported(failure, failure.request(), ask, answer, reopening) == "stopped"


async def test_retry_of_an_open_or_answered_case_is_refused(
    ask: Ask, answer: Answer, reopening: CaseRetrier, case_manager: CaseManager
) -> None:
    opened = await case_manager.submit()
    command = routed(opened)
    failed = failing(command)
    close = routed(failed)
    ending = await case_manager.close(read_event(bus_body(close_event(opened, "answered")), node="case_manager"))
    failure = Failure(opened, command, failed, close, ending)
    assert await _reported(failure, failure.request(), ask, answer, reopening) == "not_ended_so"


async def test_operator_role_may_insert_retry_requests_only(pool_for: PoolFor) -> None:
    operator = await pool_for("operator")
    for sql in (
        "select * from case_manager.submission",
        "update case_manager.retry_request set code = 'retried'",
        "insert into case_manager.retry_request (request_id, case_id, request, code) values ($1, $1, '', 'retried')",
        "delete from case_manager.retry_request",
    ):
        arguments = [uuid.uuid4()] if "$1" in sql else []
        with pytest.raises(Exception, match="permission denied"):
            await operator.execute(sql, *arguments)


async def test_retried_case_counts_as_open_and_can_be_cancelled(
    fail: Fail,
    ask: Ask,
    reopening: CaseRetrier,
    tap: Tap,
    case_manager: CaseManager,
    owner: Owner,
    clock: ManualClock,
) -> None:
    failure = await fail()
    case = uuid.UUID(failure.case_id)
    ending = "select outcome from case_manager.latest_ending where case_id = $1"
    assert await owner.fetchval(ending, case) == "failed"
    await ask(failure, failure.request())
    await reopening.tick()
    (event,) = await tap.next("case_manager", failure.case_id)
    assert await owner.fetchval(ending, case) is None
    assert await operate(case_manager, owner, clock, "cancel", failure.case_id) == "cancelled"
    _, cancelled = await tap.next("case_manager", failure.case_id, 2)
    assert (cancelled["payload"]["outcome"], cancelled["attempt"]) == ("cancelled", "retry-1")
    assert cancelled["parents"] == [event["digest"]]
    assert await owner.fetchval(ending, case) == "cancelled"


async def test_published_events_equal_the_outbox_rows(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    await operate(case_manager, owner, clock, "halt", "assist")
    assert await case_manager.intake.open_case(SOURCE, submission(), "CaseSubmitted") == [], (
        "parked while the playbook is halted"
    )
    await operate(case_manager, owner, clock, "resume", "assist")
    await case_manager.outbox.tick()
    sql = "select event_id::text, digest, type from case_manager.outbox where published_at is not null"
    rows = await owner.fetch(sql)
    assert {row["type"] for row in rows} == {"PlaybookHalted", "PlaybookResumed", "CaseOpened"}
    published = {event["event_id"]: event["digest"] for event in await tap.seen("case_manager")}
    assert {row["event_id"]: row["digest"] for row in rows}.items() <= published.items()
