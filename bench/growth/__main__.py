"""`python -m bench.growth`: load a log of each size, measure, and write bench/results/growth.json and .md.

A cost is flat if it is at most `FLAT` times that at the smallest size. The exit status is 1 if one is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from aiobotocore.session import get_session

from bench.audit.__main__ import BENCH_PASSWORD, fresh_database
from bench.growth.filling import LoadingClock, clock_before, load_log
from bench.growth.measures import NEW_ROWS, CpuMeter, GrowingLog, measure_at
from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.transparency.checkpointer import Checkpointer, CheckpointSchedule
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.case_verifier import RowTrust
from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
from switchyard.audit.verification.verified_prefix import VerificationRecords
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET, client_options, provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.runtime.core.aws import create_aws_client
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.signing import LocalSigner, TrustedKeys
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool, connect_pool
from switchyard.runtime.storage.locked_objects import LockedObjects

GROWTH_RESULTS = Path(__file__).resolve().parents[1] / "results"
FLAT = 1.2
SEQUENCER_ROWS_PER_S = 2_000
ASKED_MS = 50.0
COSTS = ("record", "index", "checkpoint", "incremental", "full")
FLAT_COSTS = {"ingest": ("record", "index", "checkpoint"), "incremental": ("incremental",), "full": ("full",)}
"""By name: the costs whose sum per row must be flat."""


@asynccontextmanager
async def _growing(
    owner: Any, writer: Pool, reading: Pool, objects: LockedObjects, loading: LoadingClock
) -> AsyncIterator[tuple[GrowingLog, MacKeys, Checkpointer]]:
    """A log's parts, as the service and the command line compose them; and those that load it in the past."""
    clock, signer, wrapper = SystemClock(), LocalSigner(bytes(32)), LocalKeyWrapper(bytes(32))
    trusted, schedule = TrustedKeys([signer.public]), CheckpointSchedule(1_000, 60.0, timedelta(days=1))
    name = f"growth-{uuid.uuid4().hex[:12]}"
    macs = MacKeys(reading, wrapper, clock)
    verifier = CheckpointVerifier(reading, objects, trusted, log=name, macs=macs)
    keys = MacKeys(writer, wrapper, clock)
    async with TransparencyLog.open(writer, keys) as log:
        yield (
            GrowingLog(
                owner=owner,
                writer=writer,
                keys=keys,
                log=log,
                checkpointer=Checkpointer(objects, signer, trusted, clock, schedule, name=name),
                reader=AuditReader(reading, CATALOGUE, rows=RowTrust(macs)),
                reading=reading,
                verifier=verifier,
                records=VerificationRecords(objects, trusted, name, verifier.checks),
            ),
            MacKeys(writer, wrapper, loading),
            Checkpointer(objects, signer, trusted, loading, schedule, name=name),
        )


async def _measure(stack: EmbeddedStack, objects: LockedObjects, size: int, *, full: bool) -> dict[str, Any]:
    """Load a log of its own, and measure."""
    async with fresh_database(stack.endpoints) as (url, owner), AsyncExitStack() as opened:
        writer = await connect_pool(url, schema=SCHEMA, size=2)
        opened.push_async_callback(writer.close)
        reading = await connect_pool(stack.endpoints.dsn("bench_run", READER, BENCH_PASSWORD), schema=SCHEMA)
        opened.push_async_callback(reading.close)
        loading = clock_before(datetime.now(UTC), size)
        parts = await opened.enter_async_context(_growing(owner, writer, reading, objects, loading))
        growing, keys, checkpointer = parts
        meter = CpuMeter(psutil.Process(await owner.fetchval("select pg_backend_pid()")).ppid())
        started = time.perf_counter()
        async with meter.of("load"):
            await load_log(owner, growing.log, keys, checkpointer, rows=size)
        loaded_s = time.perf_counter() - started
        step = await measure_at(growing, meter, full=full)
        used = await owner.fetchval("select pg_database_size(current_database())")
        return step | {
            "load": meter.us_per_row("load", size),
            "load_s": round(loaded_s, 1),
            "bytes_per_row": round(used / (size + NEW_ROWS)),
            "load_1m": round(os.getloadavg()[0], 1),
        }


async def run_growth(sizes: list[int], full_up_to: int) -> dict[str, Any]:
    """Measure logs of these sizes, in rows."""
    steps: list[dict[str, Any]] = []
    with temporary_home() as home:
        async with EmbeddedStack(home) as stack:
            environment = stack.endpoints.environment()
            await provision_emulator(environment, visibility_s=60)
            async with create_aws_client(get_session(), "s3", **client_options(environment)) as s3:
                for size in sizes:
                    objects = LockedObjects(s3, CHECKPOINT_BUCKET)
                    steps.append(await _measure(stack, objects, size, full=size <= full_up_to))
                    print(json.dumps(steps[-1]), flush=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    return {"machine": machine, "new_rows": NEW_ROWS, "steps": steps}


def _us(step: dict[str, Any], parts: tuple[str, ...]) -> float:
    return sum(sum(step[part].values()) for part in parts)


def find_misses(found: dict[str, Any]) -> list[str]:
    """The promises that do not hold."""
    first, *others = found["steps"]
    misses = []
    for step in others:
        for name, parts in FLAT_COSTS.items():
            if all(part in step and part in first for part in parts):
                ratio = _us(step, parts) / _us(first, parts)
                if ratio > FLAT:
                    misses.append(f"{name} at {step['rows']:,} rows: {ratio:.2f} times that at {first['rows']:,}")
        if step["sequencer_rows_per_cpu_s"] < SEQUENCER_ROWS_PER_S:
            misses.append(
                f"sequencer at {step['rows']:,} rows: {step['sequencer_rows_per_cpu_s']:,} rows per CPU second"
            )
        for name, asked_ms in step["asked_ms"].items():
            if "median" not in name and asked_ms > ASKED_MS:
                misses.append(f"{name} at {step['rows']:,} rows: {asked_ms} ms")
    return misses


def growth_markdown(found: dict[str, Any]) -> str:
    """The page for `bench/results/growth.md`."""
    steps = found["steps"]
    header = " | ".join(f"{step['rows']:,}" for step in steps)
    cost = {
        name: " | ".join(
            f"{step[name]['client_us']:.0f} + {step[name]['server_us']:.0f}" if name in step else "" for step in steps
        )
        for name in ("load", *COSTS)
    }
    asked = {name: " | ".join(f"{step['asked_ms'][name]:.1f}" for step in steps) for name in steps[0]["asked_ms"]}
    sequencer = " | ".join(f"{step['sequencer_rows_per_cpu_s']:,}" for step in steps)
    lines = [
        "# The audit log as it grows",
        "",
        f"`python -m bench.growth` (`make bench-growth`): a valid log, loaded by COPY in batches of whole cases, each "
        f"under a checkpoint. At each size {found['new_rows']:,} new rows are recorded by the service's store in "
        "batches of 100 over one connection, indexed, checkpointed and verified. Rows of 1.25 kB of text. "
        f"{found['machine']['cores']} cores, Python {found['machine']['python']}, one server. Load while it ran: "
        f"{', '.join(str(step['load_1m']) for step in steps)} (above 2: other work, "
        "which times show more than CPU seconds do).",
        "",
        "CPU per row, client + server, µs:",
        "",
        f"| rows | {header} |",
        "|---" * (len(steps) + 1) + "|",
        *(f"| {name} | {cells} |" for name, cells in cost.items()),
        f"| sequencer, rows per CPU second | {sequencer} |",
        f"| bytes on disk per row | {' | '.join(format(step['bytes_per_row'], ',') for step in steps)} |",
        "",
        "`incremental` is per new row. `full` is one process, chain and checkpoints with MACs.",
        "",
        "Milliseconds until the answer, the fastest and the median of 15:",
        "",
        f"| rows | {header} |",
        "|---" * (len(steps) + 1) + "|",
        *(f"| {name} | {cells} |" for name, cells in asked.items()),
        "",
        f"Promised: ingest (the sum of the second to the fourth line), incremental and full at most {FLAT} times those of "
        f"the first column, {SEQUENCER_ROWS_PER_S:,} rows per second in the sequencer, "
        f"{ASKED_MS:.0f} ms. {'; '.join(find_misses(found)) or 'All hold'}.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run and write the results; the exit status is 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[9_000, 99_000, 999_000], help="sizes, each 9 times any")
    parser.add_argument("--full-up-to", type=int, default=99_000, help="read every row up to this size only")
    parser.add_argument("--dry", action="store_true", help="write no results")
    arguments = parser.parse_args()
    if any(rows % 9 for rows in arguments.rows):
        parser.error("--rows: whole cases have nine rows")
    found = asyncio.run(run_growth(arguments.rows, arguments.full_up_to))
    text = growth_markdown(found)
    if not arguments.dry:
        (GROWTH_RESULTS / "growth.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (GROWTH_RESULTS / "growth.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if find_misses(found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
