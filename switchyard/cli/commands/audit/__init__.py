"""`switchyard audit`: one file per verb."""

from __future__ import annotations

from typing import ClassVar

import typer

from switchyard.cli.app.lazy import CommandReference, LazyGroup

_HERE = "switchyard.cli.commands.audit"


class AuditCommands(LazyGroup):
    """The verbs."""

    references: ClassVar = {
        "verify": CommandReference(f"{_HERE}.verify:verify", "Prove that nothing was altered, removed or forged."),
        "export": CommandReference(f"{_HERE}.export:export", "Write a case with its proof, for an auditor."),
        "replay": CommandReference(f"{_HERE}.replay:replay", "Decide again what the router decided; changes nothing."),
        "reconcile": CommandReference(f"{_HERE}.reconcile:reconcile", "Compare what was published with the log."),
        "access": CommandReference(f"{_HERE}.access:access", "List what was read in a user's name."),
        "erase": CommandReference(f"{_HERE}.erase:erase", "Erase a person by destroying their key."),
        "verify-principal": CommandReference(
            f"{_HERE}.verify_principal:verify_principal", "Verify who asked, by the ingress' signature."
        ),
        "retention": CommandReference(f"{_HERE}.retention:app", "Retention policies, legal holds, retiring cases."),
    }


app = typer.Typer(cls=AuditCommands, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """Verify, export, replay and reconcile the audit log; list accesses; retire cases and erase persons."""
