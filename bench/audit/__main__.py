"""`python -m bench.audit`: measure, and write bench/results/audit.json and audit.md.

Every figure is a median over repetitions that take turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import asyncpg

from bench.audit.queue import DrainRate, drain_with_audit, drain_with_bare_loop, fill_queue, open_queue
from bench.audit.report import audit_markdown
from bench.audit.writers import BARE_TABLE_DDL, WRITE_BATCH_SIZE, WRITE_METHODS, WriteCost, measure_writes
from switchyard.audit.records.roles import SCHEMA, WRITER
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.provision import provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.processes.databases import migrate_audit
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.unit.audit import cases

AUDIT_RESULTS = Path(__file__).resolve().parents[1] / "results"
TEMPLATE_DATABASE = "bench_template"
BENCH_PASSWORD = "bench"  # noqa: S105 - of a database that lives for a minute


def build_messages(rows: int) -> list[str]:
    """The texts of whole cases of nine transitions, as EventBridge delivers them."""
    made = (cases.bodies(cases.answered(number, text="A" * 1_500)) for number in range(-(-rows // 9)))
    return list(chain.from_iterable(made))[:rows]


class AuditBench:
    """A stack without services, and a fresh audit database whenever one is needed."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def prepare(self) -> None:
        """Migrate the template that every measurement copies."""
        await self._as_owner("postgres", f"create database {TEMPLATE_DATABASE}")
        await migrate_audit(self._endpoints.dsn(TEMPLATE_DATABASE), password_for=lambda _: BENCH_PASSWORD)
        await self._as_owner(TEMPLATE_DATABASE, "set search_path to audit", *BARE_TABLE_DDL)
        await provision_emulator(self._endpoints.environment(), visibility_s=60)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[tuple[str, asyncpg.Connection[Any]]]:
        """A copy's address for the service's role, and a connection of its owner."""
        await self._as_owner("postgres", f"create database bench_run template {TEMPLATE_DATABASE}")
        owner = await asyncpg.connect(self._endpoints.dsn("bench_run"), server_settings={"search_path": SCHEMA})
        try:
            yield self._endpoints.dsn("bench_run", WRITER, BENCH_PASSWORD), owner
        finally:
            await owner.close()
            await self._as_owner("postgres", "drop database bench_run with (force)")

    @asynccontextmanager
    async def pool(self) -> AsyncIterator[Pool]:
        """One connection of the service's role to a copy."""
        async with self.database() as (url, _):
            pool = await connect_pool(url, schema=SCHEMA, size=1)
            try:
                yield pool
            finally:
                await pool.close()

    async def _as_owner(self, database: str, *statements: str) -> None:
        connection = await asyncpg.connect(self._endpoints.dsn(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


async def run_audit_bench(rows: int, repetitions: int) -> dict[str, Any]:
    """Measure everything."""
    written: dict[str, list[WriteCost]] = {name: [] for name in WRITE_METHODS}
    drained: dict[str, list[DrainRate]] = {"audit": [], "receive and delete alone": []}
    given = build_messages(rows)
    with temporary_home() as home:
        async with EmbeddedStack(home) as stack:
            bench, environment = AuditBench(stack.endpoints), stack.endpoints.environment()
            await bench.prepare()
            for repetition in range(repetitions):
                for name, write in WRITE_METHODS.items():
                    async with bench.pool() as pool:
                        written[name].append(await measure_writes(write, pool, given))
                async with open_queue(environment) as (sqs, url):
                    await fill_queue(sqs, url, given)
                    drained["receive and delete alone"].append(await drain_with_bare_loop(sqs, url, rows))
                    await fill_queue(sqs, url, given)
                    async with bench.database() as (work_db_url, owner):
                        log = home / f"audit-{repetition}.log"
                        found = await drain_with_audit(environment, work_db_url, owner, rows, log)
                        drained["audit"].append(found)
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_1m": os.getloadavg()[0]},
        "rows": rows,
        "bytes_a_row": round(statistics.fmean(map(len, given))),
        "batch": WRITE_BATCH_SIZE,
        "repetitions": repetitions,
        "writing": {name: _median(costs) for name, costs in written.items()},
        "queue_to_commit": {name: _median(costs) for name, costs in drained.items()},
    }


def _median(measured: Sequence[WriteCost | DrainRate]) -> dict[str, float]:
    records = [asdict(each) for each in measured]
    return {name: round(statistics.median(record[name] for record in records), 1) for name in records[0]}


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=9_000)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    found = asyncio.run(run_audit_bench(arguments.rows, arguments.repetitions))
    AUDIT_RESULTS.mkdir(parents=True, exist_ok=True)
    (AUDIT_RESULTS / "audit.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = audit_markdown(found)
    (AUDIT_RESULTS / "audit.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
