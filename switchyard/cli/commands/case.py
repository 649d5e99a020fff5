"""`switchyard case`."""

from __future__ import annotations

import json
import math
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.access_chain import list_accesses, print_accesses, read_user
from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, count, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.failover_text import describe_model_call
from switchyard.cli.app.keys import load_operator_key
from switchyard.cli.app.lazy import CommandGroup, load_app
from switchyard.cli.app.operator_commands import submit_command, unconfirmed
from switchyard.cli.app.options import (
    CaseArgument,
    EnvOption,
    JsonOption,
    KeyOption,
    OperatorOption,
    ReasonOption,
    WaitOption,
)
from switchyard.cli.app.target import Env, Target, open_readable_target, resolve_target

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import CaseSummary
    from switchyard.protocol.fields import Json

app = CommandGroup()
_WATCH_INTERVAL_S = 2.0
_THUMBS = {"up": "green", "down": "yellow"}
_COLOURS = {"reached": "green", "stopped": "yellow", "failed": "red"}


def _colour(outcome: str) -> str:
    kind = load_app().all_outcomes.get(outcome)
    return _COLOURS[kind] if kind else "cyan"


_LISTED = (
    Field("case_id", "case", short=8),
    Field("session_id", "session", wide=True),
    Field("agents", wide=True),
    Field("model_ids", "model", wide=True),
    Field("hops"),
    Field("duration_ms", "ms"),
    Field("outcome", style=_colour),
    Field("code"),
)
_STEP_FIELDS = ("seq", "event_id", "since_opened_ms", "node_from", "node_to", "transition")
_STEPS = (
    Field("seq"),
    Field("since_opened_ms", "+ms"),
    Field("node_from", "from"),
    Field("node_to", "to"),
    Field("transition"),
    Field("model_id", "model", wide=True),
    Field("model_reason", "why"),
    Field("latency_ms", "ms", wide=True),
    Field("digest", wide=True),
)


@app.command("list")
async def list_cases(  # noqa: PLR0917 - options, each by its name
    outcome: Annotated[str | None, typer.Option(help="Only cases that ended so, or `open`.")] = None,
    session: Annotated[str | None, typer.Option(help="One conversation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most rows.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", help="Show the list every two seconds, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """List the latest cases."""
    from asyncio import sleep

    async with open_readable_target(env) as target, audit_log.open_audit_reader(target) as log:
        while True:
            cases = await log.list_cases(session_id=session, outcome=outcome, limit=limit)
            if watch:
                console.clear()
            print_rows([*map(_summary_fields, cases)], _LISTED, as_json=as_json, footer=count(len(cases), "case"))
            if not watch:
                return
            await sleep(_WATCH_INTERVAL_S)


@app.command()
async def show(
    case: CaseArgument,
    reveal: Annotated[bool, typer.Option("--open", help="Decrypt what is sealed and can be read as text.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="First print each step until the case ends.")] = False,
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Show a case: each transition, why each model answered, and how the case ended."""
    if follow:
        async with open_readable_target(env) as target, audit_log.open_audit_reader(target) as log:
            await audit_log.follow_case(log, await audit_log.resolve_case_id(log, case), set(), math.inf)
    shown, events = await _read_case(env, case, reveal=reveal)
    if as_json:
        print_json(shown)
    else:
        _print_case(shown, events)


@app.command()
async def retry(  # noqa: PLR0917 - options, each by its name
    case: CaseArgument,
    operator: OperatorOption,
    reason: ReasonOption = "The cause was fixed.",
    key: KeyOption = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the new ending.")] = 120,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Retry the failed task of a failed case, signed by the operator. Exit code 1 if it fails again."""
    await retry_case(resolve_target(env), case, operator=operator, reason=reason, key_file=key, wait_s=wait)


@app.command()
async def cancel(  # noqa: PLR0917 - options, each by its name
    case: CaseArgument,
    operator: OperatorOption,
    reason: ReasonOption,
    key: KeyOption = None,
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Cancel an open case: nothing of it is sent any more, and it ends as cancelled. Signed by the operator."""
    target, case_id = resolve_target(env), case
    if len(case) < len(str(uuid.NAMESPACE_DNS)):
        async with audit_log.open_audit_reader(target) as log:
            case_id = await audit_log.resolve_case_id(log, case)
    try:
        whole = str(uuid.UUID(case_id))
    except ValueError as error:
        raise InvalidArgument(f"{case_id} is invalid: expected a UUID", remedy="see `switchyard case list`") from error
    result = await submit_command(target, "cancel", whole, operator=operator, reason=reason, key_file=key, wait_s=wait)
    if result is None and wait > 0:
        raise unconfirmed("the case manager", "nothing of the case takes effect from now on")
    note = "what has taken effect is not undone"
    console.print(f"case {case_id}: {result or 'cancel is stored, not confirmed'}; {note}")


def _summary_fields(case: CaseSummary) -> dict[str, Any]:
    """A case as `list` and `show` describe it."""
    fields = asdict(case)
    return {**fields, "outcome": case.outcome or str(case.status), "model_ids": [*map(_short, case.model_ids)]}


def _short(model_id: str) -> str:
    """A Bedrock id without its geography and date."""
    name = model_id.split(":", maxsplit=1)[0]
    for prefix in ("us.", "eu.", "global.", "anthropic.", "amazon."):
        name = name.removeprefix(prefix)
    return name.split("-20")[0]


async def _read_case(env: Env, prefix: str, *, reveal: bool) -> tuple[dict[str, Any], list[Json]]:
    """What `show` prints as JSON, and the events of the case."""
    async with open_readable_target(env) as target, audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, prefix)
        summary = await log.summary(case_id)
        if summary is None:
            raise CommandFailed(f"the log has no event of case {case_id}", remedy="see `switchyard case list`")
        steps = await log.timeline(case_id)
        events = await audit_log.read_events(log, case_id)
        report = await log.verify(case_id=case_id)
        opened, user = await _open_sealed(target, events) if reveal else (None, None)
    by_id = {event["event_id"]: event for event in events}
    shown = _summary_fields(summary) | {
        "steps": [
            {
                **{name: getattr(step, name) for name in _STEP_FIELDS},
                "model_id": _short(step.model_id or "") or None,
                "model_reason": (by_id.get(step.event_id, {}).get("model_call") or {}).get("reason"),
                "latency_ms": step.latency_ms,
                "digest": step.transcript_hash,
                "branch": (by_id.get(step.event_id, {}).get("branch") or {}).get("number"),
                "given": audit_log.list_given(by_id[step.event_id]) if step.event_id in by_id else [],
            }
            for step in steps
        ],
        "accesses": list_accesses(events),
        "user": user,
        "retired_bodies": len(steps) - len(events),
        "opened": opened,
        "chain_ok": report.ok,
    }
    return shown, events


async def _open_sealed(target: Target, events: list[Json]) -> tuple[list[dict[str, str]], str | None]:
    """The texts, each once; one that was erased or is stored in S3 has an `error` instead. And the user's name."""
    fields = ((event, value) for event in events for value in event["payload"].values())
    found = {value["sha256"]: (event, value) for event, value in fields if audit_log.is_artefact(value)}
    opened = []
    async with audit_log.open_artefact_reader(target) as artefacts:
        for event, reference in found.values():
            try:
                text = audit_log.artefact_text(reference, await audit_log.read_artefact(artefacts, event, reference))
            except CommandFailed as error:
                opened.append({"name": reference["name"], "error": error.message})
                continue
            if text is not None:
                opened.append({"name": reference["name"], "text": text})
        try:
            user = await read_user(artefacts, events)
        except CommandFailed as error:
            opened.append({"name": "user", "error": error.message})
            user = None
    return opened, user


def _print_case(shown: dict[str, Any], events: list[Json]) -> None:
    colour = _colour(shown["outcome"])
    console.print(f"[bold]case {shown['case_id']}[/bold]  [{colour}]{shown['outcome']}[/{colour}]")
    print_text(f"session {shown['session_id']}, tenant {shown['tenant']}, playbook {shown['playbook_version']}")
    if shown["opened_at"]:
        took = "is open" if shown["duration_ms"] is None else f"took {shown['duration_ms']} ms"
        took += f" over {shown['hops']} hops" if shown["closed_at"] else f" after {shown['hops']} hops"
        console.print(f"opened {shown['opened_at']:%Y-%m-%d %H:%M:%S} UTC, {took}")
    print_rows([{**step, "digest": step["digest"][:12]} for step in shown["steps"]], _STEPS)
    print_accesses(shown["accesses"], shown["user"])
    for event in events:
        _print_event(event)
    if shown["retired_bodies"]:
        console.print(f"retired: {count(shown['retired_bodies'], 'event')} without a body; the log has the receipt")
    for each in shown["opened"] or ():
        print_text(f"{each['name']}: {each.get('text') or 'cannot be opened: ' + each['error']}")
    console.print(f"chain: {'ok' if shown['chain_ok'] else 'BROKEN'} ({count(len(shown['steps']), 'event')} verified)")


def _print_event(event: Json) -> None:
    node, payload, call = event["node_from"], event["payload"], event.get("model_call")
    if given := audit_log.list_given(event):
        named = ", ".join(f"{each['name']} {each['sha256'][:12]}" for each in given)
        where = f" (branch {event['branch']['number'] + 1})" if event.get("branch") else ""
        print_text(f"{event['node_to']}{where}: was given {named}", style="dim")
    if call:
        style = "yellow" if call["role"] == "fallback" else "dim"
        print_text(f"{node}: {describe_model_call(call)}", style=style)
    if event["type"] == "TaskFailed":
        print_text(f"{node}: {payload['code']} after {count(payload['attempts'], 'attempt')}", style="red")
        for cause in payload.get("causes", ()):
            print_text(f"  caused by {cause}")
    if event["type"] == "TaskRetried":
        print_text(f"{payload['operator']} retried {payload['task_type']}: {payload['reason']}", style="yellow")
    if event["type"] == "CaseFeedback":
        by = "a reviewer" if payload.get("reviewer") else "the person who asked"
        words = ", with a sealed reason" if payload.get("reason") else ""
        print_text(f"feedback: thumb {payload['thumb']} by {by}{words}", style=_THUMBS[payload["thumb"]])
    if event["type"] == "ConsentRequested":
        where = f" at {payload['url']}" if payload.get("url") else ""
        print_text(f"waits for the user's consent{where} until {payload['until'][:16]}Z", style="yellow")
    if event["type"] in {"CaseClosed", "SubmissionRejected"}:
        where = f" (field {payload['field']})" if payload.get("field") else ""
        print_text(f"ended: {payload['code']} {payload.get('message', '')}{where}".rstrip())
        if payload.get("rules"):
            print_text(f"rules: {', '.join(payload['rules'])}")
        if payload.get("remedy"):
            print_text(f"remedy: {payload['remedy']}")


async def retry_case(
    target: Target, prefix: str, *, operator: str, reason: str, key_file: Path | None, wait_s: float
) -> None:
    """Sign a request, hand it to the case manager, and follow the case to its new ending. Raises `CommandFailed`."""
    from switchyard.audit.verification.failed_case import NotRetryable, find_failure
    from switchyard.protocol.signing import sign_statement
    from switchyard.protocol.statements import retry_statement
    from switchyard.runtime.core.clock import timestamp

    key = load_operator_key(target, key_file)
    async with audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, prefix)
        report = await log.verify(case_id=case_id)
        if report.findings:
            remedy = "treat it as an incident; a case is not retried on altered evidence"
            raise CommandFailed(f"the chain of case {case_id} is broken: {report.findings[0].why}", remedy=remedy)
        events = await audit_log.read_events(log, case_id)
        try:
            failure = find_failure(events, load_app().catalogue)
        except NotRetryable as error:
            raise CommandFailed(error.message, remedy=error.remedy) from error
        signed = {"operator": operator, "reason": reason, "requested_at": timestamp(datetime.now(UTC))}
        statement = retry_statement(
            case_id=case_id,
            failed=failure.failed["digest"],
            command=failure.command["digest"],
            closed=failure.ending["digest"],
            **signed,
        )
        evidence = {"command": failure.command, "failed": failure.failed, "close": failure.close}
        request = {**signed, "signature": sign_statement(key, statement), **evidence}
        code, why = await _request_retry(target, case_id, request, wait_s)
        if code != "retried":
            raise CommandFailed(f"the case manager refused the retry: {why}")
        command = failure.command
        console.print(f"case {case_id} is open again: {command['type']} goes to {command['node_to']} once more")
        step = await audit_log.follow_case(log, case_id, {event["event_id"] for event in events}, wait_s)
    console.print(f"ended: {step.outcome}")
    if step.outcome == "failed":
        raise CommandFailed("the task failed again", remedy=f"see `switchyard case show {case_id}`")


async def _request_retry(
    target: Target, case_id: str, request: dict[str, Any], wait_s: float
) -> tuple[str, str | None]:
    from asyncio import sleep

    from switchyard.protocol.operator_commands import retry_request_id

    request_id = retry_request_id(request["signature"])
    async with open_pool(target, "operator") as pool:
        await pool.execute(
            "insert into retry_request (request_id, case_id, request) values ($1, $2, $3)",
            request_id,
            uuid.UUID(case_id),
            json.dumps(request, ensure_ascii=False),
        )
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            row = await pool.fetchrow("select code, why from retry_request where request_id = $1", request_id)
            if row is not None and row["code"] is not None:
                return row["code"], row["why"]
            await sleep(audit_log.POLL_INTERVAL_S)
    remedy = "check that the case manager is running"
    raise CommandFailed(f"the case manager has not answered within {wait_s:g} s; the request is stored", remedy=remedy)
