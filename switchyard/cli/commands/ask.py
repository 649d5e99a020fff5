"""`switchyard ask`: one submission from the command line, followed to its end."""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json
    from switchyard.protocol.submissions import Submission


async def ask(
    fields: Annotated[
        list[str],
        typer.Argument(metavar="FIELD=VALUE...", help="Fields of the submission; one that is not text, as JSON."),
    ],
    playbook: Annotated[str | None, typer.Option(help="What to submit; the application's first without it.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the end of the case.")] = 60,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a case, follow it in the audit log, and open its answer. Exit code 1 unless it reached its goal.

    `tenant`, `session_id`, `idempotency_key` and `user_id` have values of their own unless they are given.
    """
    from switchyard.cli.app.rejections import Rejections
    from switchyard.cli.app.submissions import publish_submissions, read_submission

    app = load_app()
    detail = read_submission(json.dumps(build_submission(_model_of(playbook), fields)))
    if isinstance(detail, str):
        raise InvalidArgument(f"not submitted: {detail}", remedy="give each field as NAME=VALUE")
    target = resolve_target(env)
    async with audit_log.open_audit_reader(target) as log:
        rejections = await Rejections.since_now(log, [detail["session_id"]])
        (case_id,) = await publish_submissions(target, [detail])
        console.print(f"case {case_id}", style="dim")
        step = await audit_log.follow_case(log, case_id, set(), wait, rejections=rejections)
        event = await audit_log.read_event(log, case_id, step)
    outcome = await _print_ending(target, event)
    if app.all_outcomes.get(outcome) != "reached":
        raise typer.Exit(1)


def build_submission(model: type[Submission], fields: Sequence[str]) -> dict[str, Any]:
    """The submission that `NAME=VALUE` fields describe. Raises `InvalidArgument` for one of another form."""
    detail: dict[str, Any] = {
        "tenant": "local",
        "session_id": "cli",
        "idempotency_key": str(uuid.uuid4()),
        "playbook": model.model_fields["playbook"].default,
    }
    if "user_id" in model.model_fields:
        detail["user_id"] = getpass.getuser()
    for field in fields:
        name, given, value = field.partition("=")
        if name not in model.model_fields or not given:
            raise InvalidArgument(
                f"{name if given else field} is not a field of {model.__name__}",
                remedy=f"write NAME=VALUE; its fields are {', '.join(model.model_fields)}",
            )
        detail[name] = value if model.model_fields[name].annotation is str else _as_json(value)
    return detail


def _as_json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _model_of(playbook: str | None) -> type[Submission]:
    from switchyard.protocol.submissions import playbook_of

    kinds = {playbook_of(model): model for model in load_app().submissions}
    if playbook is not None and playbook not in kinds:
        raise InvalidArgument(f"no submission opens the playbook {playbook}", remedy=f"name one of {', '.join(kinds)}")
    return next(iter(kinds.values())) if playbook is None else kinds[playbook]


async def _print_ending(target: Target, event: Json) -> str:
    """Print an outcome and the answer; return the outcome. Raises `CommandFailed` for an answer that is no text."""
    ending = event["payload"]
    message = f". {ending['message']}" if ending.get("message") else ""
    print_text(f"{ending['outcome']}: {ending['code']}{message}")
    if ending.get("remedy"):
        print_text(f"remedy: {ending['remedy']}")
    if answer := ending.get("answer"):
        async with audit_log.open_artefact_reader(target) as artefacts:
            data = await audit_log.read_artefact(artefacts, event, answer)
        text = audit_log.artefact_text(answer, data)
        if text is None:
            raise CommandFailed(
                f"the answer is {answer['media_type']}, which is not text",
                remedy=f"say how it is read in App.artefact_texts, under {answer['name']}",
            )
        print_text(text)
    return str(ending["outcome"])
