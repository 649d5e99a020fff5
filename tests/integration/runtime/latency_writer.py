"""A process that calls a model and keeps what it learns, until somebody kills it: see `test_warm_start.py`."""

from __future__ import annotations

import asyncio
import sys

from latency_failover.statistics import LatencySample
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.periodic import run_periodically
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.models.latency_snapshots import LatencySnapshots
from tests.integration.runtime.paired_models import pair


async def main(url: str, schema: str) -> None:
    """Learn for ever, saving ten times a second; say so once the first snapshot is written."""
    pool = await connect_pool(url, schema=schema)
    model = pair()
    for _ in range(40):
        sample = LatencySample(ttft_ms=432, total_ms=1_432, output_tokens=100, us_per_token=10_000, gap_ms=15)
        model.stats.observe("test:primary", 100, sample, now_ms=round(asyncio.get_running_loop().time() * 1_000))
    warm = LatencySnapshots(pool, model, SystemClock())
    await warm.save()
    print("saved", flush=True)
    await run_periodically("latency", warm.save, every_s=0.1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
