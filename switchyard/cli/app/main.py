"""The `switchyard` command."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, ClassVar

import typer

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandReference, LazyGroup

_MODULES = "switchyard.cli.commands"


def application_commands() -> dict[str, CommandReference]:
    """The commands that the application adds, by name; none where no application is installed.

    They are named in COMMANDS of the module `commands` beside the App: the App itself imports every contract.
    """
    app_module = (os.environ.get("SWITCHYARD_APP") or "services.app:APP").partition(":")[0]
    module = f"{app_module.rpartition('.')[0]}.commands".lstrip(".")
    try:
        contributed = import_module(module).COMMANDS
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):
            raise
        return {}
    return {name: CommandReference(*command) for name, command in contributed.items()}


_CONTRIBUTED = application_commands()


class Commands(LazyGroup):
    """The engine's commands, and the application's; one whose name has two words is inside a group."""

    inside: ClassVar = {
        group: {
            name.partition(" ")[2]: command for name, command in _CONTRIBUTED.items() if name.startswith(f"{group} ")
        }
        for group in {name.partition(" ")[0] for name in _CONTRIBUTED if " " in name}
    }

    references: ClassVar = {
        "publish": CommandReference(f"{_MODULES}.publish:publish_file", "Publish submissions from a JSON-lines file."),
        "case": CommandReference(f"{_MODULES}.case:app", "List, show, retry and cancel cases."),
        "playbook": CommandReference(f"{_MODULES}.playbook:app", "List, halt and resume playbooks."),
        "approval": CommandReference(f"{_MODULES}.approval:app", "List, show, grant, deny and return approvals."),
        "budget": CommandReference(f"{_MODULES}.budget:app", "Show and set what tenants may spend on models."),
        "ask": CommandReference(f"{_MODULES}.ask:ask", "Submit one case and wait for its end."),
        "demo": CommandReference(f"{_MODULES}.demo:demo", "Run the application's demo on a stack of its own."),
        **{name: command for name, command in _CONTRIBUTED.items() if " " not in name},
        "audit": CommandReference(f"{_MODULES}.audit:app", "Verify, export, replay and reconcile the audit log."),
        "bundle": CommandReference(f"{_MODULES}.bundle:app", "What an agent was configured with."),
        "operator": CommandReference(f"{_MODULES}.operator:app", "Operators' keys."),
        "remote": CommandReference(f"{_MODULES}.remote:run_in_deployment", "Run a command inside a deployment in AWS."),
        "migrate": CommandReference(f"{_MODULES}.migrate:migrate_databases", "Bring both databases up to date."),
        "doctor": CommandReference(
            f"{_MODULES}.doctor:examine_deployment", "Check that a deployment has what it needs."
        ),
        "new": CommandReference(f"{_MODULES}.new:new", "Write a repository for an application of your own."),
        "stack": CommandReference(f"{_MODULES}.stack:app", "The local stack: every service as its own process."),
    }


app = typer.Typer(
    cls=Commands,
    name="switchyard",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"switchyard {version('switchyard-engine')}")
        raise typer.Exit


@app.callback()
def switchyard(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run a team of AI agents as independent, auditable services.

    Exit codes: 0 success; 1 the command failed, or what it checked does not hold; 2 it was called wrongly.
    """


def run_cli() -> None:
    """The entry point: a failure is one line, a remedy and an exit code."""
    try:
        app()
    except CommandFailed as error:
        _fail(error.message, error.remedy, error.exit_code)
    except OSError as error:
        if error.filename is None:
            _fail(f"connection failed: {error}", "check that the deployment is running and reachable", 1)
        _fail(f"{error.filename}: {error.strerror}", "name a file that can be read, or a folder that can be written", 1)
    except Exception as error:
        from switchyard.app.application import AppUnusable
        from switchyard.runtime.core.errors import TaskError

        if isinstance(error, AppUnusable):
            _fail(str(error), error.remedy, 1)
        if isinstance(error, TaskError):
            _fail(error.message, error.remedy, 1)
        if isinstance(error, _raised_by("botocore.exceptions", "BotoCoreError", "ClientError")):
            _fail(f"AWS: {error}", "check the credentials, the region and the rights of this shell", 1)
        if isinstance(error, _raised_by("asyncpg", "InterfaceError", "InternalClientError", "PostgresError")):
            _fail(f"the database: {error}", "check its address in the variable, the role and its rights", 1)
        raise


def _raised_by(library: str, *names: str) -> tuple[type[Exception], ...]:
    """Exceptions of a library, if the command has used it."""
    found = sys.modules.get(library)
    return () if found is None else tuple(getattr(found, name) for name in names)


def _fail(message: str, remedy: str | None, exit_code: int) -> None:
    typer.secho(message, fg="red", err=True)
    if remedy:
        typer.echo(f"Remedy: {remedy}", err=True)
    sys.exit(exit_code)
