"""Four times the rows, the same memory: chain and checkpoints are both verified as a stream."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TypeVar

import pytest

from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from tests.integration.audit.many import many_bodies
from tests.integration.audit.proof import Proof

T = TypeVar("T")
pytestmark = [pytest.mark.integration, pytest.mark.slow]
QUARTER = 3_600
BATCH = 400
GROWTH = 1.25
"""How much larger the peak may be with four times the rows: the listing of the store, and noise."""


async def peak_of(work: Callable[[], Awaitable[T]]) -> tuple[T, int]:
    """What it found, and the bytes that Python held at most meanwhile."""
    tracemalloc.start(1)
    try:
        return await work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def write(store: AuditStore, proof: Proof, texts: Iterator[str], rows: int) -> None:
    """Write so many rows, a checkpoint after each 1,200."""
    for start in range(0, rows, BATCH):
        await store.record(list(islice(texts, BATCH)))
        if (start + BATCH) % 1_200 == 0:
            await proof.checkpoint()


@pytest.mark.timeout(600)
async def test_verification_memory_is_independent_of_the_logs_size(
    store: AuditStore, reader: AuditReader, proof: Proof
) -> None:
    texts = many_bodies(4 * QUARTER // 9)
    peaks: dict[int, tuple[int, int]] = {}
    for rows in (QUARTER, 4 * QUARTER):
        await write(store, proof, texts, rows - sum(peaks))
        chain, chain_peak = await peak_of(reader.verify)
        checkpoints, checkpoints_peak = await peak_of(proof.verify)
        assert (chain.ok, chain.rows) == (True, rows)
        assert (checkpoints.ok, checkpoints.covered_rows, checkpoints.checkpoints) == (True, rows, rows // 1_200)
        peaks[rows] = chain_peak, checkpoints_peak

    print({rows: [f"{peak / 2**20:.1f} MB" for peak in both] for rows, both in peaks.items()})
    for small, large in zip(*peaks.values(), strict=True):
        assert large < GROWTH * small + 2**20
