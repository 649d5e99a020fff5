"""`switchyard audit erase`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.keys import load_receipt_keys, open_receipt_signer
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.options import EnvOption, OperatorOption, ReasonOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.audit.erasure.erasure import ErasureResult, ErasureService

_FIND_SUBJECT = "take `subject` from the case's rows in audit.transition"


async def erase(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="The person's pseudonym: `subject` of the case.")
    ] = None,
    operator: OperatorOption = "",
    reason: ReasonOption = "",
    *,
    again: Annotated[
        bool,
        typer.Option("--again", help="After a restore of the work database: destroy each key that a receipt names."),
    ] = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Erase a person: destroy their key, so that no sealed data of theirs can be read anywhere. Prints the receipt.

    The log keeps its rows and still verifies. An erasure is denied while a retention duty or a legal hold applies.
    """
    if again:
        async with _open_erasures(resolve_target(env)) as erasures:
            found = await erasures.again()
        console.print(f"{len(found)} restored keys destroyed again")
        return
    if not (subject and operator and reason):
        raise InvalidArgument(
            "an argument is missing: an erasure needs SUBJECT, --operator and --reason",
            remedy="see `switchyard audit erase --help`",
        )
    try:
        person = str(uuid.UUID(subject))
    except ValueError as error:
        raise InvalidArgument(f"{subject} is not a subject: expected a UUID", remedy=_FIND_SUBJECT) from error
    target = resolve_target(env)
    async with _open_erasures(target) as erasures:
        result = await erasures.erase(person, operator=operator, reason=reason)
    _print_erasure(result, target, person)


def _print_erasure(asked: ErasureResult, target: Target, person: str) -> None:
    from switchyard.audit.erasure import erasure as erasures

    match asked.decision:
        case erasures.ErasureNotNeeded.PERSON_UNKNOWN:
            raise CommandFailed(f"no person has the subject {person}", remedy=_FIND_SUBJECT)
        case erasures.ErasureDenied(why=why, until=until, remedy=remedy):
            when = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
            raise CommandFailed(f"{person} is not erased{when}: {why}", remedy=remedy)
        case erasures.ErasureNotNeeded.ALREADY_ERASED:
            console.print(f"{person} was erased before; this is the receipt:")
        case erasures.ErasureAllowed(begun=begun):
            finished = " An earlier attempt had destroyed the key." if begun else ""
            console.print(f"{person} is erased.{finished}")
    if asked.receipt is not None:
        erasure, problem = erasures.read_erasure(asked.receipt, load_receipt_keys(target))
        print_text(f"at {erasure.erased_at} by {erasure.erased_by}: {erasure.reason}")
        print_text(f"{len(erasure.case_ids)} cases, {erasure.events} events stay, sealed for ever")
        print_text(f"no running process can read them after {erasure.unreadable_by}")
        for copies in erasure.queues:
            print_text(f"{copies.queue}: {copies.holds}, gone by {copies.gone_by}")
        print_text(f"receipt: {problem or 'signature ok'}")


@asynccontextmanager
async def _open_erasures(target: Target) -> AsyncIterator[ErasureService]:
    """The service, with the retention role of the log and the eraser's role of the vault."""
    from switchyard.audit.erasure.erasure import ErasureService
    from switchyard.runtime.core.clock import SystemClock
    from switchyard.runtime.core.errors import TaskError
    from switchyard.runtime.crypto.erasure import KeyEraser

    async with (
        open_receipt_signer(target) as signer,
        open_pool(target, "audit_retention") as log,
        open_pool(target, "vault_eraser", "vault") as vault,
    ):
        try:
            app = load_app()
            yield ErasureService(log, app.catalogue, KeyEraser(vault, app.erasures), signer, SystemClock())
        except TaskError as error:
            raise CommandFailed(error.message, remedy="run the command again: it completes what was begun") from error
