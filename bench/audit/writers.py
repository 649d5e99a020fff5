"""The same texts into PostgreSQL in several ways, each in a fresh copy of the migrated database.

All of them read the text as audit does. The plain ways write into a bare table with the log's columns and key, without
its partitions, indexes and triggers, and COPY refuses a whole batch for one duplicate: they are what a row could cost,
not what the log needs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.projection import Transition, examine_message
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool

WRITE_BATCH_SIZE = 100
_COLUMNS = ", ".join(Transition._fields)
_PLACES = ", ".join(f"${number}" for number in range(1, len(Transition._fields) + 1))
_INSERT = f"insert into bare ({_COLUMNS}) values ({_PLACES}) on conflict (opened_on, event_id) do nothing"  # noqa: S608 - names of a class

BARE_TABLE_DDL = (
    "create table bare (like transition including defaults)",
    "alter table bare drop column mac, drop column mac_key",
    "alter table bare add primary key (opened_on, event_id)",
    "grant all on bare to audit",
)
"""What the owner runs in the fresh database."""


@dataclass(frozen=True, slots=True)
class WriteCost:
    """Rows a second, and microseconds of CPU a row: in the client, and in PostgreSQL's process for its connection."""

    rows: int
    rows_per_s: float
    client_us: float
    server_us: float


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far, from /proc (Linux); resolution 10 ms."""
    # The name, in parentheses, may hold blanks: count from behind it. Fields 14 and 15 of proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


WriteMethod = Callable[[Pool, Sequence[str]], Awaitable[None]]


async def measure_writes(write: WriteMethod, pool: Pool, texts: Sequence[str]) -> WriteCost:
    """Write all of them in batches of 100 through a pool of one connection."""
    pid = await pool.fetchval("select pg_backend_pid()")
    server, started, client = cpu_s(pid), time.perf_counter(), time.process_time()
    for start in range(0, len(texts), WRITE_BATCH_SIZE):
        await write(pool, texts[start : start + WRITE_BATCH_SIZE])
    client_s, wall_s = time.process_time() - client, time.perf_counter() - started
    rows = len(texts)
    return WriteCost(rows, rows / wall_s, client_s / rows * 1e6, (cpu_s(pid) - server) / rows * 1e6)


@cache
def _store(pool: Pool) -> AuditStore:
    return AuditStore(pool, CATALOGUE, MacKeys(pool, LocalKeyWrapper(bytes(32)), SystemClock()))


async def _record(pool: Pool, texts: Sequence[str]) -> None:
    recorded = await _store(pool).record(texts)
    if recorded.inserted != len(texts):
        raise RuntimeError(f"{len(texts) - recorded.inserted} rows were not written")


async def _read(pool: Pool, texts: Sequence[str]) -> None:
    _rows(texts)


async def _copy(pool: Pool, texts: Sequence[str]) -> None:
    await pool.copy_records_to_table("bare", records=_rows(texts), columns=Transition._fields)


async def _executemany(pool: Pool, texts: Sequence[str]) -> None:
    await pool.executemany(_INSERT, _rows(texts))


async def _row_by_row(pool: Pool, texts: Sequence[str]) -> None:
    for row in _rows(texts):
        await pool.execute(_INSERT, *row)


def _rows(texts: Sequence[str]) -> list[Transition]:
    return [row for text in texts if (row := examine_message(CATALOGUE, text).row) is not None]


WRITE_METHODS: dict[str, WriteMethod] = {
    "audit's record()": _record,
    "reading the text alone": _read,
    "COPY into a bare table": _copy,
    "executemany into a bare table": _executemany,
    "row by row into a bare table": _row_by_row,
}
