"""What is measured at one size of the log: CPU seconds of this process and of PostgreSQL's for its connections."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import psutil

from contracts.catalogue import CATALOGUE
from switchyard.audit.reconciliation.reconciler import LogPresence
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.checkpoint import CheckpointBody
from switchyard.audit.transparency.checkpointer import Checkpointer
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
from switchyard.audit.verification.verified_prefix import SETTLING, VerificationRecords
from switchyard.runtime.database.connections import Pool
from tests.unit.audit import cases

NEW_ROWS = 4_500
BATCH = 100
ASKED = 15
TURNS = 3
"""An incremental verification is repeated, and the cheapest counts: other work on the machine adds to each."""


@dataclass
class CpuMeter:
    """CPU seconds of this process, and of all processes of the PostgreSQL server that has only this to do."""

    postmaster: int
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)

    def _server(self) -> dict[int, float]:
        """By process of the server: its CPU seconds so far."""
        found = {}
        for child in psutil.Process(self.postmaster).children():
            with suppress(psutil.NoSuchProcess):
                used = child.cpu_times()
                found[child.pid] = float(used.user + used.system)
        return found

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Count what happens inside."""
        client, before = time.process_time(), self._server()
        yield
        spent = sum(seconds - before.get(pid, 0.0) for pid, seconds in self._server().items())
        self.seconds[name] = (time.process_time() - client, spent)

    def us_per_row(self, name: str, rows: int) -> dict[str, float]:
        """Microseconds of the client and of the server for each row."""
        client, server = self.seconds[name]
        return {"client_us": round(client / rows * 1e6, 1), "server_us": round(server / rows * 1e6, 1)}


@dataclass(frozen=True)
class GrowingLog:
    """One log, and everything that works on it."""

    owner: asyncpg.Connection[Any]
    writer: Pool
    keys: MacKeys
    log: TransparencyLog
    checkpointer: Checkpointer
    reader: AuditReader
    reading: Pool
    verifier: CheckpointVerifier
    records: VerificationRecords


async def measure_at(growing: GrowingLog, meter: CpuMeter, *, full: bool) -> dict[str, Any]:
    """Everything at the present size. The log is longer by `NEW_ROWS` afterwards."""
    size = int(await growing.owner.fetchval("select max(log_index) from log_entry"))
    store = AuditStore(growing.writer, CATALOGUE, growing.keys)
    new = [text for number in range(NEW_ROWS // 9) for text in cases.bodies(cases.answered(number))]
    for start in range(0, BATCH * 5, BATCH):  # warm
        await store.record(new[start : start + BATCH])
    rest = new[BATCH * 5 :]
    async with meter.of("record"):
        for start in range(0, len(rest), BATCH):
            await store.record(rest[start : start + BATCH])
    async with meter.of("index"):
        while await growing.log.index_rows(10_000):
            pass
    async with meter.of("checkpoint"):
        await growing.checkpointer.write_if_due(growing.log, now=True)
    found: dict[str, Any] = {"rows": size, "record": meter.us_per_row("record", len(rest))}
    found["index"], found["checkpoint"] = meter.us_per_row("index", NEW_ROWS), meter.us_per_row("checkpoint", NEW_ROWS)
    spent = sum(found["index"].values()) + sum(found["checkpoint"].values())
    found["sequencer_rows_per_cpu_s"] = round(1e6 / spent)
    found |= await _verify(growing, meter, size, full=full)
    found["asked_ms"] = await _ask(growing)
    return found


async def _verify(growing: GrowingLog, meter: CpuMeter, size: int, *, full: bool) -> dict[str, Any]:
    now = datetime.now(UTC) + 2 * SETTLING
    before = await growing.owner.fetchrow("select body from checkpoint where last_index = $1", size)
    assert before is not None
    body = CheckpointBody.model_validate_json(before["body"])
    await growing.records.keep(body, first=1, full_at=now, now=now)
    prefix = await growing.records.latest(now)
    turns = []
    for _ in range(TURNS):
        async with meter.of("incremental"):
            chain = await growing.reader.verify_since(prefix, now=now)
            checkpoints = await growing.verifier.verify(after=prefix, now=now)
        if not (chain.ok and checkpoints.ok and chain.rows == checkpoints.covered_rows == NEW_ROWS):
            raise RuntimeError(f"incremental: {chain.findings[:3]}, {checkpoints.findings[:3]}, {chain.rows} rows")
        turns.append(meter.us_per_row("incremental", NEW_ROWS))
    found = {"incremental": min(turns, key=lambda each: sum(each.values()))}
    if full:
        async with meter.of("full"):
            chain = await growing.reader.verify(now=now)
            checkpoints = await growing.verifier.verify(now=now)
        if not (chain.ok and checkpoints.ok):
            raise RuntimeError(f"full: {chain.findings[:3]}, {checkpoints.findings[:3]}")
        found["full"] = meter.us_per_row("full", chain.rows)
    return found


async def _ask(growing: GrowingLog) -> dict[str, float]:
    """Milliseconds of wall time of what people and jobs ask, the fastest of some: the least that other work adds to."""
    case = str(await growing.owner.fetchval("select case_id from transition order by recorded_at desc limit 1"))
    presence = LogPresence(growing.reading)
    last = await presence.last_index()
    asked: dict[str, Callable[[], Awaitable[Any]]] = {
        "case by the beginning of its id": lambda: growing.reader.find_case_ids(case[:8]),
        "case show: summary": lambda: growing.reader.summary(case),
        "case show: timeline": lambda: growing.reader.timeline(case),
        "replay: bodies": lambda: growing.reader.bodies(case),
        "reconcile: 200 cases of new rows": lambda: presence.cases(None, last - 2_000, uuid.UUID(int=0), 200),
        "reconcile: events of a case": lambda: presence.recorded([uuid.UUID(case)]),
    }
    found = {}
    for name, ask in asked.items():
        times = []
        for _ in range(ASKED):
            started = time.perf_counter()
            await ask()
            times.append((time.perf_counter() - started) * 1e3)
        found[name] = round(min(times), 2)
        found[f"{name} (median)"] = round(statistics.median(times), 2)
    return found
