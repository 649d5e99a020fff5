"""Every committed row gets one log_index, and log indexes have no gap, whichever process writes, waits or dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import SCHEMA, WRITER
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.sequencer import Sequencer
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.conftest import UrlFor
from tests.integration.audit.proof import Proof
from tests.integration.cloud import until
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"

SEQUENCE = """
import asyncio, os
from switchyard.runtime.database.connections import connect_pool
from switchyard.audit.transparency.sequencer import Sequencer
from tests.integration.audit.proof import mac_keys

async def main():
    pool = await connect_pool(os.environ["URL"], schema="audit")
    await Sequencer(pool, mac_keys(pool), None, every_s=0.01).run()

asyncio.run(main())
"""


async def log_indexes(owner: Owner) -> list[tuple[int, str]]:
    rows = await owner.fetch("select log_index, event_id::text from log_entry order by log_index")
    return [(row["log_index"], row["event_id"]) for row in rows]


async def gapless(owner: Owner) -> bool:
    """Whether every row has a log_index, and the log indexes are 1, 2, 3 …"""
    placed = await log_indexes(owner)
    rows = {row[0] for row in await owner.fetch("select event_id::text from transition")}
    return [log_index for log_index, _ in placed] == list(range(1, len(rows) + 1)) and {
        id_ for _, id_ in placed
    } == rows


async def test_rows_get_log_indexes_from_one_in_the_order_of_recording(
    store: AuditStore, proof: Proof, owner: Owner
) -> None:
    events = cases.answered()
    for text in cases.bodies(events):
        await store.record([text])

    assert await proof.index_rows() == 9
    assert await proof.index_rows() == 0

    assert await log_indexes(owner) == [(number, event["event_id"]) for number, event in enumerate(events, start=1)]
    assert await owner.fetchval("select count(*) from unindexed") == 0


async def test_log_entry_keeps_the_row_as_written(store: AuditStore, proof: Proof, owner: Owner) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.index_rows()

    same = await owner.fetchval(
        "select count(*) from log_entry p join transition t using (opened_on, event_id)"
        " where p.digest = t.transcript_hash and p.recorded_at = t.recorded_at"
        " and p.body_sha256 = sha256(convert_to(t.body, 'UTF8'))"
    )

    assert same == 9


async def test_row_committed_late_is_not_skipped(
    store: AuditStore, proof: Proof, owner: Owner, writer: Pool, row_keys: MacKeys
) -> None:
    early, late = cases.first(1), cases.first(2)
    async with writer.acquire() as connection:
        late_store = AuditStore(_OneConnection(connection), CATALOGUE, row_keys)  # type: ignore[arg-type]
        open_ = connection.transaction()
        await open_.start()
        await late_store.record([cases.body(late)])
        await store.record([cases.body(early)])

        assert await proof.index_rows() == 1
        await open_.commit()

    assert await proof.index_rows() == 1
    assert await log_indexes(owner) == [(1, early["event_id"]), (2, late["event_id"])]


class _OneConnection:
    """Stands where the store expects a pool, so that a test owns the transaction."""

    def __init__(self, connection: Any) -> None:
        self.fetch = connection.fetch


async def test_rolled_back_row_leaves_no_gap(
    proof: Proof, owner: Owner, writer: Pool, store: AuditStore, row_keys: MacKeys
) -> None:
    async with writer.acquire() as connection:
        open_ = connection.transaction()
        await open_.start()
        await AuditStore(_OneConnection(connection), CATALOGUE, row_keys).record([cases.body(cases.first(1))])  # type: ignore[arg-type]
        await open_.rollback()
    await store.record([cases.body(cases.first(2))])

    await proof.index_rows()

    assert await log_indexes(owner) == [(1, cases.first(2)["event_id"])]


async def test_duplicates_get_one_log_index(store: AuditStore, proof: Proof, owner: Owner) -> None:
    texts = cases.bodies(cases.answered())
    await store.record(texts)
    await proof.index_rows()
    await store.record(texts * 2)

    assert await proof.index_rows() == 0
    assert await gapless(owner)


async def test_event_resent_after_month_end_is_one_row_with_one_log_index(
    store: AuditStore, proof: Proof, owner: Owner
) -> None:
    today = cases.NOW.replace(day=1, hour=0, minute=0, second=0)
    before_midnight = cases.first(opened=today - timedelta(milliseconds=1))
    (text,) = cases.bodies([before_midnight])
    after = cases.body(before_midnight, time=cases.moment(today + timedelta(hours=1))[:19] + "Z", id="another delivery")

    first, second = await store.record([text]), await store.record([after])
    await proof.index_rows()

    assert (first.inserted, second.inserted, second.duplicates, second.alarms) == (1, 0, 1, 0)
    assert await owner.fetchval("select count(*) from transition") == 1
    assert await log_indexes(owner) == [(1, before_midnight["event_id"])]


async def test_concurrent_writers_and_sequencers_leave_no_gap(
    store: AuditStore, owner: Owner, writer: Pool, url_for: UrlFor, row_keys: MacKeys
) -> None:
    second = await asyncpg.create_pool(url_for(WRITER), min_size=2, max_size=2, server_settings={"search_path": SCHEMA})
    done = asyncio.Event()

    async def index_rows() -> None:
        # Past the lock of the leader: even two that believe to lead cannot make a gap or a double.
        async with TransparencyLog.open(second, row_keys) as transparency_log:
            while not done.is_set():
                await transparency_log.index_rows(7)

    placing = [asyncio.create_task(index_rows()) for _ in range(2)]
    batches = [cases.bodies(cases.answered(number)) for number in range(24)]
    await asyncio.gather(*(store.record(batch) for batch in batches))
    await until(lambda: gapless(owner), "every row placed")
    done.set()
    await asyncio.gather(*placing)
    await second.close()

    assert len(await log_indexes(owner)) == 24 * 9


@pytest.mark.slow
async def test_sequencers_killed_repeatedly_leave_no_gap(store: AuditStore, owner: Owner, url_for: UrlFor) -> None:
    """Killed at any moment, again and again, while rows come in: no gap, no double, and nothing is left."""
    environment = {**os.environ, "URL": url_for(WRITER)}

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEQUENCE, env=environment, stdout=asyncio.subprocess.DEVNULL
        )

    running = [await start(), await start()]
    written = 0
    for turn in range(3):
        for _ in range(20):
            await store.record(cases.bodies(cases.answered(written)))
            written += 1
        running[turn % 2].send_signal(signal.SIGKILL)
        await running[turn % 2].wait()
        running[turn % 2] = await start()
    await until(lambda: gapless(owner), "every row placed", within_s=60)
    for process in running:
        process.kill()
        await process.wait()

    assert len(await log_indexes(owner)) == written * 9


async def test_second_sequencer_waits_for_the_first(writer: Pool, row_keys: MacKeys) -> None:
    async with TransparencyLog.open(writer, row_keys) as one, TransparencyLog.open(writer, row_keys) as other:
        assert await one.lead()
        assert not await other.lead()


async def test_row_removed_and_delivered_again_keeps_its_log_index(
    store: AuditStore, proof: Proof, owner: Owner
) -> None:
    events = cases.answered()
    await store.record(cases.bodies(events))
    await proof.index_rows()
    before = await log_indexes(owner)
    await owner.execute("alter table transition disable trigger append_only")
    await owner.execute("delete from transition where event_id = $1", events[3]["event_id"])
    await store.record([cases.body(events[3]), cases.body(cases.first(7))])

    assert await proof.index_rows() == 2

    assert await log_indexes(owner) == [*before, (10, cases.first(7)["event_id"])]


async def test_sequencer_survives_a_database_that_refuses(
    store: AuditStore, owner: Owner, writer: Pool, row_keys: MacKeys
) -> None:
    await owner.execute("alter table log_entry add constraint full_disk check (log_index < 0) not valid")
    running = asyncio.create_task(Sequencer(writer, row_keys, None, every_s=0.02).run())
    await store.record(cases.bodies(cases.answered()))
    await asyncio.sleep(0.2)
    assert not running.done()
    await owner.execute("alter table log_entry drop constraint full_disk")

    await until(lambda: gapless(owner), "every row placed")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
