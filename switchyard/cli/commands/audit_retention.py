"""`switchyard audit retention`: what is kept how long, what is held, and what leaves the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import asyncpg
import typer
from rich.table import Table

from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.retention.case_objects import CaseObjects
from switchyard.audit.retention.retention import RetentionReader, RetentionStore, RetirementStatus
from switchyard.cli.app.audit_log import open_audit_reader, open_pool, resolve_case_id
from switchyard.cli.app.aws import open_aws_client
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.receipt_keys import load_receipt_keys, open_receipt_signer
from switchyard.cli.app.target import Env, EnvOption, Target, open_readable_target, resolve_target
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import TaskError
from switchyard.runtime.storage.objects import S3Objects

app = typer.Typer(no_args_is_help=True)
RetentionOperatorOption = Annotated[str, typer.Option(help="Who you are; it stands in the record.")]
RetentionReasonOption = Annotated[str, typer.Option(help="Why, without personal data: it stands in the record.")]
CaseIdArgument = Annotated[str, typer.Argument(help="The case, or the beginning of its id.")]
DEFAULT_OBJECT_BUCKET = "switchyard-objects"


@app.command()
def run(
    operator: RetentionOperatorOption,
    limit: Annotated[int, typer.Option(min=1, help="Most cases in one run.")] = 10_000,
    archive_bucket: Annotated[
        str | None, typer.Option(help="Keep the bodies here; without it they are deleted.")
    ] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Retire every case whose retention is over, then drop the months that are empty. Exit code 1 if a case was kept
    because its chain does not hold, or because the database refused it: it was put on hold meanwhile."""
    if asyncio.run(_run(resolve_target(env), operator, limit, archive_bucket)):
        raise typer.Exit(1)


@app.command()
def hold(
    case_id: CaseIdArgument,
    operator: RetentionOperatorOption,
    reason: RetentionReasonOption,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Put a case on hold: nothing of it is retired or erased until the hold is released."""
    found, placed = asyncio.run(_hold(resolve_target(env), case_id, reason, operator))
    console.print(f"case {found} is on hold ({placed})", highlight=False)


@app.command()
def release(
    case_id: CaseIdArgument,
    operator: RetentionOperatorOption,
    reason: RetentionReasonOption,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Release every hold of a case."""
    found, released = asyncio.run(_release(resolve_target(env), case_id, reason, operator))
    if not released:
        raise CommandFailed(f"case {found} is not on hold", remedy="see `switchyard audit retention show`")
    console.print(f"case {found}: {len(released)} released", highlight=False)


@app.command()
def show(env: EnvOption = Env.LOCAL) -> None:
    """Show the policies in force and the holds that stand."""
    asyncio.run(_show(env))


@app.command()
def policy(
    playbook: Annotated[str, typer.Argument(help="As in the first part of playbook_version.")],
    *,
    keep_days: Annotated[int, typer.Option(min=15, help="How long bodies stay after the case's last event.")],
    citation: Annotated[str, typer.Option(help="Where that is written, or who decided it.")],
    operator: RetentionOperatorOption,
    duty_days: Annotated[int | None, typer.Option(min=1, help="How long the law wants them kept.")] = None,
    duty_from: Annotated[list[str] | None, typer.Option(help="A transition that starts the duty anew.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Set how long the cases of a playbook are kept, from now on. The policies before stay in the record."""
    new = {
        "keep_for": timedelta(days=keep_days),
        "duty_for": None if duty_days is None else timedelta(days=duty_days),
        "duty_counts_from": duty_from or [],
        "citation": citation,
        "operator": operator,
    }
    asyncio.run(_policy(resolve_target(env), playbook, new))
    console.print(f"{playbook}: {keep_days} days from now on", highlight=False)


@asynccontextmanager
async def open_retention_store(target: Target, archive_bucket: str | None = None) -> AsyncIterator[RetentionStore]:
    """The log, as its retention role. Raises `CommandFailed` for what is out of reach or refused."""
    async with (
        open_receipt_signer(target) as signer,
        open_aws_client(target, "s3") as s3,
        open_pool(target, "SWITCHYARD_AUDIT_RETENTION_DB_URL", SCHEMA) as pool,
    ):
        try:
            yield RetentionStore(
                pool,
                signer,
                SystemClock(),
                objects=CaseObjects(s3, target.get("SWITCHYARD_OBJECTS_BUCKET") or DEFAULT_OBJECT_BUCKET),
                trusted=load_receipt_keys(target),
                archive=S3Objects(s3, archive_bucket) if archive_bucket else None,
            )
        except TaskError as error:
            raise CommandFailed(str(error)) from error
        except asyncpg.RaiseError as error:
            raise CommandFailed(str(error), remedy=error.hint) from error
        except asyncpg.IntegrityConstraintViolationError as error:
            raise CommandFailed(f"the database refuses it ({error.constraint_name})") from error


async def _run(target: Target, operator: str, limit: int, archive_bucket: str | None) -> int:
    async with open_retention_store(target, archive_bucket) as store:
        if swept := await store.sweep():
            console.print(f"{swept} retired cases had artefacts left: deleted", highlight=False)
        kept = await retire_due_cases(store, operator, limit)
        for name, state in await store.drop_partitions():
            if state != "kept":
                console.print(f"{name}: {state}", highlight=False)
    return kept


async def retire_due_cases(store: RetentionStore, operator: str, limit: int) -> int:
    """Retire what is due, case by case; how many were not. What the database refuses does not keep the others."""
    retired = events = kept = 0
    async for due in store.due(limit=limit):
        try:
            outcome = await store.retire(due, operator=operator)
        except asyncpg.RaiseError as error:
            kept += 1
            console.print(f"[red]kept[/red] case {due.case_id}: {error}", highlight=False)
            continue
        if outcome.status is RetirementStatus.REOPENED:
            console.print(f"case {due.case_id} is open again", highlight=False)
        elif outcome.status is RetirementStatus.KEPT:
            kept += 1
            found = outcome.findings[0]
            console.print(f"[red]kept[/red] case {due.case_id}: {found.kind}: {found.why}", highlight=False)
        else:
            retired += 1
            events += outcome.events
    console.print(f"{retired} cases retired ({events} bodies), {kept} kept", highlight=False)
    return kept


async def _hold(target: Target, case_id: str, reason: str, operator: str) -> tuple[str, str]:
    found = await _case(target, case_id)
    async with open_retention_store(target) as store:
        return found, await store.hold(found, reason=reason, operator=operator)


async def _release(target: Target, case_id: str, reason: str, operator: str) -> tuple[str, list[str]]:
    found = await _case(target, case_id)
    async with open_retention_store(target) as store:
        return found, await store.release(found, reason=reason, operator=operator)


async def _case(target: Target, case_id: str) -> str:
    async with open_audit_reader(target) as log:
        return await resolve_case_id(log, case_id)


async def _show(env: Env) -> None:
    async with (
        open_readable_target(env) as target,
        open_pool(target, "SWITCHYARD_AUDIT_DB_URL", SCHEMA) as pool,
    ):
        found = RetentionReader(pool)
        policies = Table("playbook", "kept for", "legal duty", "counts from", "citation", title="policies in force")
        for each in await found.policies():
            duty = "" if each.duty_for is None else f"{each.duty_for.days} days"
            counts = ", ".join(each.duty_counts_from) or "the last event"
            policies.add_row(each.playbook, f"{each.keep_for.days} days", duty, counts, each.citation)
        console.print(policies)
        holds = Table("case", "since", "by", "reason", title="legal holds")
        for hold in await found.holds():
            holds.add_row(hold.case_id, hold.placed_at.strftime("%Y-%m-%d"), hold.placed_by, hold.reason)
        console.print(holds)


async def _policy(target: Target, playbook: str, new: dict[str, Any]) -> None:
    async with open_retention_store(target) as store:
        await store.set_policy(playbook, **new)
