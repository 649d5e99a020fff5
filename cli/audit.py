"""`switchyard audit`."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated

import typer
from rich.table import Table

from cli import audit_erase, audit_retention
from cli.console import console
from cli.errors import CommandFailed
from cli.log import reader, the_case
from cli.target import Env, readable
from services.audit.findings import VerifyReport
from services.audit.reader import KeptAlarm

app = typer.Typer(no_args_is_help=True)
app.add_typer(audit_retention.app, name="retention", help="How long cases are kept, holds, and what leaves the log.")

app.command("erase")(audit_erase.erase)


@app.command()
def verify(
    case_id: Annotated[str | None, typer.Argument(help="One case; all without it.")] = None,
    day: Annotated[str | None, typer.Option(help="Cases opened on this day, YYYY-MM-DD.")] = None,
    env: Annotated[Env, typer.Option(help="Which deployment.")] = Env.LOCAL,
) -> None:
    """Prove the chain: nothing altered, missing, forged or unended. Exit code 1 names every row that fails and why."""
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError as error:
        raise CommandFailed(f"{day} is no day", remedy="write it as 2026-11-21") from error
    report, alarms = asyncio.run(_verify(env, case_id, wanted))
    console.print(f"{report.scope}: {report.cases} cases, {report.rows} events")
    for finding in report.findings:
        console.print(f"[red]{finding.kind}[/red] case {finding.case_id} event {finding.event_id}: {finding.why}")
    for case in report.unended_cases:
        console.print(f"[red]unended[/red] case {case}: its deadline has passed and it has no ending")
    if report.pending_count:
        console.print(f"{report.pending_count} events of open cases may still be on their way")
    if alarms:
        table = Table("alarm", "case", "reason", "recorded", title="integrity alarms: refused by audit, kept apart")
        for alarm in alarms:
            recorded = alarm.recorded_at.strftime("%Y-%m-%d %H:%M:%S")
            table.add_row(alarm.kind, alarm.case_id or "", alarm.reason, recorded)
        console.print(table)
    console.print("chain: [green]ok[/green]" if report.ok else "chain: [red]BROKEN[/red]")
    if not report.ok:
        raise typer.Exit(1)


async def _verify(env: Env, case_id: str | None, day: date | None) -> tuple[VerifyReport, list[KeptAlarm]]:
    async with readable(env) as target, reader(target) as log:
        case = await the_case(log, case_id) if case_id else None
        return await log.verify(case_id=case, day=day), await log.alarms(case_id=case)
