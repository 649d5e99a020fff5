"""`python -m bench.console`: measure the console's pages over a large log; writes bench/results/console.json and .md.

A page is asked of the application itself, in its process: the figures are the server's, with both databases on the same
machine, and without the network between it and the browser.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiobotocore.session import get_session

from bench.console.large_log import DAYS, fill_log, long_case, record_cases
from services.app import APP
from switchyard.app.console_process import CONSOLE
from switchyard.audit.records.roles import READER, SCHEMA, WRITER
from switchyard.console.access import ROLES
from switchyard.console.app import ConsoleApp
from switchyard.console.dashboards import DASHBOARD_DAYS
from switchyard.console.views import Views
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.provision import client_options
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.processes.console import POOL_SIZE, READ_ONLY, ConsoleParts, build_views
from switchyard.processes.databases import migrate_audit, migrate_work
from switchyard.runtime.core.aws import create_aws_client
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.console.served import VAULT_KEY, console_settings, visiting
from tests.unit.audit import cases

CONSOLE_RESULTS = Path(__file__).resolve().parents[1] / "results"
CONSOLE_PASSWORD = "bench"  # noqa: S105 - of a database that lives for a minute
VIEWERS = 200
LIMITS_MS = {
    "cases": 150.0,
    "cases, second page": 150.0,
    "case of 40 events": 100.0,
    "dashboards of 30 days": 1_000.0,
}
LIMIT_BYTES = 150_000
LIMIT_TAIL_MB = 300.0


@dataclass(frozen=True)
class MeasuredConsole:
    """A console over a large log."""

    app: Any
    views: Views
    writer_url: str
    long_case_id: str
    rows: int


@asynccontextmanager
async def large_console(rows: int) -> AsyncIterator[MeasuredConsole]:
    """A console whose log has about this many rows."""
    with temporary_home() as home:
        async with EmbeddedStack(home) as stack:
            endpoints = stack.endpoints
            admin = await asyncpg.connect(endpoints.dsn("postgres"))
            for name in ("bench_audit", "bench_work"):
                await admin.execute(f"create database {name}")
            await admin.close()
            await migrate_audit(endpoints.dsn("bench_audit"), password_for=lambda _: CONSOLE_PASSWORD)
            await migrate_work(endpoints.dsn("bench_work"), password_for=lambda _: CONSOLE_PASSWORD)
            writer_url = endpoints.dsn("bench_audit", WRITER, CONSOLE_PASSWORD)
            template, long = cases.answered(0), long_case(40)
            writer = await connect_pool(writer_url, schema=SCHEMA, size=2)
            await record_cases(writer, template, long)
            await writer.close()
            owner = await asyncpg.connect(endpoints.dsn("bench_audit"), command_timeout=3_600)
            added = await fill_log(owner, template, rows, datetime.now(UTC))
            await owner.close()
            audit = await connect_pool(
                endpoints.dsn("bench_audit", READER, CONSOLE_PASSWORD),
                schema=SCHEMA,
                size=POOL_SIZE,
                server_settings=READ_ONLY,
            )
            work = await connect_pool(
                endpoints.dsn("bench_work", CONSOLE, CONSOLE_PASSWORD), schema=CONSOLE, size=POOL_SIZE
            )
            options = client_options(endpoints.environment())
            async with aiohttp.ClientSession() as http, create_aws_client(get_session(), "s3", **options) as s3:
                objects = S3Objects(s3, "switchyard-objects")
                parts = ConsoleParts(audit, work, objects, None, LocalKeyWrapper(VAULT_KEY), http, SystemClock())
                settings = console_settings()
                views = build_views(APP, settings, parts)
                app = ConsoleApp(
                    views.pages, views.handlers(), views.open_handlers(), settings.console_url, views.guard
                ).build()
                yield MeasuredConsole(app, views, writer_url, str(long[0]["case_id"]), added)
            await audit.close()
            await work.close()


async def measure_pages(console: MeasuredConsole, repetitions: int) -> dict[str, dict[str, float]]:
    """Milliseconds and bytes of each page, asked one after another."""
    since = (datetime.now(UTC) - timedelta(days=DAYS)).date().isoformat()
    found: dict[str, dict[str, float]] = {}
    with visiting(console.app, console.views, *ROLES) as visitor:
        first = await visitor.get("/cases")
        links = (part.partition('"')[0] for part in first.text.split('href="/cases?')[1:])
        second = "/cases?" + unescape(next(link for link in links if "before=" in link))
        pages = {
            "cases": "/cases",
            "cases, second page": second,
            f"cases of {DAYS} days": f"/cases?since={since}",
            f"failed cases of {DAYS} days": f"/cases?since={since}&outcome=failed",
            f"one tenant's of {DAYS} days": f"/cases?since={since}&tenant=tenant-3",
            f"one user's of {DAYS} days": f"/cases?since={since}&user=user:17",
            f"one session of {DAYS} days": f"/cases?since={since}&tenant=tenant-3&session=s-900",
            "case of 40 events": f"/cases/{console.long_case_id}",
            "failures": "/failures",
            "switches": "/switches",
            "live": "/tail",
            **{f"dashboards of {days} day{'s' * (days > 1)}": f"/dashboards?days={days}" for days in DASHBOARD_DAYS},
            "proof": "/proof",
        }
        for name, path in pages.items():
            took, size = [], 0
            for _ in range(repetitions + 1):
                began = time.perf_counter()
                answer = await visitor.get(path)
                took.append((time.perf_counter() - began) * 1_000)
                if answer.status_code != 200:
                    raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[-400:]}")
                size = len(answer.content)
            warm = sorted(took[1:])
            found[name] = {
                "median_ms": round(statistics.median(warm), 1),
                "worst_ms": round(warm[-1], 1),
                "first_ms": round(took[0], 1),
                "bytes": size,
            }
            print(f"{name}: {found[name]}", flush=True)
    return found


async def measure_tail(console: MeasuredConsole) -> dict[str, float]:
    """What this process holds with many viewers, each of whom has read new entries."""
    tail = console.views.tail
    running = asyncio.create_task(tail.run())
    while tail.newest is None:  # noqa: ASYNC110 - it has no event for its first read
        await asyncio.sleep(0.05)
    start, seen = tail.newest, [0] * VIEWERS

    async def follow(number: int) -> None:
        async for event in tail.follow(start, user=f"user-{number % 40}", ended=lambda: False):
            seen[number] += event.count("event: entry")

    viewers = [asyncio.create_task(follow(number)) for number in range(VIEWERS)]
    writer = await connect_pool(console.writer_url, schema=SCHEMA, size=2)
    for number in range(100):
        await record_cases(writer, cases.answered(2_000_000 + number))
    await writer.close()
    deadline = time.monotonic() + 60
    while min(seen) < 900 and time.monotonic() < deadline:  # noqa: ASYNC110 - viewers count for themselves
        await asyncio.sleep(0.1)
    for task in (*viewers, running):
        task.cancel()
    return {"viewers": VIEWERS, "entries_read_by_each": min(seen), "resident_mb": _resident_mb()}


def _resident_mb() -> float:
    """What this process holds now; Linux only."""
    return round(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6, 1)


async def run_console_bench(rows: int, repetitions: int) -> dict[str, Any]:
    """Measure everything."""
    began = time.monotonic()
    async with large_console(rows) as console:
        loaded = round(time.monotonic() - began)
        pages = await measure_pages(console, repetitions)
        tail = await measure_tail(console)
        return {
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load_1m": round(os.getloadavg()[0], 1),
            },
            "rows": console.rows,
            "days": DAYS,
            "loaded_s": loaded,
            "repetitions": repetitions,
            "pages": pages,
            "tail": tail,
        }


def find_misses(found: dict[str, Any]) -> list[str]:
    """What is slower or larger than promised."""
    slow = [
        f"{name}: {found['pages'][name]['median_ms']} ms, promised {limit:.0f} ms"
        for name, limit in LIMITS_MS.items()
        if found["pages"][name]["median_ms"] > limit
    ]
    heavy = [
        f"{name}: {page['bytes']} bytes, promised {LIMIT_BYTES}"
        for name, page in found["pages"].items()
        if page["bytes"] > LIMIT_BYTES
    ]
    tail = found["tail"]
    held = tail["resident_mb"] <= LIMIT_TAIL_MB and tail["entries_read_by_each"] >= 900
    return [*slow, *heavy, *([] if held else [f"tail: {tail}, promised {LIMIT_TAIL_MB:.0f} MB"])]


def console_markdown(found: dict[str, Any]) -> str:
    """The page for `bench/results/console.md`."""
    machine, tail = found["machine"], found["tail"]
    rows = (
        f"| {name} | {page['median_ms']:,.0f} | {page['worst_ms']:,.0f} | {page['bytes'] / 1_000:,.0f} |"
        for name, page in found["pages"].items()
    )
    return "\n".join(
        [
            "# The console over a large log",
            "",
            f"`python -m bench.console`: {found['rows']:,} rows of {found['days']} days, loaded by COPY in "
            f"{found['loaded_s']} s. Each page was asked {found['repetitions']} times of the application in its "
            f"process, after one time that does not count. {machine['cores']} cores, Python {machine['python']}, load "
            f"{machine['load_1m']} (above 1: other work).",
            "",
            "| page | median, ms | worst, ms | kB |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            f"Live page: {tail['viewers']} viewers in one process, each of whom read {tail['entries_read_by_each']} "
            f"new entries: {tail['resident_mb']:.0f} MB, the bench itself included.",
            "",
            f"Promised: {LIMITS_MS['cases']:.0f} ms for a page of 50 cases, {LIMITS_MS['case of 40 events']:.0f} ms "
            f"for a case of 40 events, {LIMITS_MS['dashboards of 30 days']:.0f} ms for dashboards of 30 days, "
            f"{LIMIT_BYTES // 1_000} kB for a page, {LIMIT_TAIL_MB:.0f} MB for {VIEWERS}. "
            f"{'; '.join(find_misses(found)) or 'All hold'}.",
            "",
        ]
    )


def main() -> int:
    """Run and write the results; the exit status is 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--dry", action="store_true", help="write no results")
    arguments = parser.parse_args()
    found = asyncio.run(run_console_bench(arguments.rows, arguments.repetitions))
    text = console_markdown(found)
    if not arguments.dry:
        (CONSOLE_RESULTS / "console.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (CONSOLE_RESULTS / "console.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if find_misses(found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
