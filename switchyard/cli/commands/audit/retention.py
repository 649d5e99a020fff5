"""`switchyard audit retention`: policies, legal holds, and retiring cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.audit_log import open_audit_reader, resolve_case_id
from switchyard.cli.app.connections import open_aws_client, open_pool
from switchyard.cli.app.console import Field, console, count, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.keys import load_receipt_keys, open_receipt_signer
from switchyard.cli.app.lazy import CommandGroup, load_app
from switchyard.cli.app.options import CaseArgument, EnvOption, JsonOption, OperatorOption, ReasonOption, RunOption
from switchyard.cli.app.target import Env, Target, open_readable_target, resolve_target

if TYPE_CHECKING:
    from switchyard.audit.retention.retention import RetentionStore

app = CommandGroup()
_POLICIES = (
    Field("playbook"),
    Field("keep_days"),
    Field("duty_days"),
    Field("duty_counts_from", "counts from", wraps=True),
    Field("citation", wraps=True),
)
_HOLDS = (
    Field("case_id", "case", short=8),
    Field("placed_at", "since (UTC)"),
    Field("placed_by", "by", wraps=True),
    Field("reason", wraps=True),
)


@app.command()
async def run(
    operator: OperatorOption,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of cases in one run.")] = 10_000,
    archive_bucket: Annotated[
        str | None, typer.Option(help="Archive the bodies in this bucket; without it they are deleted.")
    ] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Retire each case whose retention period is over, then drop empty months.

    Exit code 1 if a case was kept: its chain is broken, or it was put on hold meanwhile.
    """
    async with _open_store(resolve_target(env), archive_bucket) as store:
        if swept := await store.sweep():
            console.print(f"{count(swept, 'retired case')} had artefacts left: deleted")
        kept = await retire_due_cases(store, operator, limit)
        for name, state in await store.drop_partitions():
            if state != "kept":
                console.print(f"{name}: {state}")
    if kept:
        raise typer.Exit(1)


@app.command()
async def hold(case: CaseArgument, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL) -> None:
    """Put a case on legal hold: nothing of it is retired or erased until the hold is released."""
    async with _open_case(env, case) as (case_id, store):
        hold_id = await store.hold(case_id, reason=reason, operator=operator)
    console.print(f"case {case_id} is on hold ({hold_id})")


@app.command()
async def release(
    case: CaseArgument, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Release every hold of a case."""
    async with _open_case(env, case) as (case_id, store):
        released = await store.release(case_id, reason=reason, operator=operator)
    if not released:
        raise CommandFailed(f"case {case_id} is not on hold", remedy="see `switchyard audit retention show`")
    console.print(f"case {case_id}: {count(len(released), 'hold')} released")


@app.command()
async def show(as_json: JsonOption = False, run: RunOption = None, env: EnvOption = Env.LOCAL) -> None:
    """Show the policies in force and the legal holds."""
    from switchyard.audit.retention.retention import read_retention

    async with open_readable_target(env, run) as target, open_pool(target, "audit") as pool:
        policies, holds = await read_retention(pool)
    for row in policies:
        keep_for, duty_for = row.pop("keep_for"), row.pop("duty_for")
        row |= {"keep_days": keep_for.days, "duty_days": duty_for.days if duty_for else None}
    if as_json:
        print_json({"policies": policies, "holds": holds})
        return
    console.print("policies in force")
    print_rows([{**row, "duty_counts_from": row["duty_counts_from"] or "last event"} for row in policies], _POLICIES)
    console.print("\nlegal holds")
    print_rows(holds, _HOLDS)


@app.command()
async def policy(
    playbook: Annotated[str, typer.Argument(metavar="PLAYBOOK", help="The playbook's name, without a version.")],
    *,
    keep_days: Annotated[int, typer.Option(min=15, help="Days to keep bodies after the case's last event.")],
    citation: Annotated[str, typer.Option(help="The document that sets it, or who decided it.")],
    operator: OperatorOption,
    duty_days: Annotated[int | None, typer.Option(min=1, help="Days for which the law requires them.")] = None,
    duty_from: Annotated[list[str] | None, typer.Option(help="A transition that restarts the duty.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Set how long the cases of a playbook are kept, from now on. Earlier policies stay in the log."""
    async with _open_store(resolve_target(env)) as store:
        await store.set_policy(
            playbook,
            keep_for=timedelta(days=keep_days),
            duty_for=None if duty_days is None else timedelta(days=duty_days),
            duty_counts_from=duty_from or [],
            citation=citation,
            operator=operator,
        )
    console.print(f"{playbook}: {keep_days} days from now on")


@asynccontextmanager
async def _open_store(target: Target, archive_bucket: str | None = None) -> AsyncIterator[RetentionStore]:
    """The log, for its retention role."""
    from switchyard.audit.retention.retention import CaseObjects, RetentionStore
    from switchyard.runtime.core.clock import SystemClock
    from switchyard.runtime.storage.objects import S3Objects

    settings = target.settings
    async with (
        open_receipt_signer(target) as signer,
        open_aws_client(target, "s3") as s3,
        open_pool(target, "audit_retention") as pool,
    ):
        yield RetentionStore(
            pool,
            load_app().catalogue,
            signer,
            SystemClock(),
            objects=CaseObjects(s3, settings.objects_bucket),
            trusted=load_receipt_keys(target),
            archive=S3Objects(s3, archive_bucket) if archive_bucket else None,
        )


@asynccontextmanager
async def _open_case(env: Env, prefix: str) -> AsyncIterator[tuple[str, RetentionStore]]:
    """The id of a case, and the log."""
    target = resolve_target(env)
    async with open_audit_reader(target) as log:
        case_id = await resolve_case_id(log, prefix)
    async with _open_store(target) as store:
        yield case_id, store


async def retire_due_cases(store: RetentionStore, operator: str, limit: int) -> int:
    """Retire each due case; return how many were kept. A case that the database refuses does not stop the others."""
    import asyncpg

    from switchyard.audit.retention.retention import RetirementStatus

    retired = events = kept = 0
    async for due in store.due(limit=limit):
        try:
            outcome = await store.retire(due, operator=operator)
        except asyncpg.RaiseError as error:
            kept += 1
            print_text(f"kept case {due.case_id}: {error}", style="red")
            continue
        if outcome.status is RetirementStatus.REOPENED:
            console.print(f"case {due.case_id} is open again")
        elif outcome.status is RetirementStatus.KEPT:
            kept += 1
            found = outcome.findings[0]
            print_text(f"kept case {due.case_id}: {found.kind}: {found.why}", style="red")
        else:
            retired += 1
            events += outcome.events
    console.print(f"{count(retired, 'case')} retired ({events} bodies), {kept} kept")
    return kept
