"""The `switchyard` command."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from cli import (
    approvals,
    asking,
    audit,
    cases,
    courier,
    migrating,
    operators,
    publishing,
    reconciling,
    replaying,
    retrying,
    rules,
    stack,
)
from cli.errors import CommandFailed

app = typer.Typer(
    name="switchyard",
    help="Run a team of AI agents as independent, auditable services.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(stack.app, name="stack", help="The laptop stack: every service as its own process.")
cases.app.command("cancel")(operators.cancel)
app.add_typer(cases.app, name="case", help="Cases, read from the audit log.")
audit.app.command("replay")(replaying.replay)
audit.app.command("operator-key")(retrying.operator_key)
audit.app.command("reconcile")(reconciling.reconcile)
app.add_typer(approvals.app, name="approval", help="Decide on what waits for a person.")
app.command("halt")(operators.halt)
app.command("resume")(operators.resume)
app.add_typer(audit.app, name="audit", help="Prove the audit log, complete it, replay it.")
app.add_typer(rules.app, name="rules", help="The rules of the compliance gate.")
app.add_typer(courier.app, name="courier", help="Sendings whose outcome is unknown.")
app.command("ask", help="Ask one question and wait for the answer.")(asking.ask)
app.command("publish", help="Publish submissions from a JSON-lines file, as an upstream does.")(publishing.publish)
app.command("migrate", help="Bring both databases up to date.")(migrating.migrate)
app.command("demo", help="Run the demo: a stack of its own, questions, a table, the log.")(stack.demo)


def run() -> None:
    """The entry point: failures are one sentence and a remedy, and exit code 1."""
    try:
        app()
    except CommandFailed as error:
        console = Console(stderr=True)
        console.print(f"[red]{error.message}[/red]", highlight=False)
        if error.remedy:
            console.print(f"Remedy: {error.remedy}", highlight=False)
        sys.exit(1)
