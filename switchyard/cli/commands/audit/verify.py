"""`switchyard audit verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.audit_log import open_audit_reader, open_checkpoint_verifier, resolve_case_id
from switchyard.cli.app.console import Field, console, count, print_json, print_rows, print_text
from switchyard.cli.app.options import AnyCaseArgument, DayOption, EnvOption, JsonOption, RunOption
from switchyard.cli.app.target import Env, open_readable_target

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import StoredAlarm
    from switchyard.audit.verification.findings import CheckpointReport, Finding, VerifyReport

_REPORTED = ("scope", "cases", "rows", "finding_count", "unended_cases", "pending_count")
_ALARMS = (
    Field("kind", "alarm"),
    Field("case_id", "case", short=8),
    Field("reason", wraps=True),
    Field("recorded_at", "recorded (UTC)"),
)


async def verify(  # noqa: PLR0917 - options, each by its name
    case: AnyCaseArgument = None,
    day: DayOption = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Compare the whole log with its checkpoints in S3.")
    ] = False,
    as_json: JsonOption = False,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Prove the chain: no event is altered, missing or forged, and no case lacks its ending. Exit code 1 otherwise.

    MACs are checked with SWITCHYARD_ROW_KMS_KEY_ID, signatures with SWITCHYARD_APPROVERS and SWITCHYARD_OPERATORS.
    """
    checkpointed = None
    async with open_readable_target(env, run) as target:
        async with open_audit_reader(target) as log:
            case_id = await resolve_case_id(log, case) if case else None
            report = await log.verify(case_id=case_id, day=day.date() if day else None)
            alarms = await log.alarms(case_id=case_id)
        authenticated = target.settings.row_kms_key_id is not None or target.settings.row_key is not None
        if checkpoints:
            async with open_checkpoint_verifier(target) as verifier:
                checkpointed = await verifier.verify()
    ok = report.ok and (checkpointed is None or checkpointed.ok)
    if as_json:
        print_json({
            **{name: getattr(report, name) for name in _REPORTED},
            "findings": [asdict(finding) for finding in report.findings],
            "alarms": [asdict(alarm) for alarm in alarms],
            "checkpoints": None if checkpointed is None else asdict(checkpointed),
            "macs_checked": authenticated,
            "ok": ok,
        })  # fmt: skip
    else:
        _print_report(report, alarms)
        if not authenticated:
            console.print("MACs were not checked: set SWITCHYARD_ROW_KMS_KEY_ID, as a role that may decrypt with it")
        if checkpointed is not None:
            _print_checkpoints(checkpointed)
    if not ok:
        raise typer.Exit(1)


def _print_report(report: VerifyReport, alarms: list[StoredAlarm]) -> None:
    console.print(f"{report.scope}: {count(report.cases, 'case')}, {count(report.rows, 'event')}")
    for finding in report.findings:
        _print_finding(finding)
    for case in report.unended_cases:
        print_text(f"unended case {case}: its deadline has passed and it has no ending", style="red")
    if report.pending_count:
        console.print(f"{count(report.pending_count, 'event')} of open cases may still be in flight")
    if alarms:
        console.print("integrity alarms: messages that audit refused and stored apart from the log")
        print_rows([asdict(alarm) for alarm in alarms], _ALARMS)
    console.print("chain: [green]ok[/green]" if report.ok else "chain: [red]BROKEN[/red]")


def _print_finding(finding: Finding) -> None:
    where = [f"case {finding.case_id}"] if finding.case_id else []
    where += [f"event {finding.event_id}"] if finding.event_id else []
    print_text(f"{finding.kind} {' '.join(where)}{': ' if where else ''}{finding.why}", style="red")


def _print_checkpoints(report: CheckpointReport) -> None:
    for finding in report.findings:
        _print_finding(finding)
    if report.finding_count > len(report.findings):
        console.print(f"and {report.finding_count - len(report.findings)} more")
    if not report.checkpoints and report.uncovered_rows:
        console.print("no checkpoint was found: check SWITCHYARD_CHECKPOINT_LOG and the bucket of the audit service")
    until = f", the last of {report.last_made_at}" if report.last_made_at else ""
    console.print(f"{count(report.covered_rows, 'row')} under {count(report.checkpoints, 'checkpoint')}{until}")
    if report.unlocked:
        console.print(f"{count(report.unlocked, 'checkpoint')} without Object Lock (the local emulator forgets it)")
    if report.body_retired:
        console.print(f"{count(report.body_retired, 'row')} of them without a body: retired by retention")
    if report.uncovered_rows:
        since = f", the first recorded at {report.since:%Y-%m-%d %H:%M:%S} UTC" if report.since else ""
        console.print(f"{count(report.uncovered_rows, 'row')} not yet covered by a checkpoint{since}")
    console.print("checkpoints: [green]ok[/green]" if report.ok else "checkpoints: [red]BROKEN[/red]")
