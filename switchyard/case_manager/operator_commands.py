"""Operators' commands (halt, resume, cancel, budget), applied once their signature is verified; the release of parked
cases.

A typed name is no evidence, and neither is a login to the database: a row without a valid signature is refused with an
alarm. The performer of an effect verifies a stop itself, so that it counts from its commit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from switchyard.case_manager.approvals import MAX_SIGNATURE_AGE
from switchyard.protocol.budgets import EVERY_TENANT, MoneyLimit
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.case_manager import BudgetSet, PlaybookHalted, PlaybookResumed
from switchyard.protocol.fields import Json
from switchyard.protocol.operator_commands import OperatorCommand
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.first_event import build_report
from switchyard.runtime.messaging.outbox import event_text

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
BATCH_SIZE = 100
COMMAND_BATCH_SIZE = 2_000


def read_command(row: Mapping[str, Any]) -> OperatorCommand:
    """A command as its signer had it, from a row of `operator_command`."""
    fields = {name: row[name] for name in ("action", "target", "operator", "reason", "signature")}
    return OperatorCommand(command_id=str(row["command_id"]), signed_at=timestamp(row["signed_at"]), **fields)


@dataclass(frozen=True)
class OperatorCommands:
    """What operators command, as the case manager acts on it. Any number of case managers may."""

    database: Database
    catalogue: Catalogue
    operators: OperatorKeys
    clock: Clock

    async def apply(self) -> list[Json]:
        """Decide the commands since the last call, in their order; the events that report what was done."""
        database = self.database.with_queries(_SQL)
        commands = [read_command(row) for row in await database.rows("undecided", COMMAND_BATCH_SIZE)]
        problems = {command.command_id: problem for command in commands if (problem := self._problem(command))}
        if problems:
            await database.execute("refuse", list(problems), [f"refused: {problem}" for problem in problems.values()])
        for command in commands:
            if problem := problems.get(command.command_id):
                _log_decision(log.error, command, alarm="integrity", why=problem)
        valid = [command for command in commands if command.command_id not in problems]
        return [event for command in valid for event in await self._apply(command)]

    async def release_parked(self) -> list[Json]:
        """The first events of cases that were parked and whose playbook runs again."""
        rows = await self.database.with_queries(_SQL).rows("release_parked", BATCH_SIZE)
        return [json.loads(row["event"]) for row in rows]

    async def _apply(self, command: OperatorCommand) -> list[Json]:
        async with self.database.with_queries(_SQL).transaction() as transaction:
            if not await transaction.value("lock_undecided", command.command_id):
                return []  # another case manager decided it
            perform = self._set_limit if command.action == "budget" else self._perform
            result, event = await perform(transaction, command)
            await transaction.execute("decide", command.command_id, result)
            if event is not None:
                await transaction.execute("store_event", event_text(event))
        _log_decision(log.warning, command, result=result)
        return [] if event is None else [event]

    def _problem(self, command: OperatorCommand) -> str | None:
        """Why a command may not be applied, as the operator reads it."""
        try:
            command.verify(self.operators)
            if command.action == "budget":
                MoneyLimit.from_target(command.target)
        except InvalidEvent as error:
            return f"{error.message}. {error.remedy or ''}".strip()
        # A stop is never too late. What lifts one must be fresh: an old command may have been kept for another day.
        if (
            command.action in {"resume", "budget"}
            and abs(self.clock.now() - moment(command.signed_at)) > MAX_SIGNATURE_AGE
        ):
            return "the signature is too old or in the future; sign again"
        return None

    async def _perform(self, transaction: Database, command: OperatorCommand) -> tuple[str, Json | None]:
        target, by = command.target, (command.operator, command.reason, UUID(command.command_id))
        match command.action:
            case "halt":
                done = await transaction.execute("stop", "halted_playbook", target, *by)
                return ("halted", self._report(PlaybookHalted, command)) if done else ("was halted already", None)
            case "resume":
                if await transaction.value("resume", target, moment(command.signed_at)):
                    return "resumed", self._report(PlaybookResumed, command)
                kept = await transaction.value("is_halted", target)
                return "refused: it was halted after this was signed; sign again" if kept else "was not halted", None
            case "cancel":
                state = await transaction.row("case_state", UUID(target))
                if state["known"] and not state["closed"]:
                    await transaction.execute("stop", "cancelled_case", target, *by)
                    return "cancelled", None
                why = "the case is closed already" if state["known"] else "the case manager has no such case"
                return f"refused: {why}", None
            case _:
                return "refused: memory forgets a person, with `switchyard memory forget`", None

    async def _set_limit(self, transaction: Database, command: OperatorCommand) -> tuple[str, Json | None]:
        limit = MoneyLimit.from_target(command.target)
        signed = (UUID(command.command_id), moment(command.signed_at), command.operator, command.reason)
        if await transaction.execute("set_limit", limit.tenant, limit.period, limit.micros, *signed):
            return "set", self._report(BudgetSet, command, tenant=limit.tenant)
        return "refused: another limit was signed after this; sign again", None

    def _report(
        self,
        kind: type[PlaybookHalted | PlaybookResumed | BudgetSet],
        command: OperatorCommand,
        *,
        tenant: str = EVERY_TENANT,
    ) -> Json:
        fields: Json = {"target" if kind is BudgetSet else "playbook": command.target}
        payload = kind(
            **fields,
            operator=command.operator,
            why=command.reason,
            command_id=command.command_id,
            signed_at=command.signed_at,
            signature=command.signature,
        )
        return build_report(
            self.catalogue,
            payload,
            chain=f"operator_command/{command.command_id}",
            tenant=tenant,
            sub=f"operator:{command.operator}",
            now=self.clock.now(),
        )


def _log_decision(log_it: Callable[..., object], command: OperatorCommand, **how: str) -> None:
    log_it("command.decided", action=command.action, target=command.target, operator=command.operator, **how)
