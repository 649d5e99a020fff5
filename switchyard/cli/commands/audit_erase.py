"""`switchyard audit erase`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from switchyard.audit.erasure.erasure import (
    AlreadyErased,
    ErasureAllowed,
    ErasureDenied,
    ErasureResult,
    ErasureService,
    PersonUnknown,
    read_erasure,
)
from switchyard.audit.records.roles import SCHEMA
from switchyard.cli.app.audit_log import open_pool
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.receipt_keys import load_receipt_keys, open_receipt_signer
from switchyard.cli.app.target import Env, EnvOption, Target, resolve_target
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import TaskError
from switchyard.runtime.crypto.erasure import KeyEraser


def erase_subject(
    subject: Annotated[str | None, typer.Argument(help="The person's pseudonym, `subject` of the case.")] = None,
    operator: Annotated[str, typer.Option(help="Who you are; it stands in the receipt.")] = "",
    reason: Annotated[str, typer.Option(help="Why, without personal data; it stands in the receipt.")] = "",
    *,
    again: Annotated[
        bool, typer.Option("--again", help="After a restore of the work database: destroy what receipts name.")
    ] = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Erase a person: destroy their key, so that what is sealed under it is unreadable everywhere. Prints the receipt.

    The log keeps its rows and still verifies. Records under a retention duty or a legal hold refuse.
    """
    if again:
        found = asyncio.run(_erase_restored_keys(resolve_target(env)))
        console.print(f"{len(found)} keys had come back and are destroyed again", highlight=False)
        return
    if not (subject and operator and reason):
        raise CommandFailed("an erasure names its subject, its operator and its reason", remedy="see --help")
    try:
        person = str(uuid.UUID(subject))
    except ValueError as error:
        remedy = "take `subject` from the case's rows in audit.transition"
        raise CommandFailed("the subject is no UUID", remedy=remedy) from error
    target = resolve_target(env)
    _print_erasure(asyncio.run(_erase(target, person, operator, reason)), target, person)


def _print_erasure(asked: ErasureResult, target: Target, person: str) -> None:
    match asked.decision:
        case PersonUnknown():
            raise CommandFailed(f"nobody is known as {person}", remedy="take `subject` from audit.transition")
        case ErasureDenied(why=why, until=until, remedy=remedy):
            when = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
            raise CommandFailed(f"{person} is not erased{when}: {why}", remedy=remedy)
        case AlreadyErased():
            console.print(f"{person} was erased before; this is the receipt:", highlight=False)
        case ErasureAllowed(begun=begun):
            finished = " An earlier attempt had destroyed the key." if begun else ""
            console.print(f"{person} is erased.{finished}", highlight=False)
    if asked.receipt is not None:
        said, refusal = read_erasure(asked.receipt, load_receipt_keys(target))
        console.print(f"at {said.erased_at} by {said.erased_by}: {said.reason}", highlight=False, markup=False)
        console.print(f"{len(said.case_ids)} cases, {said.events} events stay, sealed for ever", highlight=False)
        console.print(f"no running process can read them after {said.unreadable_by}", highlight=False)
        for copies in said.queues:
            console.print(f"{copies.queue}: {copies.holds}, gone by {copies.gone_by}", highlight=False)
        console.print(f"receipt: {refusal or 'signature ok'}", highlight=False)


@asynccontextmanager
async def connect_erasures(target: Target) -> AsyncIterator[ErasureService]:
    """What erases: the retention role of the log and the eraser's of the vault."""
    async with (
        open_receipt_signer(target) as signer,
        open_pool(target, "SWITCHYARD_AUDIT_RETENTION_DB_URL", SCHEMA) as log,
        open_pool(target, "SWITCHYARD_VAULT_ERASER_DB_URL", "vault") as vault,
    ):
        try:
            yield ErasureService(log, KeyEraser(vault), signer, SystemClock())
        except TaskError as error:
            raise CommandFailed(str(error), remedy="ask again: what was begun is finished then") from error


async def _erase(target: Target, subject: str, operator: str, reason: str) -> ErasureResult:
    async with connect_erasures(target) as open_erasures:
        return await open_erasures.erase(subject, operator=operator, reason=reason)


async def _erase_restored_keys(target: Target) -> list[str]:
    async with connect_erasures(target) as open_erasures:
        return await open_erasures.again()
