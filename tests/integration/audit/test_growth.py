"""In a log of 54,000 rows: how many of them the server reads for 900 new ones, and for a case.

Rows that were read, by PostgreSQL's own counters, are the same on a busy machine. `make bench-growth` has the seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from bench.growth.filling import clock_before, load_log
from contracts.catalogue import CATALOGUE
from switchyard.audit.reconciliation.reconciler import LogPresence
from switchyard.audit.records.roles import READER, SCHEMA, WRITER
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.service.missing_events import LogWatch
from switchyard.audit.transparency.checkpoint import CheckpointBody
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.verified_prefix import SETTLING, VerificationRecords
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.proof import ROW_KEY, SIGNER, Proof, mac_keys
from tests.unit.audit import cases

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ROWS, NEW_CASES = 54_000, 100
NEW = 9 * NEW_CASES
MOST_READ = {
    "record": 4 * NEW,
    "index and checkpoint": 8 * NEW,
    "watch": 12_000,
    "incremental verification": 12 * NEW,
    "case show": 100,
    "reconcile": 4 * NEW,
}
"""Rows that the server may read, at any size of the log. The watch begins with the last 10,000 entries."""

Work = Callable[[Pool], Awaitable[None]]


async def rows_read(owner: Owner, url: str, work: Work) -> int:
    """How many rows the server read for `work`, in a session whose end makes it report them."""
    counted = "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables"
    await owner.execute("select pg_stat_clear_snapshot()")
    before = await owner.fetchval(counted)
    pool = await connect_pool(url, schema=SCHEMA, size=2)
    await work(pool)
    await pool.close()
    await owner.execute("select pg_stat_clear_snapshot()")
    return int(await owner.fetchval(counted) - before)


@pytest.mark.timeout(300)
async def test_work_for_new_rows_and_for_a_case_reads_no_other_rows(
    owner: Owner, writer: Pool, url_for: UrlFor, proof: Proof
) -> None:
    loading = clock_before(datetime.now(UTC), ROWS)
    checkpointer = replace(proof.checkpoints(), clock=loading)
    await load_log(
        owner, proof.transparency_log, MacKeys(writer, LocalKeyWrapper(ROW_KEY), loading), checkpointer, rows=ROWS
    )
    records = VerificationRecords(proof.objects, TrustedKeys([SIGNER.public]), proof.log, frozenset({"locks"}))
    now = datetime.now(UTC) + 2 * SETTLING
    body = CheckpointBody.model_validate_json(
        await owner.fetchval("select body from checkpoint order by number desc limit 1")
    )
    await records.keep(body, first=1, full_at=now, now=now)
    prefix = await records.latest(now)
    case = str(await owner.fetchval("select case_id from transition limit 1"))
    new = [text for number in range(NEW_CASES) for text in cases.bodies(cases.answered(number))]

    async def record(pool: Pool) -> None:
        await AuditStore(pool, CATALOGUE, mac_keys(pool)).record(new)

    async def index(pool: Pool) -> None:
        async with TransparencyLog.open(pool, mac_keys(pool)) as log:
            await log.index_rows(10_000)
            assert await proof.checkpoints().write_if_due(log, now=True)

    async def watch(pool: Pool) -> None:
        async with TransparencyLog.open(pool, mac_keys(pool)) as log:
            await LogWatch(SystemClock()).raise_due_alarms(log.session)

    async def verify(pool: Pool) -> None:
        chain = await AuditReader(pool, CATALOGUE).verify_since(prefix, now=now)
        checkpoints = await replace(proof.verifier(), pool=pool).verify(after=prefix, now=now)
        assert (chain.ok, checkpoints.ok, chain.rows, checkpoints.covered_rows) == (True, True, NEW, NEW)

    async def show(pool: Pool) -> None:
        reader = AuditReader(pool, CATALOGUE)
        assert await reader.find_case_ids(case[:8]) == [case]
        assert await reader.summary(case)
        assert len(await reader.timeline(case)) == len(await reader.bodies(case)) == 9

    async def reconcile(pool: Pool) -> None:
        presence = LogPresence(pool)
        found = await presence.cases(None, await presence.last_index() - NEW, UUID(int=0), 200)
        assert len(await presence.recorded(found)) == NEW

    works: dict[str, tuple[str, Work]] = {
        "record": (WRITER, record),
        "index and checkpoint": (WRITER, index),
        "watch": (WRITER, watch),
        "incremental verification": (READER, verify),
        "case show": (READER, show),
        "reconcile": (READER, reconcile),
    }
    read = {name: await rows_read(owner, url_for(role), work) for name, (role, work) in works.items()}

    assert {name: rows for name, rows in read.items() if rows > MOST_READ[name]} == {}, read
