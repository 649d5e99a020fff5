"""The `switchyard` command."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from services.specialists.compliance import commands as compliance_commands
from services.specialists.email_sender import commands as email_sender_commands
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.commands import (
    approval,
    ask,
    audit,
    audit_reconcile,
    audit_replay,
    case,
    case_retry,
    migrate,
    playbook,
    publish,
    stack,
)

app = typer.Typer(
    name="switchyard",
    help="Run a team of AI agents as independent, auditable services.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(stack.app, name="stack", help="The local stack: every service as its own process.")
case.app.command("cancel")(playbook.cancel_case)
app.add_typer(case.app, name="case", help="Cases, read from the audit log.")
audit.app.command("replay")(audit_replay.replay_decisions)
audit.app.command("operator-key")(case_retry.print_public_key)
audit.app.command("reconcile")(audit_reconcile.reconcile)
app.add_typer(approval.app, name="approval", help="Decide on what waits for a person.")
app.command("halt")(playbook.halt_playbook)
app.command("resume")(playbook.resume_playbook)
app.add_typer(audit.app, name="audit", help="Prove the audit log, complete it, replay it.")
app.add_typer(compliance_commands.app, name="rules", help="The rules of the compliance gate.")
app.add_typer(email_sender_commands.app, name="email_sender", help="Sendings whose outcome is unknown.")
app.command("ask", help="Ask one question and wait for the answer.")(ask.ask_question)
app.command("publish", help="Publish submissions from a JSON-lines file, as an upstream does.")(publish.publish_file)
app.command("migrate", help="Bring both databases up to date.")(migrate.migrate_databases)
app.command("demo", help="Run the demo: a stack of its own, questions, a table, the log.")(stack.demo)


def run_cli() -> None:
    """The entry point: failures are one sentence and a remedy, and exit code 1."""
    try:
        app()
    except CommandFailed as error:
        console = Console(stderr=True)
        console.print(f"[red]{error.message}[/red]", highlight=False)
        if error.remedy:
            console.print(f"Remedy: {error.remedy}", highlight=False)
        sys.exit(1)
