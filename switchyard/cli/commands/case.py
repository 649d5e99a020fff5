"""`switchyard case`."""

from __future__ import annotations

import math
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.access_chain import list_accesses
from switchyard.cli.app.case_retry import RetryRequest, hand_in_retry, read_failure, retry_case
from switchyard.cli.app.case_text import outcome_colour, print_case
from switchyard.cli.app.console import Field, console, count, print_json, print_rows
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.handing_in import read_signed
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.opened_artefacts import open_files, open_texts
from switchyard.cli.app.operator_commands import submit_command, unconfirmed
from switchyard.cli.app.options import (
    CaseArgument,
    EnvOption,
    JsonOption,
    KeyOption,
    OperatorOption,
    ReasonOption,
    RunOption,
    WaitOption,
)
from switchyard.cli.app.target import Env, open_readable_target, resolve_target

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import CaseSummary
    from switchyard.protocol.fields import Json

app = CommandGroup()
_WATCH_INTERVAL_S = 2.0

_LISTED = (
    Field("case_id", "case", short=8),
    Field("session_id", "session", wide=True),
    Field("agents", wide=True),
    Field("model_ids", "model", wide=True),
    Field("hops"),
    Field("duration_ms", "ms"),
    Field("outcome", style=outcome_colour),
    Field("code"),
)
_STEP_FIELDS = ("seq", "event_id", "since_opened_ms", "node_from", "node_to", "transition")


@app.command("list")
async def list_cases(  # noqa: PLR0917 - options, each by its name
    outcome: Annotated[str | None, typer.Option(help="Only cases with this outcome, or `open`.")] = None,
    session: Annotated[str | None, typer.Option(help="One conversation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", help="Show the list every two seconds, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """List the latest cases."""
    from asyncio import sleep

    async with open_readable_target(env, run) as target, audit_log.open_audit_reader(target) as log:
        while True:
            cases = await log.list_cases(session_id=session, outcome=outcome, limit=limit)
            if watch:
                console.clear()
            print_rows([*map(_summary_fields, cases)], _LISTED, as_json=as_json, footer=count(len(cases), "case"))
            if not watch:
                return
            await sleep(_WATCH_INTERVAL_S)


@app.command()
async def show(  # noqa: PLR0917 - options, each by its name
    case: CaseArgument,
    reveal: Annotated[bool, typer.Option("--open", help="Decrypt what is sealed and can be read as text.")] = False,
    save: Annotated[
        Path | None, typer.Option("--save", help="With --open: write the charts and files into this folder.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print each step as it happens, until the end.")] = False,
    as_json: JsonOption = False,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Show a case: each transition, why each model answered, and how the case ended."""
    if save is not None and not reveal:
        raise InvalidArgument("--save writes what --open decrypts", remedy="add --open")
    if follow:
        async with open_readable_target(env, run) as target, audit_log.open_audit_reader(target) as log:
            await audit_log.follow_case(log, await audit_log.resolve_case_id(log, case), set(), math.inf)
    shown, events = await _read_case(env, case, run=run, reveal=reveal, save=save)
    if as_json:
        print_json(shown)
    else:
        print_case(shown, events)


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


@app.command("failure")
async def print_failure(case: CaseArgument, env: EnvOption = Env.LOCAL) -> None:
    """Print the failure of a case that `case retry` would sign, as JSON."""
    print_json(asdict(await read_failure(resolve_target(env), case)))


@app.command("hand-in")
async def hand_in(
    request: Annotated[str, typer.Argument(metavar="JSON", help="A request, as `case retry` signs it.")],
    wait: Annotated[float, typer.Option(help="Seconds to wait for the new ending.")] = 120,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a retry that an operator signed elsewhere, and follow the case to its new ending."""
    await hand_in_retry(resolve_target(env), read_signed(RetryRequest, request, "`case retry`"), wait)


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


async def _read_case(
    env: Env, prefix: str, *, run: str | None, reveal: bool, save: Path | None
) -> tuple[dict[str, Any], list[Json]]:
    """What `show` prints as JSON, and the events of the case."""
    async with open_readable_target(env, run) as target, audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, prefix)
        summary = await log.summary(case_id)
        if summary is None:
            raise CommandFailed(f"the log has no event of case {case_id}", remedy="see `switchyard case list`")
        steps = await log.timeline(case_id)
        events = await audit_log.read_events(log, case_id)
        report = await log.verify(case_id=case_id)
        opened, user = await open_texts(target, events) if reveal else (None, None)
        files = await open_files(target, events, save) if reveal else None
    by_id = {event["event_id"]: event for event in events}
    shown = _summary_fields(summary) | {
        "steps": [
            {
                **{name: getattr(step, name) for name in _STEP_FIELDS},
                "model_id": _short(step.model_id or "") or None,
                "model_reason": (by_id.get(step.event_id, {}).get("model_call") or {}).get("reason"),
                "latency_ms": step.latency_ms,
                "digest": step.transcript_hash,
                "bundle": by_id.get(step.event_id, {}).get("bundle"),
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
        "files": files,
    }
    return shown, events
