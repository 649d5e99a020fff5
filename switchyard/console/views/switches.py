"""The page of switches: what is stopped, and the commands that stop and resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args
from uuid import uuid4

import structlog
from starlette.responses import Response

from switchyard.console.app import BadInput, Call, Handler, read_uuid
from switchyard.console.pages import Pages
from switchyard.console.signed_commands import SignedCommands
from switchyard.console.switches import SwitchReader
from switchyard.protocol.operator_commands import CommandAction, OperatorCommand

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SwitchViews:
    """Halt, resume, cancel."""

    pages: Pages
    switches: SwitchReader
    commands: SignedCommands
    playbooks: Mapping[str, str]
    """The version that a new case gets, by playbook."""

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "switches": self.show_switches,
            "command": self.hand_in_command,
        }

    async def show_switches(self, call: Call) -> Response:
        return await self._switches_page(call)

    async def _switches_page(self, call: Call, done: str | None = None) -> Response:
        halted = {row["playbook"]: row for row in await self.switches.halted()}
        names = sorted({*self.playbooks, *halted})
        cancel = call.query.get("cancel", "")
        return self.pages.page(
            "switches.html",
            call.user,
            here="switches",
            playbooks=[(name, self.playbooks.get(name), halted.get(name)) for name in names],
            command_ids=[str(uuid4()) for _ in range(len(names) + 1)],
            cancel=str(read_uuid(cancel, "cancel")) if cancel else "",
            done=done,
        )

    async def hand_in_command(self, call: Call) -> Response:
        action = call.field("action", most=10)
        if action not in get_args(CommandAction):
            raise BadInput("the action is invalid: halt, resume or cancel")
        command = OperatorCommand(
            command_id=str(read_uuid(call.field("command_id", most=36), "command_id")),
            action=action,  # type: ignore[arg-type] # it is one of them
            target=call.field("target", most=60),
            operator=call.user.name,
            reason=call.field("reason"),
            signed_at=call.field("signed_at", most=40),
            signature=call.field("signature", most=200),
        )
        result = await self.commands.command(command)
        log.warning("console.command", user=call.user.name, action=action, target=command.target, result=result)
        stored = "stored; a stop is in effect, but the case manager has not answered yet"
        return await self._switches_page(call, f"{action} {command.target}: {result or stored}")
