from __future__ import annotations
import asyncio, time, cProfile, pstats, os
import pytest
from tests.integration.case_manager.test_fairness import *
from tests.integration.case_manager.test_fairness import put, flood
import switchyard.processes.orchestrator as o

@pytest.mark.timeout(300)
async def test_drain(serve, cloud, owner, monkeypatch):
    await put(cloud, flood(1), QUIET)
    await serve("case_manager")
    await asyncio.sleep(3)
    started = time.monotonic()
    await put(cloud, flood(3000), NOISY)
    print("PUT", time.monotonic() - started, await cloud.counts("switchyard-case-manager-submissions"))
    while sum(await cloud.counts("switchyard-case-manager-submissions")): await asyncio.sleep(0.1)
    while await owner.fetchval("select count(*) from case_manager.arrival"): await asyncio.sleep(0.1)
    n = sum
    from switchyard.processes import orchestrator
    # now preload while the process is paused: stop polling by breaker
    import gc
    from faststream_sqs.subscriber import SQSSubscriber
    subs = [x for x in gc.get_objects() if isinstance(x, SQSSubscriber) and x.queue.endswith("submissions")]
    for s in subs: s.pause("x")
    await asyncio.sleep(1.5)
    if os.environ.get("NO_OPEN"):
        monkeypatch.setattr("switchyard.case_manager.arrivals.ArrivalQueue.tick", lambda self: asyncio.sleep(0))
        import switchyard.case_manager.arrivals as ar
        async def none(self, count=8): return []
        monkeypatch.setattr(ar.ArrivalTable, "claim", none)
    started = time.monotonic()
    await put(cloud, flood(5000), NOISY)
    print("PUT5000", time.monotonic() - started, await cloud.counts("switchyard-case-manager-submissions"))
    prof = cProfile.Profile() if os.environ.get("PROF") else None
    if prof: prof.enable()
    t=time.process_time()
    for s in subs: s.resume()
    started = time.monotonic()
    while (c := await cloud.counts("switchyard-case-manager-submissions"))[0]: await asyncio.sleep(0.2)
    print("DRAINED visible", time.monotonic() - started, c, "cpu", time.process_time()-t, "staged", await owner.fetchval("select count(*) from case_manager.arrival"))
    if prof:
        prof.disable(); pstats.Stats(prof).sort_stats("cumtime").print_stats(70)
    started = time.monotonic()
    if not os.environ.get("NO_OPEN"):
        while await owner.fetchval("select count(*) from case_manager.arrival"): await asyncio.sleep(0.1)
        print("OPENED all", time.monotonic() - started)
