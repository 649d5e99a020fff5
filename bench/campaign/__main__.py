"""`python -m bench.campaign`: emails of one tenant and of another beside it on a local stack, and a forecast.

Times are from the submission to the row of the ending. The models are simulated, so what binds here is CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench.campaign.simulation import forecast_campaign
from bench.capacity.__main__ import ASSUMPTIONS, QUOTA_PER_SECOND
from bench.case.processes import tree_cpu_s
from demo.emails import DEMO_EMAILS, build_email_submission
from services.app import APP
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Target
from switchyard.devstack.stack.daemon import stack_status, start_stack, stop_stack
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.running import running_exports
from switchyard.processes.__main__ import ENGINE_PROCESSES
from switchyard.protocol.fields import Json

CAMPAIGN_RESULTS = Path(__file__).resolve().parents[1] / "results"
STACK, SOURCE = "switchyard.devstack.stack.local_stack:build_stack", "upstream.collections"
FLOOD_TENANT, NEIGHBOUR = "campaign", "neighbour"
CAMPAIGN_EMAILS, NOISE_LIMIT = 400_000, 2.0
WINDOW = (8, 21)
"""The hours in which reminders may be sent."""


def build_emails(count: int, tenant: str, now: datetime) -> list[Json]:
    """Reminders that no person has to approve."""
    made, mark = [], uuid.uuid4().hex[:12]
    for number in range(count):
        built = build_email_submission(DEMO_EMAILS[0], number, now)
        built |= {"tenant": tenant, "idempotency_key": f"{mark}-{number}", "consumer_id": f"{mark}-{number}"}
        built["facts"]["email"]["address"] = f"{mark}.{number}@gmail.com"
        made.append(built)
    return made


async def wait_for_endings(log: asyncpg.Connection[Any], cases: Sequence[str], since: datetime, limit_s: float) -> Json:
    """Seconds from the submission to each ending, sorted, and how the cases ended."""
    sql = (
        "select outcome, extract(epoch from recorded_at - $2)::float8 as seconds from audit.transition"
        " where terminal and case_id = any($1::text[]::uuid[])"
    )
    rows: list[Any] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while len(rows := await log.fetch(sql, cases, since)) < len(cases):  # noqa: ASYNC110 - a table
                await asyncio.sleep(1.0)
    outcomes: dict[str, int] = {}
    for row in rows:
        outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
    return {"seconds": sorted(row["seconds"] for row in rows), "outcomes": outcomes, "open": len(cases) - len(rows)}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are at most."""
    return values[max(0, -(-len(values) * int(share * 100) // 100) - 1)]


async def run_campaign(home: Path, emails: int, neighbours: int, limit_s: float) -> dict[str, Any]:
    """The neighbour alone, then beside the flood."""
    target = Target({**os.environ, **running_exports(home)})
    pids = {row.name: row.pid for row in stack_status(home) if row.pid is not None}
    ours = [pids[node] for node in (*ENGINE_PROCESSES, *(each.node for each in APP.processes))]
    log = await asyncpg.connect(target.environment["SWITCHYARD_AUDIT_DB_OWNER_URL"])

    async def submit(count: int, tenant: str) -> tuple[list[str], datetime]:
        made = build_emails(count, tenant, target.clock.now())
        since = datetime.now(UTC)
        return await publish_submissions(target, made, source=SOURCE), since

    cases, since = await submit(4, NEIGHBOUR)
    await wait_for_endings(log, cases, since, limit_s)  # warm
    alone = await wait_for_endings(log, *await submit(neighbours, NEIGHBOUR), limit_s)
    cpu, started = sum(map(tree_cpu_s, ours)), time.perf_counter()
    flood, flood_since = await submit(emails, FLOOD_TENANT)
    noisy = await wait_for_endings(log, *await submit(neighbours, NEIGHBOUR), limit_s)
    flooded = await wait_for_endings(log, flood, flood_since, max(1.0, limit_s - (time.perf_counter() - started)))
    seconds, cpu_s = time.perf_counter() - started, sum(map(tree_cpu_s, ours)) - cpu
    await log.close()
    ended = len(flooded["seconds"]) + len(noisy["seconds"])
    return {
        "machine": {"cores": psutil.cpu_count(), "python": platform.python_version(), "load_1m": os.getloadavg()[0]},
        "emails": emails,
        "neighbours": neighbours,
        "alone": alone,
        "noisy": noisy,
        "flood": flooded,
        "emails_per_s": ended / seconds,
        "cpu_ms_per_email": cpu_s / max(ended, 1) * 1_000,
    }


def campaign_markdown(found: dict[str, Any]) -> str:
    """The page for `bench/results/campaign.md`."""
    machine, cpu_ms = found["machine"], found["cpu_ms_per_email"]
    p95 = {name: percentile(found[name]["seconds"], 0.95) for name in ("alone", "noisy") if found[name]["seconds"]}
    ratio = p95["noisy"] / p95["alone"] if len(p95) == 2 else float("nan")
    tokens = 2 * (ASSUMPTIONS["input_tokens_per_call"] + ASSUMPTIONS["output_tokens_per_call"])
    quotas = {
        "model tokens": QUOTA_PER_SECOND["model_tokens_per_min"] / 60 / tokens,
        "sending": QUOTA_PER_SECOND["ses_per_s"],
    }
    raised = {"model tokens": 100 * quotas["model tokens"], "sending": 10 * quotas["sending"]}
    rows = []
    for title, limits, vcpus in (
        ("quotas of a new account, 4 vCPU", quotas, 4.0),
        ("tokens 100 times, sending 10 times, 4 vCPU", raised, 4.0),
        ("the same, 16 vCPU", raised, 16.0),
    ):
        forecast = forecast_campaign(CAMPAIGN_EMAILS, cpu_ms=cpu_ms, vcpus=vcpus, limits_per_s=limits, window=WINDOW)
        rows.append(f"| {title} | {forecast.hours:,} | {forecast.bound_by} | {forecast.vcpu_hours:.0f} |")
    verdict = "holds" if ratio <= NOISE_LIMIT else "**does not hold**"
    return "\n".join(
        [
            "# A campaign of emails",
            "",
            f"`python -m bench.campaign` (`make bench-campaign`), {time.strftime('%Y-%m-%d')}: a local stack, "
            f"{machine['cores']} cores, Python {machine['python']}, load {machine['load_1m']:.1f} at the end. "
            "Reminders that no person approves, models simulated.",
            "",
            f"- {found['emails']} emails of one tenant and {found['neighbours']} of another: "
            f"{found['emails_per_s']:.2f} emails per second, {cpu_ms:.0f} ms of CPU per email in all our processes. "
            f"Endings: {found['flood']['outcomes']}, open at the end: {found['flood']['open']}.",
            f"- The other tenant's P95 from submission to end: alone {p95.get('alone', 0):.1f} s, submitted after the "
            f"flood {p95.get('noisy', 0):.1f} s, {ratio:.1f} times. Promised: {NOISE_LIMIT:.0f} times; it {verdict}.",
            "",
            f"## {CAMPAIGN_EMAILS:,} emails, simulated from this CPU per email",
            "",
            f"Emails are prepared at all hours and leave between {WINDOW[0]}:00 and {WINDOW[1]}:00. Quotas and tokens "
            "per call are those of the capacity page.",
            "",
            "| | hours | bound by | vCPU hours |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Run and write the results; the exit status is 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emails", type=int, default=5_000)
    parser.add_argument("--neighbours", type=int, default=50)
    parser.add_argument("--limit-s", type=float, default=3_600.0, help="how long to wait for endings")
    parser.add_argument("--dry", action="store_true", help="write no results")
    arguments = parser.parse_args()
    with temporary_home() as home:
        start_stack(STACK, home, detach=True)
        try:
            found = asyncio.run(run_campaign(home, arguments.emails, arguments.neighbours, arguments.limit_s))
        finally:
            stop_stack(home)
    text = campaign_markdown(found)
    print(text)
    if not arguments.dry:
        kept = found | {
            name: found[name] | {"p50": statistics.median(found[name].pop("seconds") or [0])}
            for name in ("alone", "noisy", "flood")
        }
        (CAMPAIGN_RESULTS / "campaign.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        (CAMPAIGN_RESULTS / "campaign.md").write_text(text, encoding="utf-8")
    return 1 if "**does not hold**" in text else 0


if __name__ == "__main__":
    raise SystemExit(main())
