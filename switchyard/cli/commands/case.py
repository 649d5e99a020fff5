"""`switchyard case`."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from switchyard.audit.records.reader import CaseSummary, TimelineStep
from switchyard.cli.app.audit_log import open_artefact_reader, open_audit_reader, read_artefact, resolve_case_id
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.failover_text import describe_model_call
from switchyard.cli.app.target import Env, EnvOption, open_readable_target
from switchyard.runtime.storage.artefacts import Artefacts

app = typer.Typer(no_args_is_help=True)
_OPENED = {"CaseOpened": ("question",), "CaseClosed": ("answer",), "EmailDrafted": ("email",)}
"""Which artefacts of an event `--open` shows."""


@app.command("list")
def list_recent_cases(
    env: EnvOption = Env.LOCAL,
    outcome: Annotated[str | None, typer.Option(help="answered, failed, no_agent, expired, rejected …")] = None,
    session: Annotated[str | None, typer.Option(help="One conversation.")] = None,
    limit: Annotated[int, typer.Option(help="Most rows.")] = 50,
) -> None:
    """List the latest cases."""
    rows = asyncio.run(_list(env, outcome, session, limit))
    table = Table(
        Column("case", no_wrap=True, min_width=36), "session", "agent", "model", "hops", "ms", "outcome", "code"
    )
    for row in rows:
        duration = "" if row.duration_ms is None else str(row.duration_ms)
        table.add_row(
            row.case_id,
            row.session_id,
            ", ".join(row.agents),
            ", ".join(_short(model) for model in row.model_ids),
            str(row.hops),
            duration,
            _coloured(row.outcome or row.status),
            row.code or "",
        )
    console.print(table)
    console.print(f"{len(rows)} case{'' if len(rows) == 1 else 's'}")


@app.command()
def show(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    env: EnvOption = Env.LOCAL,
    reveal: Annotated[bool, typer.Option("--open", help="Open what is sealed: question and answer, or email.")] = False,
) -> None:
    """Show one case's transitions, why each model answered, and how it ended."""
    asyncio.run(_show(env, case_id, reveal=reveal))


async def _list(env: Env, outcome: str | None, session: str | None, limit: int) -> list[CaseSummary]:
    async with open_readable_target(env) as target, open_audit_reader(target) as log:
        return await log.list_cases(session_id=session, outcome=outcome, limit=limit)


async def _show(env: Env, case_id: str, *, reveal: bool) -> None:
    async with open_readable_target(env) as target, open_audit_reader(target) as log:
        case_id = await resolve_case_id(log, case_id)
        summary = await log.summary(case_id)
        if summary is None:
            raise CommandFailed(f"the log has nothing of case {case_id}", remedy="see `switchyard case list`")
        steps = await log.timeline(case_id)
        events = {event["event_id"]: event for event in map(_event, await log.bodies(case_id))}
        report = await log.verify(case_id=case_id)
        _print_summary(summary)
        console.print(_timeline(steps, events))
        for step in steps:
            if step.event_id in events:
                _print_step(step, events[step.event_id])
        _print_ending([events[step.event_id] for step in steps if step.event_id in events])
        if retired := len(steps) - len(events):
            console.print(f"retired: the bodies of {retired} events are gone, their receipt is in the log")
        if reveal:
            async with open_artefact_reader(target) as artefacts:
                for event in events.values():
                    for name in _OPENED.get(event["type"], ()):
                        reference = event["payload"].get(name)
                        if reference:
                            await _print_opened(artefacts, name, event, reference)
        console.print(f"chain: {'ok' if report.ok else 'BROKEN'} ({len(steps)} events verified)")


def _event(body: str) -> dict[str, Any]:
    detail: dict[str, Any] = json.loads(body)["detail"]
    return detail


def _print_summary(summary: CaseSummary) -> None:
    console.print(f"[bold]case {summary.case_id}[/bold]  {_coloured(summary.outcome or summary.status)}")
    console.print(f"session {summary.session_id}, tenant {summary.tenant}, playbook {summary.playbook_version}")
    if summary.opened_at:
        console.print(f"opened {_time(summary.opened_at)}, took {summary.duration_ms} ms over {summary.hops} hops")


def _timeline(steps: list[TimelineStep], events: dict[str, dict[str, Any]]) -> Table:
    table = Table("seq", "+ms", "from", "to", "transition", "model", "why", "ms", "digest")
    for step in steps:
        call = events.get(step.event_id, {}).get("model_call")
        table.add_row(
            str(step.seq),
            str(step.since_opened_ms),
            step.node_from,
            step.node_to,
            Text(step.transition, style="bold" if step.terminal else ""),
            _short(step.model_id or ""),
            call["reason"] if call else "",
            "" if step.latency_ms is None else str(step.latency_ms),
            step.transcript_hash[:12],
        )
    return table


def _print_step(step: TimelineStep, event: dict[str, Any]) -> None:
    call = event.get("model_call")
    if call:
        style = "yellow" if call["role"] == "fallback" else "dim"
        console.print(Text(f"{step.node_from}: {describe_model_call(call)}", style=style))
    if step.transition == "TaskFailed":
        failure = event["payload"]
        console.print(Text(f"{step.node_from}: {failure['code']} after {failure['attempts']} attempts", style="red"))
        for cause in failure.get("causes", ()):
            console.print(f"  caused by {cause}", markup=False)
    if step.transition == "TaskRetried":
        retried = event["payload"]
        told_why = f"{retried['operator']} had {retried['task_type']} done again: {retried['reason']}"
        console.print(Text(told_why, style="yellow"))


def _print_ending(events: list[dict[str, Any]]) -> None:
    for event in events:
        if event["type"] in {"CaseClosed", "SubmissionRejected"}:
            ending = event["payload"]
            field = f" (field {ending['field']})" if ending.get("field") else ""
            console.print(f"ended: {ending['code']} {ending.get('message', '')}{field}".rstrip(), markup=False)
            if ending.get("rules"):
                console.print(f"rules: {', '.join(ending['rules'])}", markup=False)
            if ending.get("remedy"):
                console.print(f"remedy: {ending['remedy']}", markup=False)


async def _print_opened(artefacts: Artefacts, name: str, event: dict[str, Any], reference: dict[str, Any]) -> None:
    try:
        data = await read_artefact(artefacts, event, reference)
    except CommandFailed as error:
        # One that was erased, or lies in S3, keeps nobody from the rest.
        console.print(f"{name}: cannot be opened: {error.message}", markup=False)
        return
    text = json.loads(data)["text"] if name == "answer" else data.decode()
    if name == "email":
        parsed = message_from_bytes(data, policy=default)
        part = parsed.get_body(("plain",))
        text = f"To: {parsed['To']}\nSubject: {parsed['Subject']}\n\n{part.get_content() if part else ''}"
    console.print(f"{name}: {text}", markup=False)


def _short(model_id: str) -> str:
    """A Bedrock id without its geography and date: enough for a column."""
    name = model_id.split(":", maxsplit=1)[0]
    for prefix in ("us.", "eu.", "global.", "anthropic.", "amazon."):
        name = name.removeprefix(prefix)
    return name.split("-20")[0]


def _coloured(outcome: str) -> str:
    colours = {"answered": "green", "sent": "green", "open": "cyan", "no_agent": "yellow", "blocked": "yellow"}
    colour = colours.get(outcome, "red")
    return f"[{colour}]{outcome}[/{colour}]"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
