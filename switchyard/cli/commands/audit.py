"""`switchyard audit`."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from switchyard.audit.records.reader import StoredAlarm
from switchyard.audit.verification.findings import CheckpointReport, Finding, VerifyReport
from switchyard.cli.app.audit_log import open_audit_reader, resolve_case_id
from switchyard.cli.app.checkpoint_store import checkpoint_reader
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, open_readable_target
from switchyard.cli.commands import audit_erase, audit_retention
from switchyard.cli.commands.audit_export import export
from switchyard.cli.commands.audit_principal import principal

app = typer.Typer(no_args_is_help=True)
app.command()(export)
app.command()(principal)
app.add_typer(audit_retention.app, name="retention", help="How long cases are kept, holds, and what leaves the log.")

app.command("erase")(audit_erase.erase_subject)


@app.command()
def verify(
    case_id: Annotated[str | None, typer.Argument(help="One case; all without it.")] = None,
    day: Annotated[str | None, typer.Option(help="Cases opened on this day, YYYY-MM-DD.")] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Compare the whole log with its checkpoints in S3.")
    ] = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Prove the chain: nothing altered, missing, forged or unended. Exit code 1 names every row that fails and why."""
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError as error:
        raise CommandFailed(f"{day} is no day", remedy="write it as 2026-11-21") from error
    report, alarms, checkpointed = asyncio.run(_verify(env, case_id, wanted, checkpoints=checkpoints))
    console.print(f"{report.scope}: {report.cases} cases, {report.rows} events")
    for finding in report.findings:
        _print_finding(finding)
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
    if checkpointed is not None:
        _say_checkpointed(checkpointed)
    if not report.ok or (checkpointed is not None and not checkpointed.ok):
        raise typer.Exit(1)


def _print_finding(finding: Finding) -> None:
    where = [f"case {finding.case_id}"] if finding.case_id else []
    where += [f"event {finding.event_id}"] if finding.event_id else []
    console.print(f"[red]{finding.kind}[/red] {' '.join(where)}{': ' if where else ''}{escape(finding.why)}")


def _say_checkpointed(report: CheckpointReport) -> None:
    for finding in report.findings:
        _print_finding(finding)
    if report.finding_count > len(report.findings):
        console.print(f"and {report.finding_count - len(report.findings)} more")
    if not report.checkpoints and report.uncovered_rows:
        console.print(
            "there is no checkpoint: is SWITCHYARD_CHECKPOINT_LOG the log's name, and has its service a bucket?"
        )
    until = f", the last of {report.last_made_at}" if report.last_made_at else ""
    console.print(f"{report.covered_rows} rows under {report.checkpoints} checkpoints{until}")
    if report.unlocked:
        console.print(f"{report.unlocked} checkpoints are not under Object Lock (the laptop's emulator forgets it)")
    if report.body_retired:
        console.print(f"{report.body_retired} of them without their bodies, which retention has taken")
    if report.uncovered_rows:
        since = f"{report.since:%Y-%m-%d %H:%M:%S}" if report.since else ""
        console.print(
            f"{report.uncovered_rows} rows are not yet covered by a checkpoint, the first recorded at {since} UTC"
        )
    console.print("checkpoints: [green]ok[/green]" if report.ok else "checkpoints: [red]BROKEN[/red]")


async def _verify(
    env: Env, case_id: str | None, day: date | None, *, checkpoints: bool
) -> tuple[VerifyReport, list[StoredAlarm], CheckpointReport | None]:
    async with open_readable_target(env) as target:
        async with open_audit_reader(target) as log:
            case = await resolve_case_id(log, case_id) if case_id else None
            report, alarms = await log.verify(case_id=case, day=day), await log.alarms(case_id=case)
        if not checkpoints:
            return report, alarms, None
        async with checkpoint_reader(target) as store:
            return report, alarms, await store.verify()
