"""Twenty thousand rows: written in batches, proved in bounded memory."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from itertools import chain, islice

import pytest

from services.audit.reader import AuditReader
from services.audit.store import AuditStore
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
CASES = 2_223
ROWS = CASES * 9
BATCH = 100
ALLOWED_MB = 24
"""The bodies alone are over 50 MB."""


def texts() -> Iterator[str]:
    return chain.from_iterable(cases.bodies(cases.answered(number, text="A" * 20_000)) for number in range(CASES))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.timeout(240)
async def test_twenty_thousand_rows_are_proved_in_bounded_memory(store: AuditStore, reader: AuditReader) -> None:
    written, spent, size = texts(), 0.0, 0
    while batch := list(islice(written, BATCH)):
        started = time.perf_counter()
        await store.record(batch)
        spent += time.perf_counter() - started
        size += sum(map(len, batch))
    await reader.verify(case_id=cases.first()["case_id"])
    gc.collect()
    before = peak_mb()

    started = time.perf_counter()
    report = await reader.verify()
    took = time.perf_counter() - started

    print(f"{size / 2**20:.0f} MB; insert {ROWS / spent:.0f} rows/s; verify {ROWS / took:.0f} rows/s")
    assert report.ok
    assert (report.rows, report.cases, report.closed) == (ROWS, CASES, CASES)
    assert size > 2 * ALLOWED_MB * 2**20
    grown = peak_mb() - before
    print(f"memory grew by {grown:.1f} MB")
    assert grown < ALLOWED_MB
