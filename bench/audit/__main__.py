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
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import asyncpg
from aiobotocore.session import get_session

from bench.audit.measures import (
    WRITE_BATCH_SIZE,
    WRITE_METHODS,
    RowCost,
    drain_with_audit,
    drain_with_bare_loop,
    fill_queue,
    measure_writes,
)
from switchyard.audit.records.roles import SCHEMA, WRITER
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.provision import client_options, provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.processes.databases import migrate_audit
from switchyard.protocol.catalogue import AUDIT
from switchyard.protocol.topology import queue_name
from switchyard.runtime.core.aws import create_aws_client
from switchyard.runtime.database.connections import connect_pool
from tests.unit.audit import cases

AUDIT_RESULTS = Path(__file__).resolve().parents[1] / "results"
BENCH_PASSWORD = "bench"  # noqa: S105 - of a database that lives for a minute
BARE_TABLE_DDL = """\
create table audit.bare (like audit.transition including defaults);
alter table audit.bare drop column mac, drop column mac_key;
alter table audit.bare add primary key (opened_on, event_id);
grant all on audit.bare to audit"""


@asynccontextmanager
async def fresh_database(endpoints: Endpoints) -> AsyncIterator[tuple[str, asyncpg.Connection[Any]]]:
    """A new log's address for the service's role, and a connection of its owner."""
    admin = await asyncpg.connect(endpoints.dsn("postgres"))
    await admin.execute("create database bench_run")
    try:
        await migrate_audit(endpoints.dsn("bench_run"), password_for=lambda _: BENCH_PASSWORD)
        owner = await asyncpg.connect(endpoints.dsn("bench_run"), server_settings={"search_path": SCHEMA})
        try:
            await owner.execute(BARE_TABLE_DDL)
            yield endpoints.dsn("bench_run", WRITER, BENCH_PASSWORD), owner
        finally:
            await owner.close()
    finally:
        await admin.execute("drop database bench_run with (force)")
        await admin.close()


async def run_audit_bench(rows: int, repetitions: int) -> dict[str, Any]:
    """Measure everything, with whole cases of nine transitions, as EventBridge delivers them."""
    made = (cases.bodies(cases.answered(number, text="A" * 1_500)) for number in range(-(-rows // 9)))
    texts = list(chain.from_iterable(made))[:rows]
    written: defaultdict[str, list[RowCost]] = defaultdict(list)
    drained: defaultdict[str, list[RowCost]] = defaultdict(list)
    with temporary_home() as home:
        async with EmbeddedStack(home) as stack:
            environment = stack.endpoints.environment()
            await provision_emulator(environment, visibility_s=60)
            async with create_aws_client(get_session(), "sqs", **client_options(environment)) as sqs:
                url = (await sqs.get_queue_url(QueueName=queue_name(AUDIT)))["QueueUrl"]
                for repetition in range(repetitions):
                    for name in WRITE_METHODS:
                        async with fresh_database(stack.endpoints) as (audit_db_url, _):
                            pool = await connect_pool(audit_db_url, schema=SCHEMA, size=1)
                            written[name].append(await measure_writes(name, pool, texts))
                            await pool.close()
                    await fill_queue(sqs, url, texts)
                    drained["receive and delete alone"].append(await drain_with_bare_loop(sqs, url, rows))
                    await fill_queue(sqs, url, texts)
                    async with fresh_database(stack.endpoints) as (audit_db_url, owner):
                        log = home / f"audit-{repetition}.log"
                        cost = await drain_with_audit(stack.endpoints, audit_db_url, owner, rows, log)
                        drained["audit"].append(cost)
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_1m": os.getloadavg()[0]},
        "rows": rows,
        "bytes_a_row": round(statistics.fmean(map(len, texts))),
        "batch": WRITE_BATCH_SIZE,
        "repetitions": repetitions,
        "writing": {name: _median(costs) for name, costs in written.items()},
        "queue_to_commit": {name: _median(costs) for name, costs in drained.items()},
    }


def _median(costs: list[RowCost]) -> dict[str, float]:
    records = [asdict(cost) for cost in costs]
    return {name: round(statistics.median(record[name] for record in records), 1) for name in records[0]}


def audit_markdown(found: dict[str, Any]) -> str:
    """The page for `bench/results/audit.md`."""
    machine, drained = found["machine"], found["queue_to_commit"]
    written = (
        f"| {name} | {cost['per_s']:,.0f} | {cost['client_us']:.0f} | {cost['server_us']:.0f} |"
        for name, cost in found["writing"].items()
    )
    consumed = (f"| {name} | {cost['per_s']:,.0f} | {cost['client_us']:.0f} |" for name, cost in drained.items())
    ratio = drained["audit"]["client_us"] / drained["receive and delete alone"]["client_us"]
    return "\n".join(
        [
            "# What a row of the audit log costs",
            "",
            f"`python -m bench.audit --rows {found['rows']}` (`make bench-audit` takes more): events of "
            f"{found['bytes_a_row']} bytes in batches of {found['batch']}, median of {found['repetitions']} turns. "
            f"{machine['cores']} cores, Python {machine['python']}, load {machine['load_1m']:.1f} "
            "(a load above 1 is other work: compare within this page, not with another).",
            "",
            "## From the text to the commit",
            "",
            "One connection. Client is the Python process, server PostgreSQL's process for that connection.",
            "",
            "| way | rows/s | client µs/row | server µs/row |",
            "|---|---:|---:|---:|",
            *written,
            "",
            "Reading includes the checks: strict JSON, envelope, digest, catalogue. The bare table has no partitions, "
            "no indexes beyond the key and no triggers, and COPY refuses the whole batch for one duplicate.",
            "",
            "## From the queue to the commit",
            "",
            "The service as its own process on the emulator's queue, from ready to the last row visible; the loop has "
            "as many pollers and does nothing but receive and delete, in tens.",
            "",
            "| consumer | messages/s | CPU µs/message |",
            "|---|---:|---:|",
            *consumed,
            "",
            f"Audit takes {ratio:.1f} times the CPU of the bare loop.",
            "",
        ]
    )


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
