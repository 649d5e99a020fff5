"""Twenty thousand rows: written in batches, proved in bounded memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from itertools import chain, islice

import pytest

from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
CASES = 2_223
ROWS = CASES * 9
BATCH = 100
ALLOWED_MB = 8


def texts() -> Iterator[str]:
    return chain.from_iterable(cases.bodies(cases.answered(number, text="A" * 20_000)) for number in range(CASES))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_log_of_20000_rows_is_proved_in_bounded_memory(store: AuditStore, reader: AuditReader) -> None:
    written, spent, size = texts(), 0.0, 0
    while batch := list(islice(written, BATCH)):
        started = time.perf_counter()
        await store.record(batch)
        spent += time.perf_counter() - started
        size += sum(map(len, batch))
    tracemalloc.start(1)
    try:
        report = await reader.verify()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    print(f"{size / 2**20:.0f} MB; {ROWS / spent:.0f} rows a second written; {peak / 2**20:.1f} MB to prove them")
    assert report.ok
    assert (report.rows, report.cases, report.closed) == (ROWS, CASES, CASES)
    assert size > 50 * 2**20
    assert peak < ALLOWED_MB * 2**20
