"""What people signed in the browser, handed in exactly as the command line does it.

The statement is made twice from the same fields, in the browser and here, so a signature is valid only for what the
person saw. The name is that of the log-in and never a field.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from switchyard.audit.verification.failed_case import FailedCaseEvents
from switchyard.console.app import BadInput
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.operator_commands import OperatorCommand, retry_request_id
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import (
    ApprovalAnswer,
    approval_statement,
    resolution_statement,
    retry_statement,
)
from switchyard.runtime.core.clock import moment
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__, "work.sql")
POLL_S = 0.1
WAIT_S = 8.0
"""How long a page waits for the case manager's answer. What was handed in takes effect without it."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class SignedRetry:
    """One case to retry, as it was signed."""

    case_id: str
    failure: FailedCaseEvents
    signature: str


@dataclass(frozen=True)
class SignedCommands:
    """Hands in commands, decisions and retries. `operators` and `approvers` are the keys that services check them
    with: a signature that is invalid is refused here, before it is stored."""

    work: Database
    operators: OperatorKeys
    approvers: OperatorKeys

    @property
    def _work(self) -> Database:
        return self.work.with_queries(_SQL)

    async def command(self, command: OperatorCommand) -> str | None:
        """Halt, resume or cancel; what the case manager made of it, or None if it has not answered yet. Raises
        `BadInput` for an invalid signature, and for a command that cannot be stored."""
        _verified(self.operators, command.operator, command.statement(), command.signature)
        with _StorageErrors():
            await self._store(command)
        return (await self._commanded([command.command_id])).get(command.command_id)

    async def _store(self, command: OperatorCommand) -> None:
        fields = (command.action, command.target, command.operator, command.reason)
        at = signed_moment(command.signed_at)
        await self._work.value("command", UUID(command.command_id), *fields, at, command.signature)

    async def _commanded(self, ids: Sequence[str]) -> dict[str, str]:
        """What the case manager has answered by now, by the command's id."""
        found: dict[str, str] = {}

        async def read() -> bool | None:
            rows = await self._work.rows("commanded", [UUID(each) for each in ids if each not in found])
            found.update({row["command_id"]: row["result"] for row in rows if row["result"] is not None})
            return len(found) == len(ids) or None

        await self._answer(read)
        return found

    async def cancel(self, commands: Sequence[OperatorCommand]) -> list[tuple[str, str]]:
        """Cancel many cases; the case manager's answer for each. All signatures are verified before the first is
        handed in."""
        for each in commands:
            _verified(self.operators, each.operator, each.statement(), each.signature)
        for each in commands:
            with _StorageErrors():
                await self._store(each)
        answers = await self._commanded([each.command_id for each in commands])
        unanswered = "stored; in effect, but the case manager has not answered yet"
        return [(each.target, answers.get(each.command_id, unanswered)) for each in commands]

    async def resolve(
        self,
        *,
        resolution_id: UUID,
        case_id: UUID,
        content_sha256: str,
        provider_message_id: str | None,
        operator: str,
        evidence: str,
        signed_at: str,
        signature: str,
    ) -> str | None:
        """Say what became of an effect: it happened, under the provider's id, or without one it did not; the result as
        in `command`."""
        statement = resolution_statement(
            resolution_id=str(resolution_id),
            case_id=str(case_id),
            content_sha256=content_sha256,
            provider_message_id=provider_message_id,
            operator=operator,
            evidence=evidence,
            signed_at=signed_at,
        )
        _verified(self.operators, operator, statement, signature)
        with _StorageErrors():
            await self._work.execute(
                "resolve",
                *(resolution_id, case_id, content_sha256, provider_message_id, operator, evidence),
                *(signed_moment(signed_at), signature),
            )
        return await self._answer(lambda: self._work.value("resolved", resolution_id))

    async def decide(
        self,
        approval: Mapping[str, Any],
        verdict: ApprovalAnswer,
        *,
        by: str,
        reason: str,
        signed_at: str,
        signature: str,
    ) -> str | None:
        """Grant or deny exactly the content that the approval names; the result as in `command`."""
        statement = approval_statement(
            approval_id=approval["approval_id"],
            case_id=approval["case_id"],
            content_sha256=approval["content_sha256"],
            pack=approval["pack"],
            verdict=verdict,
            approver=by,
            reason=reason,
            signed_at=signed_at,
        )
        _verified(self.approvers, by, statement, signature)
        with _StorageErrors():
            decision = await self._work.value(
                "decide",
                *(UUID(approval["approval_id"]), verdict, approval["content_sha256"], by, reason),
                *(signed_moment(signed_at), signature),
            )
        return await self._answer(lambda: self._work.value("decided", decision))

    async def retry(
        self, retries: Sequence[SignedRetry], *, operator: str, reason: str, requested_at: str, per_second: float
    ) -> list[tuple[str, str]]:
        """Ask for each case, at this rate; the case manager's answer for each. All signatures are verified before the
        first request is handed in."""
        for each in retries:
            statement = retry_statement(
                case_id=each.case_id,
                failed=each.failure.failed["digest"],
                command=each.failure.command["digest"],
                closed=each.failure.ending["digest"],
                operator=operator,
                reason=reason,
                requested_at=requested_at,
            )
            _verified(self.operators, operator, statement, each.signature)
        for number, each in enumerate(retries):
            if number:
                await asyncio.sleep(1 / per_second)
            request = {
                "operator": operator,
                "reason": reason,
                "requested_at": requested_at,
                "signature": each.signature,
                "command": each.failure.command,
                "failed": each.failure.failed,
                "close": each.failure.close,
            }
            with _StorageErrors():
                await self._work.execute(
                    "request_retry",
                    retry_request_id(each.signature),
                    UUID(each.case_id),
                    json.dumps(request, ensure_ascii=False),
                )
        answers = await self._retry_answers([retry_request_id(each.signature) for each in retries])
        unanswered = "handed in; the case manager has not answered yet"
        return [(each.case_id, answers.get(retry_request_id(each.signature), unanswered)) for each in retries]

    async def _retry_answers(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        found: dict[UUID, str] = {}

        async def read() -> bool | None:
            for row in await self._work.rows("retry_answers", [each for each in ids if each not in found]):
                found[row["request_id"]] = row["code"] if row["why"] is None else f"{row['code']}: {row['why']}"
            return len(found) == len(set(ids)) or None

        await self._answer(read)
        return found

    async def _answer(self, read: Callable[[], Awaitable[_Answer | None]]) -> _Answer | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + WAIT_S
        while (result := await _read_or_none(read)) is None and clock() < deadline:  # noqa: ASYNC110 - another process answers
            await asyncio.sleep(POLL_S)
        return result


async def _read_or_none(read: Callable[[], Awaitable[_Answer | None]]) -> _Answer | None:
    """The answer; None also while the database is away: what was sent is stored, only the answer cannot be read."""
    try:
        return await read()
    except Unavailable:
        return None


def signed_moment(text: str) -> datetime:
    """The time of a signature. Raises `BadInput` for another text than `timestamp` writes."""
    try:
        return moment(text)
    except ValueError:
        raise BadInput("the time of the signature is invalid: sign again") from None


def _verified(keys: OperatorKeys, name: str, statement: bytes, signature: str) -> None:
    try:
        keys.verify(name, statement, signature)
    except InvalidEvent as error:
        raise BadInput(f"{error.message}. {error.remedy or ''}".strip(), 403) from error


class _StorageErrors:
    """Around a statement that stores what a person sent: what the table refuses is said in words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.UniqueViolationError):
            raise BadInput("this was handed in already: reload the page", 409) from error
        if isinstance(error, asyncpg.CheckViolationError | asyncpg.DataError):
            raise BadInput("the database refuses a value: a reason has at most 2000 characters") from error
