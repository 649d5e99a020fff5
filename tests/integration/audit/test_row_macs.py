"""Keys of the rows' MACs: one call of KMS for each, rows wait while it is away, and nothing else does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
from aiobotocore.session import AioSession

from contracts.catalogue import CATALOGUE
from faststream_sqs import SQSBatchMessage
from switchyard.audit.records.row_mac import ROTATION, VALIDITY, MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.service.handlers import record_batch
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.crypto.vault import KmsKeyWrapper, LocalKeyWrapper
from switchyard.runtime.database.circuit_breaker import CircuitBreaker, DatabaseCircuitBreaker
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.conftest import Counts
from tests.integration.audit.proof import ROW_KEY, Proof, mac_keys
from tests.integration.cloud import until
from tests.integration.manual_clock import ManualClock
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"


class Wrapper(LocalKeyWrapper):
    """The local key, which may be out of reach, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(ROW_KEY)
        self.away = False
        self.wraps = self.unwraps = 0

    async def wrap(self, key: bytes, *, subject: str) -> bytes:
        self._reach()
        self.wraps += 1
        return await super().wrap(key, subject=subject)

    async def unwrap(self, wrapped: bytes, *, subject: str) -> bytes:
        self._reach()
        self.unwraps += 1
        return await super().unwrap(wrapped, subject=subject)

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("key_management", "KMS is unreachable")


@pytest.fixture
def wrapper() -> Wrapper:
    return Wrapper()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def row_keys(writer: Pool, wrapper: Wrapper, clock: ManualClock) -> MacKeys:
    return MacKeys(writer, wrapper, clock)


async def test_mac_key_is_created_once_per_rotation_with_one_call(
    store: AuditStore, wrapper: Wrapper, clock: ManualClock, owner: Owner, proof: Proof
) -> None:
    for number in range(5):
        await store.record([cases.body(cases.first(number))])
    await proof.index_rows()
    assert (wrapper.wraps, wrapper.unwraps) == (1, 0)

    clock.advance(ROTATION.total_seconds())
    await store.record([cases.body(cases.first(9))])

    assert (wrapper.wraps, wrapper.unwraps) == (2, 0)
    assert await owner.fetchval("select count(*) from mac_key") == 2


async def test_running_process_without_kms_records_for_a_day_only(
    store: AuditStore, wrapper: Wrapper, clock: ManualClock
) -> None:
    await store.record([cases.body(cases.first(0))])
    wrapper.away = True

    clock.advance((VALIDITY - timedelta(seconds=1)).total_seconds())
    assert (await store.record([cases.body(cases.first(1))])).inserted == 1
    clock.advance(1)
    with pytest.raises(Unavailable):
        await store.record([cases.body(cases.first(2))])


async def test_rows_without_a_key_wait_and_invalid_bodies_are_set_aside(
    store: AuditStore, wrapper: Wrapper, counts: Counts
) -> None:
    wrapper.away = True

    with pytest.raises(Unavailable) as refused:
        await store.record([cases.body(cases.first(0)), "not json"])
    assert refused.value.code == "key_management"
    assert (await store.record(["not json either"])).alarms == 1
    counted = await counts()
    assert (counted.transitions, counted.alarms) == (0, {"malformed": 2})

    wrapper.away = False
    assert (await store.record([cases.body(cases.first(0)), "not json"])).inserted == 1


async def test_rows_of_an_unreachable_key_wait_and_no_checkpoint_is_made(
    store: AuditStore, wrapper: Wrapper, writer: Pool, proof: Proof, owner: Owner, clock: ManualClock
) -> None:
    """The process that recorded the first row died; the next one cannot unwrap its key, and has one of its own."""
    await store.record([cases.body(cases.first(0))])
    successor = Wrapper()
    keys = MacKeys(writer, successor, clock)
    await AuditStore(writer, CATALOGUE, keys).record([cases.body(cases.first(1))])
    successor.away = True

    async with TransparencyLog.open(writer, keys) as log:
        assert await log.index_rows(10) == 1
        assert not await proof.checkpoints().write_if_due(log, now=True)
        indexed = await owner.fetch("select event_id::text from log_entry")
        assert [row["event_id"] for row in indexed] == [cases.first(1)["event_id"]]

        successor.away = False
        assert await log.index_rows(10) == 1
        assert await proof.checkpoints().write_if_due(log, now=True)
    assert (await proof.verify(macs=mac_keys(writer))).ok
    assert await owner.fetchval("select count(*) from integrity_alarm") == 0


class Message:
    """A batch as the broker hands it over."""

    def __init__(self, *bodies: str) -> None:
        self.messages = [self._one(body) for body in bodies]
        self.nacked: list[float] = []

    def _one(self, body: str) -> Any:
        return type("One", (), {"raw_body": body, "nack": self.nack})()

    async def nack(self, delay: float = 0.0) -> None:
        self.nacked.append(delay)


class Subscriber:
    paused = 0

    def pause(self, reason: str) -> None:
        assert reason == "mac_key"
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1


async def test_consumer_without_a_key_pauses_and_reports_the_database_available(
    store: AuditStore, wrapper: Wrapper, row_keys: MacKeys, writer: Pool, counts: Counts
) -> None:
    database, keys = DatabaseCircuitBreaker(writer), CircuitBreaker(row_keys.serving, alarm="mac_key")
    subscriber = Subscriber()
    keys.watch_subscriber(subscriber)
    wrapper.away = True
    message = Message(cases.body(cases.first(0)))
    batch: SQSBatchMessage = message  # type: ignore[assignment]

    await record_batch(batch, store=store, breaker=database, keys=keys)

    assert (len(message.nacked), subscriber.paused) == (1, 1)
    assert (database.available, keys.available) == (True, False)
    assert (await counts()).alarms == {}
    wrapper.away = False

    async def back() -> bool:
        return keys.available and not subscriber.paused

    await until(back, "the key is back")
    await record_batch(batch, store=store, breaker=database, keys=keys)
    assert (await counts()).transitions == 1
    await asyncio.gather(database.close(), keys.close())


async def test_altered_key_is_unknown(store: AuditStore, writer: Pool, owner: Owner) -> None:
    """Its id and its times are authenticated with it: the owner cannot make an old key valid today."""
    await store.record([cases.body(cases.first(0))])
    await owner.execute("alter table mac_key disable trigger all")
    for change in ("not_after = not_after + interval '1 year'", "wrapped = '\\x00'", "key_id = gen_random_uuid()"):
        await owner.execute("create table if not exists saved as select * from mac_key")
        await owner.execute(f"update mac_key set {change}")
        key_id = await owner.fetchval("select key_id::text from mac_key")

        keys = mac_keys(writer)
        await keys.load([key_id])

        assert keys.known(key_id) is None, change
        await owner.execute("delete from mac_key")
        await owner.execute("insert into mac_key select * from saved")


async def test_kms_wraps_the_keys(aws_session: AioSession, writer: Pool, aws: None) -> None:
    async with aws_session.create_client("kms") as kms:
        made = await kms.create_key()
        wrapper = KmsKeyWrapper(kms, made["KeyMetadata"]["KeyId"])
        serving = await MacKeys(writer, wrapper, ManualClock()).serving()
        other = MacKeys(writer, wrapper, ManualClock())
        await other.load([serving.key_id])
        assert other.known(serving.key_id) == serving
