"""`switchyard approval`: a named person decides on exactly what would be sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
from email import message_from_bytes
from email.policy import default
from typing import Annotated, Any

import typer
from rich.table import Table

from switchyard.cli.app.audit_log import open_artefact_reader, read_artefact
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, Target, resolve_target
from switchyard.cli.commands.playbook import load_signing_key, open_operator_pool
from switchyard.protocol.approvals import ApprovalAnswer, approval_statement
from switchyard.protocol.signing import sign_statement
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.queries import load_queries

app = typer.Typer(no_args_is_help=True)
_SQL = load_queries(__file__, "playbook.sql")
DECISION_TIMEOUT_S = 15.0
"""How long a decision may be with the case manager before the command says that it has not heard."""

ApprovalArgument = Annotated[str, typer.Argument(help="The approval's id, or the beginning of it.")]
ApproverOption = Annotated[str, typer.Option("--as", help="Who decides, as SWITCHYARD_APPROVERS names them.")]
DecisionReasonOption = Annotated[str, typer.Option(help="Why; it stands in the audit log.")]


@app.command("list")
def list_approvals(env: EnvOption = Env.LOCAL) -> None:
    """What waits for a decision, the most urgent first."""
    rows = asyncio.run(_list_pending(env))
    table = Table("approval", "case", "why", "asked for by", "content", "pack", "decide by")
    for row in rows:
        table.add_row(
            str(row["approval_id"]),
            str(row["case_id"])[:8],
            row["reason"],
            row["requested_by"],
            row["content_sha256"][:12],
            row["pack"],
            row["decide_by"].strftime("%Y-%m-%d %H:%M UTC"),
        )
    console.print(table)
    console.print(f"{len(rows)} waiting")


@app.command()
def show(approval: ApprovalArgument, env: EnvOption = Env.LOCAL) -> None:
    """Show the email that would be sent, as it would be sent."""
    message, row = asyncio.run(_read_email(env, approval))
    parsed = message_from_bytes(message, policy=default)
    for name in ("From", "To", "Subject"):
        console.print(f"{name}: {parsed[name]}", markup=False)
    part = parsed.get_body(("plain",))
    console.print(f"\n{part.get_content() if part is not None else ''}", markup=False)
    console.print(f"content {row['content_sha256']}, rule pack {row['pack']}, wanted because: {row['reason']}")


@app.command()
def grant(
    approval: ApprovalArgument, approver: ApproverOption, reason: DecisionReasonOption = "", env: EnvOption = Env.LOCAL
) -> None:
    """Agree to exactly this content, once."""
    _print_result(asyncio.run(_decide(env, approval, "granted", approver, reason)))


@app.command()
def deny(
    approval: ApprovalArgument, approver: ApproverOption, reason: DecisionReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Refuse this content: the case ends as denied."""
    _print_result(asyncio.run(_decide(env, approval, "denied", approver, reason)))


async def _list_pending(env: Env) -> list[Any]:
    async with open_operator_pool(resolve_target(env)) as case_manager:
        rows: list[Any] = await case_manager.fetch(_SQL["asked"])
        return rows


async def _read_email(env: Env, named: str) -> tuple[bytes, Any]:
    target = resolve_target(env)
    async with open_operator_pool(target) as case_manager, open_artefact_reader(target) as artefacts:
        row = await _find_approval(case_manager, named)
        command = json.loads(row["command"])
        await _require_same_content(target, row)
        return await read_artefact(artefacts, command, command["payload"]["email"]), row


async def _decide(env: Env, named: str, verdict: ApprovalAnswer, approver: str, reason: str) -> str:
    return await submit_decision(resolve_target(env), named, verdict, approver=approver, reason=reason)


async def submit_decision(target: Target, named: str, verdict: ApprovalAnswer, *, approver: str, reason: str) -> str:
    """Sign a decision, hand it to the case manager, and return what the case manager made of it.

    Raises `CommandFailed`.
    """
    async with open_operator_pool(target) as case_manager:
        row = await _find_approval(case_manager, named)
        if verdict == "granted":
            await _require_same_content(target, row)
        now = target.clock.now()
        statement = approval_statement(
            approval_id=str(row["approval_id"]),
            case_id=str(row["case_id"]),
            content_sha256=row["content_sha256"],
            pack=row["pack"],
            verdict=verdict,
            approver=approver,
            reason=reason,
            signed_at=timestamp(now),
        )
        signature = sign_statement(load_signing_key(target), statement)
        decision = await case_manager.fetchval(
            _SQL["decide"], row["approval_id"], verdict, row["content_sha256"], approver, reason, now, signature
        )
        deadline = asyncio.get_running_loop().time() + DECISION_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            result: str | None = await case_manager.fetchval(_SQL["decided"], decision)
            if result is not None:
                return result
            await asyncio.sleep(0.1)
    raise CommandFailed(
        "the case manager has not looked at the decision yet",
        remedy="see `switchyard stack status`; it is kept and will count",
    )


async def _require_same_content(target: Target, row: Any) -> None:
    """Raise `CommandFailed` unless the email that waits is the one whose hash would be signed."""
    command = json.loads(row["command"])
    async with open_artefact_reader(target) as artefacts:
        message = await read_artefact(artefacts, command, command["payload"]["email"])
    if hashlib.sha256(message).hexdigest() != row["content_sha256"]:
        remedy = "treat it as an incident: the case manager's table names another content than the command"
        raise CommandFailed("the email that waits is not the one that the approval names", remedy=remedy)


async def _find_approval(case_manager: Any, named: str) -> Any:
    rows = [row for row in await case_manager.fetch(_SQL["asked"]) if str(row["approval_id"]).startswith(named)]
    if len(rows) != 1:
        what = "no approval waits" if not rows else "several approvals wait"
        raise CommandFailed(f"{what} whose id begins with {named}", remedy="see `switchyard approval list`")
    return rows[0]


def _print_result(result: str) -> None:
    if result.startswith("refused"):
        raise CommandFailed(result, remedy="see docs/build/compliance-rules.md for who may approve what")
    console.print(result)
