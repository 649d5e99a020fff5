"""What audit costs per row: from a text to the commit, and from the queue to the commit; and what is the least."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.projection import Transition, examine_message
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.devstack.stack.endpoints import Endpoints, inherited_environment, sdk_environment
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool

WRITE_BATCH_SIZE = 100
DRAIN_TIMEOUT_S = 300.0
_POLLERS = 2
"""As many as audit has batches in hand."""


@dataclass(frozen=True, slots=True)
class RowCost:
    """Rows a second, and microseconds of CPU a row: in the client, and in PostgreSQL's process for its connection."""

    per_s: float
    client_us: float
    server_us: float = 0.0


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


@cache
def _store(pool: Pool) -> AuditStore:
    return AuditStore(pool, CATALOGUE, MacKeys(pool, LocalKeyWrapper(bytes(32)), SystemClock()))


async def _record(pool: Pool, texts: Sequence[str]) -> None:
    recorded = await _store(pool).record(texts)
    if recorded.inserted != len(texts):
        raise RuntimeError(f"{len(texts) - recorded.inserted} rows were not written")


async def _read(_: Pool, texts: Sequence[str]) -> None:
    _rows(texts)


async def _copy(pool: Pool, texts: Sequence[str]) -> None:
    await pool.copy_records_to_table("bare", records=_rows(texts), columns=Transition._fields)


def _rows(texts: Sequence[str]) -> list[Transition]:
    return [row for text in texts if (row := examine_message(CATALOGUE, text).row) is not None]


WRITE_METHODS: dict[str, Callable[[Pool, Sequence[str]], Awaitable[None]]] = {
    "audit's record()": _record,
    "reading the text alone": _read,
    "COPY into a bare table": _copy,
}


async def measure_writes(name: str, pool: Pool, texts: Sequence[str]) -> RowCost:
    """Write all texts in batches through a pool of one connection."""
    pid = await pool.fetchval("select pg_backend_pid()")
    server, started, client = cpu_s(pid), time.perf_counter(), time.process_time()
    for start in range(0, len(texts), WRITE_BATCH_SIZE):
        await WRITE_METHODS[name](pool, texts[start : start + WRITE_BATCH_SIZE])
    client_s, wall_s = time.process_time() - client, time.perf_counter() - started
    return RowCost(len(texts) / wall_s, client_s / len(texts) * 1e6, (cpu_s(pid) - server) / len(texts) * 1e6)


async def fill_queue(sqs: Any, url: str, texts: Sequence[str]) -> None:
    """Put the texts on the queue."""
    for start in range(0, len(texts), 10):
        entries = [{"Id": str(index), "MessageBody": text} for index, text in enumerate(texts[start : start + 10])]
        answer = await sqs.send_message_batch(QueueUrl=url, Entries=entries)
        if answer.get("Failed"):
            raise RuntimeError(f"SQS did not take {len(answer['Failed'])} messages")


async def drain_with_audit(
    endpoints: Endpoints, audit_db_url: str, log: asyncpg.Connection[Any], rows: int, output: Path
) -> RowCost:
    """Let the service work until the log has `rows` rows. Its start is not counted: it begins when it is ready."""
    environment = {
        **inherited_environment(),
        **sdk_environment(endpoints.aws),
        "SWITCHYARD_AUDIT_DB_URL": audit_db_url,
        "SWITCHYARD_ROW_KEY": bytes(32).hex(),
        "SWITCHYARD_POLL_WAIT_S": "1",
    }
    with output.open("wb") as log_file:
        command = (sys.executable, "-m", "services.audit")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=log_file)
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while b"process.ready" not in await asyncio.to_thread(output.read_bytes):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            cpu, started = cpu_s(process.pid), time.perf_counter()
            while await log.fetchval("select count(*) < $1 from transition", rows):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            wall_s = time.perf_counter() - started
            await asyncio.sleep(1.0)  # the last deletes
        return RowCost(rows / wall_s, (cpu_s(process.pid) - cpu) / rows * 1e6)
    finally:
        process.terminate()
        await process.wait()


async def drain_with_bare_loop(sqs: Any, url: str, messages: int) -> RowCost:
    """Receive in tens and delete in tens: what any consumer of SQS pays at least."""
    left = messages

    async def poll() -> None:
        nonlocal left
        while left > 0:
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            if found := answer.get("Messages", []):
                entries = [
                    {"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]} for index, each in enumerate(found)
                ]
                await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                left -= len(found)

    cpu, started = time.process_time(), time.perf_counter()
    async with asyncio.timeout(DRAIN_TIMEOUT_S):
        await asyncio.gather(*(poll() for _ in range(_POLLERS)))
    return RowCost(messages / (time.perf_counter() - started), (time.process_time() - cpu) / messages * 1e6)
