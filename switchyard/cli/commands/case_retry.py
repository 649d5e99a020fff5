"""Live replay: have the task that failed done again, signed by an operator."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.catalogue import CASE_MANAGER, CATALOGUE, ROUTER
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.cli.app.audit_log import open_audit_reader, open_pool, resolve_case_id
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import derive_public_key, sign_statement
from switchyard.protocol.statements import retry_statement
from switchyard.runtime.core.clock import timestamp

RETRY_POLL_S = 0.2
REQUEST_NAMESPACE = uuid.UUID("4f1f9a53-7f2f-5d07-8a2b-0f7cf1f0a7d2")
"""Namespace of request ids: the same signed request is the same row."""

_ENDS = frozenset(type_.name for type_ in CATALOGUE.values() if type_.terminal)


@dataclass(frozen=True)
class FailedCaseEvents:
    """How a case failed: four events of the log, each the cause of the next."""

    command: Json
    failed: Json
    close: Json
    ending: Json


def find_failure(events: Sequence[Json]) -> FailedCaseEvents:
    """The failure that ended a case, from its events in causal order. Raises `CommandFailed` saying why it has none."""
    by_digest = {event["digest"]: event for event in events}
    endings = [event for event in events if event["type"] in _ENDS]
    if not endings:
        raise CommandFailed("the case has not ended", remedy="wait for its ending: only a failure can be tried again")
    ending = max(endings, key=_attempt_number)
    if any(event["type"] == "TaskRetried" and _attempt_number(event) > _attempt_number(ending) for event in events):
        raise CommandFailed("the case is being tried again already", remedy="wait for its ending")
    if ending["payload"]["outcome"] != "failed":
        raise CommandFailed(
            f"the case ended as {ending['payload']['outcome']}: no task failed", remedy="submit it again"
        )
    close = _cause(by_digest, ending)
    failed = _cause(by_digest, close)
    if close["type"] != "CloseCase" or failed["node_from"] == ROUTER:
        raise CommandFailed(
            "no task failed: the router could not route an event of the case",
            remedy="deploy the router that can, and submit the case again",
        )
    return FailedCaseEvents(_cause(by_digest, failed), failed, close, ending)


def _attempt_number(event: Json) -> int:
    """Which try of the case an event belongs to, from 0. `seq` does not tell: a retry forks off before the ending."""
    return int(str(event.get("attempt") or "retry-0").removeprefix("retry-"))


async def retry_case(
    target: Target, named: str, *, operator: str, reason: str, key_file: Path | None, wait_s: float
) -> None:
    """Sign a request, hand it to the case manager, and follow the case to its new ending. Raises `CommandFailed`."""
    key = _key(target, key_file)
    async with open_audit_reader(target) as log:
        case_id = await resolve_case_id(log, named)
        report = await log.verify(case_id=case_id)
        if report.findings:
            raise CommandFailed(
                f"the chain of case {case_id} does not hold: {report.findings[0].why}",
                remedy="treat it as an incident; nothing is tried again on evidence that was altered",
            )
        events = await _events(log, case_id)
        failure = find_failure(events)
        requested_at = timestamp(datetime.now(UTC))
        statement = retry_statement(
            case_id=case_id,
            failed=failure.failed["digest"],
            command=failure.command["digest"],
            closed=failure.ending["digest"],
            operator=operator,
            reason=reason,
            requested_at=requested_at,
        )
        request = {
            "operator": operator,
            "reason": reason,
            "requested_at": requested_at,
            "signature": sign_statement(key, statement),
            "command": failure.command,
            "failed": failure.failed,
            "close": failure.close,
        }
        code, why = await _request_retry(target, case_id, request, wait_s)
        if code != "retried":
            raise CommandFailed(f"the case manager refused: {why}")
        command = failure.command
        console.print(f"case {case_id} is open again: {command['type']} goes to {command['node_to']} once more")
        await _follow(log, case_id, {event["event_id"] for event in events}, wait_s)


async def _request_retry(
    target: Target, case_id: str, request: dict[str, Any], wait_s: float
) -> tuple[str, str | None]:
    request_id = uuid.uuid5(REQUEST_NAMESPACE, request["signature"])
    async with open_pool(target, "SWITCHYARD_OPERATOR_DB_URL", CASE_MANAGER) as case_manager:
        await case_manager.execute(
            "insert into retry_request (request_id, case_id, request) values ($1, $2, $3)",
            request_id,
            uuid.UUID(case_id),
            json.dumps(request, ensure_ascii=False),
        )
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            row = await case_manager.fetchrow("select code, why from retry_request where request_id = $1", request_id)
            if row is not None and row["code"] is not None:
                return row["code"], row["why"]
            await asyncio.sleep(RETRY_POLL_S)
    raise CommandFailed(
        f"the case manager has not answered within {wait_s:g} s; the request stands",
        remedy="see that the case manager is running",
    )


async def _follow(log: AuditReader, case_id: str, told: set[str], wait_s: float) -> None:
    """Tell each step that is new until the case has ended again. Raises `CommandFailed` if it fails again."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        for step in await log.timeline(case_id):
            if step.event_id in told:
                continue
            told.add(step.event_id)
            console.print(f"  {step.node_from} → {step.node_to}: {step.transition}", style="dim")
            if step.terminal:
                console.print(f"ended: {step.outcome}")
                if step.outcome == "failed":
                    raise CommandFailed("the task failed again", remedy=f"switchyard case show {case_id}")
                return
        await asyncio.sleep(RETRY_POLL_S)
    raise CommandFailed(f"no ending within {wait_s:g} s; the case goes on", remedy=f"switchyard case show {case_id}")


async def _events(log: AuditReader, case_id: str) -> list[Json]:
    return [json.loads(body)["detail"] for body in await log.bodies(case_id)]


def _cause(by_digest: dict[str, Json], event: Json) -> Json:
    cause = by_digest.get(event["parents"][0]) if event["parents"] else None
    if cause is None:
        raise CommandFailed(
            f"the log has no cause of {event['type']}", remedy="wait for it, or run `switchyard audit reconcile`"
        )
    return cause


def print_public_key(key: Annotated[Path, typer.Option(help="The file of the private key.")]) -> None:
    """Print the public half of an operator's key, as SWITCHYARD_OPERATORS has it."""
    typer.echo(derive_public_key(_key(Target({}), key)))


def _key(target: Target, file: Path | None) -> bytes:
    where = "SWITCHYARD_OPERATOR_KEY" if file is None else str(file)
    try:
        text = target.need(where) if file is None else file.read_text(encoding="ascii")
        key = bytes.fromhex(text.strip())
    except OSError as error:
        raise CommandFailed(
            f"{where} cannot be read ({type(error).__name__})", remedy="name the file of the key"
        ) from error
    except ValueError as error:
        raise CommandFailed(f"{where} is not hex", remedy=_MAKE) from error
    if len(key) != 32:
        raise CommandFailed(f"{where} is not 32 bytes", remedy=_MAKE)
    return key


_MAKE = "an operator's key is 32 random bytes in hex: openssl rand -hex 32"
