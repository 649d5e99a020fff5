"""`switchyard audit verify`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app.audit_log import open_audit_reader, open_checkpoint_verifier, resolve_case_id
from switchyard.cli.app.console import Field, console, count, print_json, print_rows, print_text
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import AnyCaseArgument, DayOption, EnvOption, JsonOption, RunOption
from switchyard.cli.app.target import Env, Target, open_readable_target
from switchyard.cli.app.verification import open_verification_records, verify_chain, verify_everything

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import StoredAlarm
    from switchyard.audit.verification.findings import CheckpointReport, Finding, VerifyReport
    from switchyard.audit.verification.log_verification import LogVerification

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
    incremental: Annotated[
        bool,
        typer.Option(
            "--incremental/--full",
            help="With checkpoints: only what is new since the last verified one, or every row (the default).",
        ),
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that read every row; one per core by default.")
    ] = None,
    as_json: JsonOption = False,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Prove the chain: no event is altered, missing or forged, and no case lacks its ending. Exit code 1 otherwise.

    MACs are checked with SWITCHYARD_ROW_KMS_KEY_ID, signatures with SWITCHYARD_APPROVERS and SWITCHYARD_OPERATORS.
    """
    whole = case is None and day is None
    if incremental and not whole:
        raise InvalidArgument("--incremental verifies the whole log", remedy="leave out the case and --day")
    checkpointed, verified = None, None
    async with open_readable_target(env, run) as target:
        now = target.clock.now()
        if whole and (checkpoints or incremental):
            verified = await _verify_log(target, now, incremental=incremental, processes=processes)
            report, checkpointed = verified.chain, verified.checkpoints
        elif whole:
            report = await verify_chain(target, now, processes)
        async with open_audit_reader(target) as log:
            case_id = await resolve_case_id(log, case) if case else None
            if not whole:
                report = await log.verify(case_id=case_id, day=day.date() if day else None, now=now)
            alarms = await log.alarms(case_id=case_id)
        authenticated = target.settings.row_kms_key_id is not None or target.settings.row_key is not None
        if checkpoints and not whole:
            async with open_checkpoint_verifier(target) as verifier:
                checkpointed = await verifier.verify(now=now)
    ok = report.ok and (checkpointed is None or checkpointed.ok)
    if as_json:
        print_json({
            **{name: getattr(report, name) for name in _REPORTED},
            "findings": [asdict(finding) for finding in report.findings],
            "alarms": [asdict(alarm) for alarm in alarms],
            "checkpoints": None if checkpointed is None else _checkpoints_json(checkpointed),
            "verified": None if verified is None else _verified_json(verified),
            "macs_checked": authenticated,
            "ok": ok,
        })  # fmt: skip
    else:
        _print_report(report, alarms)
        if not authenticated:
            console.print("MACs were not checked: set SWITCHYARD_ROW_KMS_KEY_ID, as a role that may decrypt with it")
        if checkpointed is not None:
            _print_checkpoints(checkpointed)
        if verified is not None:
            _print_verified(verified)
    if not ok:
        raise typer.Exit(1)


async def _verify_log(target: Target, now: datetime, *, incremental: bool, processes: int | None) -> LogVerification:
    from switchyard.audit.verification.log_verification import verify_log

    full_every = timedelta(hours=target.settings.verify_full_every_h) if incremental else None
    everything = partial(verify_everything, target, processes=processes)
    async with (
        open_audit_reader(target) as log,
        open_checkpoint_verifier(target) as verifier,
        open_verification_records(target, verifier) as records,
    ):
        return await verify_log(log, verifier, records, everything, now=now, full_every=full_every)


def _checkpoints_json(report: CheckpointReport) -> dict[str, Any]:
    fields = asdict(report)
    del fields["settled"]
    return fields


def _verified_json(verified: LogVerification) -> dict[str, Any]:
    """What was read, and what was not: rows up to `not_read` were verified before."""
    prefix, record = verified.prefix, verified.record
    return {
        "mode": "full" if prefix is None else "incremental",
        "first": verified.checkpoints.first_index,
        "last": verified.checkpoints.last_index,
        "from_checkpoint": None if prefix is None else prefix.record.number,
        "not_read": 0 if prefix is None else prefix.body.last,
        "full_at": None if prefix is None else prefix.record.full_at,
        "reason": verified.reason,
        "recorded_up_to": None if record is None else record.last,
        "unrecorded": verified.unrecorded,
    }


def _print_verified(verified: LogVerification) -> None:
    checkpoints, prefix = verified.checkpoints, verified.prefix
    rows = f"rows {checkpoints.first_index:,}..{checkpoints.last_index:,}"
    if checkpoints.last_index < checkpoints.first_index:
        rows = "no new row"
    if prefix is None:
        console.print(f"verified {rows}: every row" + (f", because {verified.reason}" if verified.reason else ""))
    else:
        number, last, full_at = prefix.record.number, prefix.body.last, prefix.full_at
        console.print(
            f"verified {rows} incrementally from checkpoint {number}; full last at {full_at:%Y-%m-%d %H:%M} UTC"
        )
        again = count(verified.chain.cases, "case")
        console.print(
            f"rows 1..{last:,} were verified before and not read again, except those of {again} with something new: "
            "only a full verification finds what was altered in them since"
        )
    if verified.record is not None:
        console.print(f"the next incremental verification begins after row {verified.record.last:,}")
    else:
        print_text(f"the next incremental verification begins where this one did: {verified.unrecorded}")


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
