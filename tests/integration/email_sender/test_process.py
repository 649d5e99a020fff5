"""The email sender's process, killed where it hurts. It is never sent twice, never lost, and never guessed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from services.specialists.email_sender.main import run
from switchyard.devstack.simulators.ses import SesFault
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.email_sender.conftest import VAULT_KEY, Case, OpenCase, Outbox
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.serving import stop_serving

ROOT = Path(__file__).resolve().parents[3]
QUEUE, DEAD_LETTERS = queue_name("email_sender"), dead_letter_queue_name("email_sender")

Worker = asyncio.subprocess.Process
StartWorker = Callable[[], Awaitable[Worker]]


@pytest.fixture
def environment(infrastructure: Infrastructure, outbox: Outbox) -> dict[str, str]:
    """The email sender's environment, with short times."""
    return {
        "SWITCHYARD_WORK_DB_URL": infrastructure.role_url("email_sender"),
        "SWITCHYARD_VAULT_KEY": VAULT_KEY.hex(),
        "SWITCHYARD_VISIBILITY_S": "2",
        "SWITCHYARD_POLL_WAIT_S": "1",
        "SWITCHYARD_RETRY_BASE_S": "0.05",
        "SWITCHYARD_DRAIN_S": "5",
        "SWITCHYARD_SES_ENDPOINT_URL": outbox.url,
        "SWITCHYARD_SES_TIMEOUT_S": "2",
        "SWITCHYARD_DOMAIN_PER_MINUTE": "60000",
        "SWITCHYARD_DOMAIN_BURST": "1000",
    }


@pytest.fixture
async def start_worker(
    infrastructure: Infrastructure, environment: dict[str, str], cloud: Cloud
) -> AsyncIterator[StartWorker]:
    """Starts email senders as processes of their own."""
    await cloud.purge(QUEUE, DEAD_LETTERS)
    workers: list[Worker] = []

    async def start() -> Worker:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "switchyard.processes", "services.specialists.email_sender.main:run",
            cwd=ROOT,
            env={**os.environ, **infrastructure.environment, **environment},
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()
    await cloud.purge(QUEUE, DEAD_LETTERS)


@pytest.fixture
async def blocking(infrastructure: Infrastructure) -> AsyncIterator[Owner]:
    """A connection in a transaction that holds up others; it ends with the test."""
    connection = await asyncpg.connect(infrastructure.owner_url())
    await connection.execute("begin")
    yield connection
    await connection.close()


@pytest.fixture
async def serve(
    aws: None, environment: dict[str, str], cloud: Cloud, borrowed_logs: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], None]]:
    """Starts email senders inside this process, which is quicker."""
    await cloud.purge(QUEUE, DEAD_LETTERS)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    serving: list[asyncio.Task[None]] = []
    yield lambda: serving.append(asyncio.create_task(run()))
    await stop_serving(cloud, "email_sender", *serving)


async def kill(worker: Worker) -> None:
    """-9."""
    worker.send_signal(signal.SIGKILL)
    await worker.wait()


def soon() -> datetime:
    """Later than any of these tests takes, however busy the machine."""
    return datetime.now(UTC) + timedelta(hours=1)


PATIENCE_S = 60.0
"""A process takes seconds to start, and many on a busy machine."""

pytestmark = pytest.mark.timeout(240)


async def outcome(tap: Tap, case: Case) -> Json:
    """The email sender's one answer of a case, once it is on the bus."""
    found: list[Json] = []

    async def there() -> bool:
        found[:] = await tap.seen("email_sender", case.case_id)
        return bool(found)

    await until(there, "the email sender's answer", PATIENCE_S)
    assert len({each["digest"] for each in found}) == 1
    return found[0]


async def state_of(owner: Owner, case: Case) -> str | None:
    state: str | None = await owner.fetchval("select state from email_sender.sending where case_id = $1", case.case_id)
    return state


async def reaches(owner: Owner, case: Case, state: str) -> None:
    async def so() -> bool:
        return await state_of(owner, case) == state

    await until(so, f"the ledger says {state}", PATIENCE_S)


@pytest.mark.slow
async def test_sender_killed_before_the_intent_leaves_one_send_to_the_next(
    case: Case, start_worker: StartWorker, cloud: Cloud, tap: Tap, outbox: Outbox, owner: Owner, blocking: Owner
) -> None:
    sql = "insert into email_sender.send_lock values ($1, $2, $3, $4, $5)"
    await blocking.execute(sql, *astuple(case.scope), case.case_id, case.content_sha256)
    worker = await start_worker()
    await cloud.put(case.command(soon()))

    async def waits() -> bool:
        waiting: bool = await owner.fetchval(
            "select exists (select from pg_locks where locktype = 'transactionid' and not granted)"
        )
        return waiting

    await until(waits, "the email sender waits for the email's lock", PATIENCE_S)
    await kill(worker)
    await blocking.execute("rollback")

    await start_worker()
    answer = await outcome(tap, case)
    assert answer["type"] == "EmailSent"
    assert len(outbox.of(case.case_id)) == 1


@pytest.mark.parametrize(("fault", "taken"), [pytest.param("hang", 0, marks=pytest.mark.slow), ("hang_after", 1)])
async def test_sender_killed_during_the_providers_call_leaves_an_unknown_outcome(
    fault: SesFault,
    taken: int,
    case: Case,
    start_worker: StartWorker,
    cloud: Cloud,
    tap: Tap,
    outbox: Outbox,
    owner: Owner,
) -> None:
    outbox.plan(fault)
    worker = await start_worker()
    await cloud.put(case.command(soon()))
    await reaches(owner, case, "intended")
    await until(lambda: asyncio.sleep(0, not outbox.ses_simulator.faults), "the provider was asked")
    await kill(worker)

    await start_worker()
    answer = await outcome(tap, case)
    assert answer["type"] == "SendingUnknown"
    assert len(outbox.of(case.case_id)) == taken
    assert await state_of(owner, case) == "unknown"


@pytest.mark.slow
async def test_sender_killed_after_recording_repeats_provider_answer(
    case: Case,
    environment: dict[str, str],
    start_worker: StartWorker,
    cloud: Cloud,
    tap: Tap,
    outbox: Outbox,
    owner: Owner,
    blocking: Owner,
) -> None:
    environment["SWITCHYARD_SES_TIMEOUT_S"] = "20"
    command = case.command(soon())
    outbox.plan("hold")
    worker = await start_worker()
    await cloud.put(command)
    await reaches(owner, case, "intended")
    # The outcome cannot be completed while its row in the inbox is locked.
    await blocking.execute("select from email_sender.inbox where event_id = $1 for update", command["event_id"])
    outbox.ses_simulator.released.set()
    await reaches(owner, case, "sent")
    await kill(worker)
    # The server would go on with the dead worker's statement once the lock is free.
    await blocking.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
        " where pg_backend_pid() = any(pg_blocking_pids(pid))"
    )
    await blocking.execute("rollback")
    assert (
        await owner.fetchval("select outputs from email_sender.inbox where event_id = $1", command["event_id"]) is None
    )

    await start_worker()
    answer = await outcome(tap, case)
    assert answer["type"] == "EmailSent"
    [taken] = outbox.of(case.case_id)
    assert answer["payload"]["provider_message_id"] == taken.message_id


@pytest.mark.slow
async def test_message_delivered_repeatedly_to_two_workers_is_sent_once(
    case: Case, serve: Callable[[], None], cloud: Cloud, tap: Tap, outbox: Outbox
) -> None:
    serve()
    serve()
    command = case.command(soon())
    for _ in range(6):
        await cloud.deliver("email_sender", command)
    await cloud.settled(QUEUE)

    assert (await outcome(tap, case))["type"] == "EmailSent"
    assert len(outbox.of(case.case_id)) == 1


@pytest.mark.slow
async def test_throttled_provider_uses_no_attempt(
    case: Case,
    serve: Callable[[], None],
    cloud: Cloud,
    tap: Tap,
    outbox: Outbox,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.specialists.email_sender.provider._SLOW_DOWN_S", 0.2)
    for _ in range(7):
        outbox.plan("throttle")
    serve()
    await cloud.put(case.command(soon()))

    answer = await outcome(tap, case)
    assert answer["type"] == "EmailSent"
    assert await owner.fetchval("select failures from email_sender.inbox where case_id = $1", case.case_id) == 0
    assert len(outbox.of(case.case_id)) == 1


KILLS = 15
"""Each costs the start of a process: seconds, or a quarter of a minute on a busy machine."""


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_emails_under_kills_are_sent_at_most_once(
    open_case: OpenCase,
    start_worker: StartWorker,
    environment: dict[str, str],
    cloud: Cloud,
    tap: Tap,
    outbox: Outbox,
    owner: Owner,
) -> None:
    """A worker is killed at a random moment after an email was seen to be on its way."""
    environment["SWITCHYARD_CONCURRENCY"] = "3"
    outbox.ses_simulator.latency_s = 0.3
    cases = [await open_case() for _ in range(200)]
    workers = [await start_worker(), await start_worker()]
    for number, case in enumerate(cases):
        await cloud.put(case.command(soon()))
        if number % 40 == 10:
            outbox.plan("hang_after", "throttle", "drop_after", "drop")
    kills = 0
    answers: dict[str, set[str]] = {}

    async def in_flight() -> bool:
        for event in await tap.seen("email_sender"):
            answers.setdefault(event["case_id"], set()).add(json.dumps([event["type"], event["digest"]]))
        # A young intent is that of a worker that lives.
        on_its_way: bool = await owner.fetchval(
            "select exists (select from email_sender.sending where state = 'intended'"
            " and intended_at > clock_timestamp() - interval '0.5 seconds')"
        )
        return on_its_way or len(answers) == len(cases)

    async with asyncio.timeout(800):
        while len(answers) < len(cases):
            await until(in_flight, "an email is on its way, or all are answered", 120)
            await asyncio.sleep(0.2 * int.from_bytes(os.urandom(1)) / 256)
            if kills < KILLS:
                await kill(workers[kills % 2])
                workers[kills % 2] = await start_worker()
                kills += 1

    assert all(len(each) == 1 for each in answers.values()), "a case has two outcomes"
    types = {case_id: json.loads(next(iter(each)))[0] for case_id, each in answers.items()}
    sent = {case_id for case_id, type_ in types.items() if type_ == "EmailSent"}
    unknown = {case_id for case_id, type_ in types.items() if type_ == "SendingUnknown"}
    assert set(types.values()) == {"EmailSent", "SendingUnknown"}
    assert sent | unknown == {case.case_id for case in cases}
    for case in cases:
        taken = len(outbox.of(case.case_id))
        assert taken == 1 if case.case_id in sent else taken <= 1
        assert await state_of(owner, case) == ("sent" if case.case_id in sent else "unknown")
    listed = {str(row["case_id"]) for row in await owner.fetch("select case_id from email_sender.unresolved_send")}
    assert listed == unknown
    left = sum(bool(outbox.of(case_id)) for case_id in unknown)
    print(f"{kills} kills, {len(sent)} sent, {len(unknown)} unknown ({left} of them had gone out)")
