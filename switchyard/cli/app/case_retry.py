"""The retry of a failed case: what the operator signs, read from the log; and the signed request, handed in with its
evidence. In AWS tasks do both, and the key stays here."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from switchyard.cli.app import audit_log
from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.handing_in import is_remote, read_remotely, read_signed
from switchyard.cli.app.keys import load_operator_key
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import AuditReader
    from switchyard.audit.verification.failed_case import FailedCaseEvents
    from switchyard.protocol.fields import Json


@dataclass(frozen=True)
class Failure:
    """Which failure is meant: its case, and the digests of the three events that an operator signs."""

    case_id: str
    failed: str
    command: str
    closed: str


@dataclass(frozen=True)
class RetryRequest:
    """What an operator signed, beside the digests of a `Failure`."""

    case_id: str
    operator: str
    reason: str
    requested_at: str
    signature: str


async def retry_case(
    target: Target, prefix: str, *, operator: str, reason: str, key_file: Path | None, wait_s: float
) -> None:
    """Sign a request, hand it to the case manager, and follow the case to its new ending. Raises `CommandFailed`."""
    from switchyard.protocol.signing import sign_statement
    from switchyard.protocol.statements import retry_statement
    from switchyard.runtime.core.clock import timestamp

    key = load_operator_key(target, key_file)
    failure = await read_failure(target, prefix)
    by = {"operator": operator, "reason": reason, "requested_at": timestamp(datetime.now(UTC))}
    signature = sign_statement(key, retry_statement(**asdict(failure), **by))
    request = RetryRequest(failure.case_id, **by, signature=signature)
    if not is_remote(target):
        await hand_in_retry(target, request, wait_s)
        return
    command = ["case", "hand-in", json.dumps(asdict(request)), "--wait", str(wait_s)]
    for line in await read_remotely(target, "operator", command):
        print_text(line)


async def read_failure(target: Target, prefix: str) -> Failure:
    """The failure that ended a case. Raises `CommandFailed` for a case that cannot be retried."""
    if is_remote(target):
        text = "\n".join(await read_remotely(target, "operator", ["case", "failure", prefix]))
        return read_signed(Failure, text, "`case failure`")
    async with audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, prefix)
        found, _ = await _find_failure(log, case_id)
    return Failure(case_id, found.failed["digest"], found.command["digest"], found.ending["digest"])


async def hand_in_retry(target: Target, request: RetryRequest, wait_s: float) -> None:
    """Hand in a signed request with the evidence of the log, and follow the case to its new ending. Raises
    `CommandFailed`."""
    async with audit_log.open_audit_reader(target) as log:
        failure, events = await _find_failure(log, request.case_id)
        evidence = {"command": failure.command, "failed": failure.failed, "close": failure.close}
        code, why = await _request_retry(target, request, evidence, wait_s)
        if code != "retried":
            raise CommandFailed(f"the case manager refused the retry: {why}")
        command = failure.command
        console.print(f"case {request.case_id} is open again: {command['type']} goes to {command['node_to']} once more")
        known = {event["event_id"] for event in events}
        step = await audit_log.follow_case(log, request.case_id, known, wait_s)
    console.print(f"ended: {step.outcome}")
    if step.outcome == "failed":
        raise CommandFailed("the task failed again", remedy=f"see `switchyard case show {request.case_id}`")


async def _find_failure(log: AuditReader, case_id: str) -> tuple[FailedCaseEvents, list[Json]]:
    """The failure of a case whose chain is intact, and all its events."""
    from switchyard.audit.verification.failed_case import NotRetryable, find_failure

    report = await log.verify(case_id=case_id)
    if report.findings:
        remedy = "treat it as an incident; a case is not retried on altered evidence"
        raise CommandFailed(f"the chain of case {case_id} is broken: {report.findings[0].why}", remedy=remedy)
    events = await audit_log.read_events(log, case_id)
    try:
        return find_failure(events, load_app().catalogue), events
    except NotRetryable as error:
        raise CommandFailed(error.message, remedy=error.remedy) from error


async def _request_retry(
    target: Target, request: RetryRequest, evidence: dict[str, Json], wait_s: float
) -> tuple[str, str | None]:
    from asyncio import sleep

    from switchyard.protocol.operator_commands import retry_request_id

    request_id = retry_request_id(request.signature)
    signed = {name: value for name, value in asdict(request).items() if name != "case_id"}
    async with open_pool(target, "operator") as pool:
        await pool.execute(
            "insert into retry_request (request_id, case_id, request) values ($1, $2, $3)",
            request_id,
            uuid.UUID(request.case_id),
            json.dumps(signed | evidence, ensure_ascii=False),
        )
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            row = await pool.fetchrow("select code, why from retry_request where request_id = $1", request_id)
            if row is not None and row["code"] is not None:
                return row["code"], row["why"]
            await sleep(audit_log.POLL_INTERVAL_S)
    remedy = "check that the case manager is running"
    raise CommandFailed(f"the case manager has not answered within {wait_s:g} s; the request is stored", remedy=remedy)
