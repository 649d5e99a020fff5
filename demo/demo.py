"""The demo: questions and emails as upstream systems would send them, how each ended, and the log of it all."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence, Set
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from rich.live import Live
from rich.markup import escape

from contracts.catalogue import CATALOGUE
from demo.email_cases import publish_emails
from demo.figures import DemoCaseRow, collect_figures, count_progress, count_published, demo_table, list_demo_cases
from demo.memory import DemoMemory
from demo.several import show_several
from demo.stacks import open_demo_stack
from demo.users import has_ingress, open_users
from demo.wells import load_demo_wells
from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.cli.app.console import console
from switchyard.cli.app.failover_text import describe_model_call
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Env
from switchyard.runtime.database.connections import connect_pool

DATA_FOLDER = Path(__file__).parent / "data"
DEMO_SOURCE = "upstream.demo"
"""What asks where there is no ingress: a source with roles of its own, not a user."""

DEMO_TIMEOUT_S = 120.0
"""How long the demo waits for its cases before it reports which are open."""

PROGRESS_INTERVAL_S = 2.0
"""How often progress is printed where no terminal can redraw it."""

AUDIT_CATCH_UP_S = 15.0
"""How long audit may trail the last closed case."""

REVIEW_SQL = """\
select t.node_from as node, t.transition, d.model_call->>'vendor' as model,
       d.model_call->>'reason' as reason, t.latency_ms,
       left(t.transcript_hash, 12) as hash
from audit.case_timeline t
join audit.transition_detail d using (case_id, event_id)
where t.case_id = '{case_id}' order by t.step"""


def run_demo(env: Env, json_file: Path | None) -> bool:
    """Run it; True if every case ended and the log agrees with what the producers published.

    Raises StackError and `CommandFailed` if there is no stack to run it on.
    """
    found = asyncio.run(_demo(env))
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    agree = found["audit_rows"] == found["distinct_events"] == found["transitions"]
    email = found["email"]
    ended = "open" not in found["closed"] and "open" not in email["closed"]
    several = all(each["outcome"] == "answered" for each in found["several"].values())
    users = found["users"] in (None, {"own_rows": True, "consent": "answered"})
    sent = email["once_and_identical"] and not email["unexpected"]
    memory = found["memory"] == {
        "receipts": ["expired", "operator", "superseded"],
        "used_after_forgetting": 0,
        "follow_up_elsewhere": "no_agent",
    }
    return agree and found["chain"] == "ok" and ended and sent and users and several and memory


async def _demo(env: Env) -> dict[str, Any]:
    questions = [json.loads(line) for line in (DATA_FOLDER / "questions.jsonl").read_text("utf-8").splitlines() if line]
    faults = yaml.safe_load((DATA_FOLDER / "planned_faults.yaml").read_text("utf-8"))["planned"]
    planned = {fault["idempotency_key"] for fault in faults}
    async with open_demo_stack(env) as stack, AsyncExitStack() as log_ins:
        target = stack.target
        log = await asyncpg.connect(target.settings.audit_db_owner_url)
        work = await asyncpg.connect(target.settings.work_db_owner_url)
        try:
            loaded = await load_demo_wells(target)
            lines = sum(report.accepted for report in loaded)
            console.print(f"{lines:,} rows of well data loaded from {len(loaded)} files.")
            users = None
            if has_ingress(target):
                names = list(dict.fromkeys(question["user_id"] for question in questions))
                users = await log_ins.enter_async_context(open_users(target, names))
            began = time.monotonic()
            asks = publish_submissions(target, questions, source=DEMO_SOURCE) if users is None else users.ask(questions)
            cases = keys = await asks
            await _follow(log, len(questions))
            wall_s = time.monotonic() - began
            several = await show_several(target, questions, keys)
            shown = None
            if users is not None:
                differ = await users.show_two(questions, keys)
                waited, consented = await users.wait_for_consent()
                cases, shown = [*keys, waited], {"own_rows": differ, "consent": consented}
            memory = DemoMemory(target, log)
            await memory.evening()
            emails = await publish_emails(stack, work, log)
            console.print(f"\n{len(emails.cases)} emails; the stack's clock says {target.clock.now():%A %H:%M} UTC.")
            await emails.run_follow_ups(DEMO_TIMEOUT_S)
            remembered = await memory.morning()
            await _wait_for_audit(log, work)
            rows = await list_demo_cases(log, cases)
            chain = await _verify(target.settings.audit_db_url)
            found = await collect_figures(log, work, rows, chain=chain, wall_s=wall_s)
            asked = zip(keys, questions, strict=True)
            _show(rows, {case for case, question in asked if question["idempotency_key"] in planned}, found)
            found["users"], found["several"], found["memory"] = shown, several, remembered
            found["email"] = await emails.figures()
            emails.show(found["email"])
            console.print(
                f"\nEvents published, by the producers' own tables: {found['transitions']}.\n"
                f"Rows in the audit log: {found['audit_rows']}, {found['distinct_events']} distinct. "
                f"Hash chain: {found['chain']}."
            )
            example = next((row for row in rows if row.failovers and row.outcome == "answered"), rows[0]).case_id
            await _review(log, example)
        finally:
            await log.close()
            await work.close()
    console.print("\n[bold]Next[/bold] (the log of this run stays readable):")
    for command in stack.next_commands:
        console.print(f"  {command.format(case=example)}", style="green", markup=False)
    return found


async def _follow(log: asyncpg.Connection[Any], wanted: int) -> None:
    """Show progress until every case is closed or the time is over."""
    deadline, printed_at = time.monotonic() + DEMO_TIMEOUT_S, 0.0
    with Live(console=console.console, refresh_per_second=5, transient=True) as live:
        while time.monotonic() < deadline:
            opened, closed, transitions = await count_progress(log)
            line = f"{closed} of {wanted} cases closed, {opened - closed} under way, {transitions} transitions audited"
            live.update(line)
            if not console.console.is_terminal and time.monotonic() - printed_at > PROGRESS_INTERVAL_S:
                printed_at = time.monotonic()
                console.print(line)
            if closed >= wanted:
                return
            await asyncio.sleep(0.1)


async def _wait_for_audit(log: asyncpg.Connection[Any], work: asyncpg.Connection[Any]) -> None:
    """Wait until audit has written what the producers published."""
    deadline = time.monotonic() + AUDIT_CATCH_UP_S
    while time.monotonic() < deadline:
        if (await count_progress(log))[2] >= await count_published(work):
            return
        await asyncio.sleep(0.1)


async def _verify(url: str) -> str:
    pool = await connect_pool(url, schema=SCHEMA, size=1)
    try:
        report = await AuditReader(pool, CATALOGUE).verify()
    finally:
        await pool.close()
    for finding in report.findings:
        console.print(f"{finding.kind}: case {finding.case_id}: {finding.why}", style="red", markup=False)
    return "ok" if report.ok else "broken"


def _show(rows: Sequence[DemoCaseRow], injected: Set[str], found: Mapping[str, Any]) -> None:
    table = demo_table("case", "answered by", "hops", "ms", "outcome", "why")
    for row in rows:
        answered = row.outcome == "answered"
        why = describe_model_call(row.call) if answered and row.failovers else row.message
        why = escape(why if answered else f"{row.code}: {why}".rstrip(": "))
        model = f"{row.call['vendor']} ({row.call['role']})" if row.call and answered else ""
        mark = "[magenta]injected:[/magenta] " if row.case_id in injected else ""
        table.add_row(row.case_id[:8], model, str(row.hops), str(row.duration_ms), row.outcome, mark + why)
    console.print(table)
    closed = ", ".join(f"{count} {outcome}" for outcome, count in found["closed"].items())
    console.print(
        f"{found['cases']} cases: {closed}.\nCalls that failed over to the other vendor: {found['failovers']}. "
        f"All cases took {found['wall_s']} s.\n"
        f"Time to answer: p50 {found['latency_ms']['p50']} ms, p95 {found['latency_ms']['p95']} ms."
    )


async def _review(log: asyncpg.Connection[Any], case_id: str) -> None:
    """Show what a reviewer would ask of the log, and what it returns."""
    sql = REVIEW_SQL.format(case_id=case_id)
    console.print("\n[bold]What a reviewer asks[/bold], with plain SQL on the audit database:\n")
    console.print(sql, style="cyan", markup=False)
    answer = await log.fetch(sql)
    table = demo_table(*answer[0].keys())
    for record in answer:
        table.add_row(*("" if value is None else str(value) for value in record.values()))
    console.print(table)
