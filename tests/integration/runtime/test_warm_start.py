"""A new process expects what the last one learned, however that one ended."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta

import pytest

from latency_failover import FailoverModel
from latency_failover.snapshot import HALF_LIFE_MS, HORIZON_MS
from latency_failover.statistics import Expectation, LatencySample
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.models.latency_snapshots import LatencySnapshots
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.manual_clock import ManualClock
from tests.integration.runtime.paired_models import pair

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(pool_for: PoolFor, owner: Owner) -> Pool:
    await owner.execute("truncate text_to_sql.latency_snapshot")
    return await pool_for(NODE)


def learned(wait_ms: int, *, times: int = 40) -> FailoverModel:
    """A model whose primary was always waited for so long."""
    model = pair()
    for _ in range(times):
        sample = LatencySample(ttft_ms=wait_ms, total_ms=wait_ms + 1_000, output_tokens=100, us_per_token=10_000)
        model.stats.observe("test:primary", 100, sample, now_ms=round(time.monotonic() * 1_000))
    return model


def expected(model: FailoverModel) -> Expectation:
    return model.stats.expect("test:primary", 100, now_ms=round(time.monotonic() * 1_000))


async def test_latency_statistics_survive_kill_9(pool: Pool, infrastructure: Infrastructure) -> None:
    arguments = ["-m", "tests.integration.runtime.latency_writer", infrastructure.role_url(NODE), NODE]
    writer = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert writer.stdout is not None
    try:
        assert await asyncio.wait_for(writer.stdout.readline(), 60) == b"saved\n"
    finally:
        writer.kill()
        await writer.wait()
    heir = pair()
    assert expected(heir).ttft_p50_ms is None
    assert await LatencySnapshots(pool, heir, SystemClock()).load() == 1
    assert (expected(heir).ttft_p50_ms, expected(heir).us_per_token_p50) == (432, 10_000)


async def test_replicas_write_a_row_each_and_a_new_one_reads_all(pool: Pool) -> None:
    clock = SystemClock()
    for wait_ms in (200, 600):
        replica = LatencySnapshots(pool, learned(wait_ms), clock)
        await replica.save()
        await replica.save()
    heir = pair()
    assert await LatencySnapshots(pool, heir, clock).load() == 2
    seen = expected(heir).ttft_seen
    assert (min(seen), max(seen)) == (200, 600)
    assert seen.count(200) == seen.count(600)


async def test_old_statistics_count_less_and_are_swept(pool: Pool, clock: ManualClock) -> None:
    await LatencySnapshots(pool, learned(200), clock).save()
    clock.advance(timedelta(milliseconds=2 * HALF_LIFE_MS).total_seconds())
    await LatencySnapshots(pool, learned(600), clock).save()
    heir = pair()
    assert await LatencySnapshots(pool, heir, clock).load() == 2
    seen = expected(heir).ttft_seen
    assert seen.count(200) < seen.count(600)
    clock.advance(timedelta(milliseconds=HORIZON_MS - HALF_LIFE_MS).total_seconds())
    await LatencySnapshots(pool, learned(600), clock).save()
    assert await pool.fetchval("select count(*) from latency_snapshot") == 2


async def test_snapshot_without_statistics_writes_nothing_and_ignores_unreadable(
    pool: Pool,
) -> None:
    warm = LatencySnapshots(pool, pair(), SystemClock())
    await warm.save()
    assert await pool.fetchval("select count(*) from latency_snapshot") == 0
    await LatencySnapshots(pool, learned(200), SystemClock()).save()
    await pool.execute('update latency_snapshot set snapshot = \'{"another": "form"}\'')
    assert await warm.load() == 0


async def test_unavailable_database_costs_the_snapshot_only(pool: Pool, infrastructure: Infrastructure) -> None:
    warm = LatencySnapshots(pool, learned(200), SystemClock())
    await infrastructure.stop("postgres")
    try:
        await warm.save()
        assert await warm.load() == 0
    finally:
        await infrastructure.start("postgres")
    await warm.save()
    assert await warm.load() == 1
