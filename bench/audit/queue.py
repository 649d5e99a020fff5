"""From the queue to the commit: the service as its own process, and a bare loop that only receives and deletes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiobotocore.session import get_session

from bench.audit.writers import cpu_s
from switchyard.protocol.catalogue import AUDIT
from switchyard.protocol.topology import queue_name

DRAIN_TIMEOUT_S = 300.0
_POLLERS = 2
"""As many as audit has batches in hand."""


@dataclass(frozen=True, slots=True)
class DrainRate:
    """Messages a second from the first receive to the last commit (or delete), and microseconds of CPU a message."""

    messages: int
    per_s: float
    cpu_us: float


@asynccontextmanager
async def open_queue(environment: Mapping[str, str]) -> AsyncIterator[tuple[Any, str]]:
    """An SQS client and the address of audit's queue."""
    async with get_session().create_client(
        "sqs",
        region_name=environment["AWS_REGION"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    ) as sqs:
        yield sqs, (await sqs.get_queue_url(QueueName=queue_name(AUDIT)))["QueueUrl"]


async def fill_queue(sqs: Any, url: str, texts: Sequence[str]) -> None:
    """Put the texts on the queue."""
    for start in range(0, len(texts), 10):
        entries = [{"Id": str(index), "MessageBody": text} for index, text in enumerate(texts[start : start + 10])]
        answer = await sqs.send_message_batch(QueueUrl=url, Entries=entries)
        if answer.get("Failed"):
            raise RuntimeError(f"SQS did not take {len(answer['Failed'])} messages")


async def drain_with_audit(
    environment: Mapping[str, str], work_db_url: str, log: asyncpg.Connection[Any], rows: int, output: Path
) -> DrainRate:
    """Let the service work until the log has `rows` rows. Its start is not counted: it begins when it is ready."""
    settings = {
        "SWITCHYARD_AUDIT_DB_URL": work_db_url,
        "SWITCHYARD_POLL_WAIT_S": "1",
        "SWITCHYARD_LOG_LEVEL": "INFO",
    }
    with output.open("wb") as log_file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.audit", env={**os.environ, **environment, **settings}, stderr=log_file
        )
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            await _wait_until(lambda: _is_ready(output), every_s=0.01)
            cpu, started = cpu_s(process.pid), time.perf_counter()
            await _wait_until(lambda: _count_reached(log, rows), every_s=0.05)
            wall_s = time.perf_counter() - started
            await asyncio.sleep(1.0)  # the last deletes
        return DrainRate(rows, rows / wall_s, (cpu_s(process.pid) - cpu) / rows * 1e6)
    finally:
        process.terminate()
        await process.wait()


async def _wait_until(holds: Callable[[], Awaitable[bool]], *, every_s: float) -> None:
    while not await holds():  # noqa: ASYNC110 - another process changes it, without a notification
        await asyncio.sleep(every_s)


async def _is_ready(output: Path) -> bool:
    return b"process.ready" in await asyncio.to_thread(output.read_bytes)


async def _count_reached(log: asyncpg.Connection[Any], rows: int) -> bool:
    return bool(await log.fetchval("select count(*) >= $1 from transition", rows))


async def drain_with_bare_loop(sqs: Any, url: str, messages: int) -> DrainRate:
    """Receive in tens and delete in tens: what any consumer of SQS pays at least."""
    left = messages

    async def poll() -> None:
        nonlocal left
        while left > 0:
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            found = answer.get("Messages", [])
            if found:
                entries = [
                    {"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]} for index, each in enumerate(found)
                ]
                await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                left -= len(found)

    cpu, started = time.process_time(), time.perf_counter()
    async with asyncio.timeout(DRAIN_TIMEOUT_S):
        await asyncio.gather(*(poll() for _ in range(_POLLERS)))
    return DrainRate(messages, messages / (time.perf_counter() - started), (time.process_time() - cpu) / messages * 1e6)
