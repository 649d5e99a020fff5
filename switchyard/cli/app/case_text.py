"""A case as `switchyard case show` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from switchyard.cli.app import audit_log
from switchyard.cli.app.access_chain import print_accesses
from switchyard.cli.app.console import Field, console, count, print_rows, print_text
from switchyard.cli.app.failover_text import describe_model_call
from switchyard.cli.app.lazy import load_app

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json

_THUMBS = {"up": "green", "down": "yellow"}
_COLOURS = {"reached": "green", "stopped": "yellow", "failed": "red"}


def outcome_colour(outcome: str) -> str:
    """The colour of an outcome's class."""
    kind = load_app().all_outcomes.get(outcome)
    return _COLOURS[kind] if kind else "cyan"


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


def print_case(shown: dict[str, Any], events: list[Json]) -> None:
    """Print the case, and what its events say beside the table."""
    colour = outcome_colour(shown["outcome"])
    console.print(f"[bold]case {shown['case_id']}[/bold]  [{colour}]{shown['outcome']}[/{colour}]")
    print_text(f"session {shown['session_id']}, tenant {shown['tenant']}, playbook {shown['playbook_version']}")
    if shown["opened_at"]:
        took = "is open" if shown["duration_ms"] is None else f"took {shown['duration_ms']} ms"
        took += f" over {shown['hops']} hops" if shown["closed_at"] else f" after {shown['hops']} hops"
        console.print(f"opened {shown['opened_at']:%Y-%m-%d %H:%M:%S} UTC, {took}")
    print_rows([{**step, "digest": step["digest"][:12]} for step in shown["steps"]], _STEPS)
    print_accesses(shown["accesses"], shown["user"])
    for event in events:
        print_event(event)
    if shown["retired_bodies"]:
        console.print(f"retired: {count(shown['retired_bodies'], 'event')} without a body; the log has the receipt")
    for each in shown["opened"] or ():
        print_text(f"{each['name']}: {each.get('text') or 'cannot be opened: ' + each['error']}")
    for each in shown["files"] or ():
        problem = f", cannot be opened: {each['error']}" if each["error"] else ""
        print_text(f"file: {each['file']} ({each['media_type']}, {each['size']:,} bytes sealed{problem})")
    console.print(f"chain: {'ok' if shown['chain_ok'] else 'BROKEN'} ({count(len(shown['steps']), 'event')} verified)")


def print_event(event: Json) -> None:
    """Print what an event says for people, if anything."""
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
    if event["type"] == "CaseJudged":
        marks = ", ".join(f"{each['name']} {each['score']}" for each in payload["criteria"])
        print_text(f"a model's verdict: {payload['verdict']}, {payload['score'] / 100:g} of 100 ({marks})", style="dim")
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
