"""The page of switches: what is stopped, the commands that stop and resume, and effects that a person resolves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from starlette.responses import Response

from switchyard.console.app import BadInput, Call, Handler, read_uuid
from switchyard.console.case_list import CaseFilter, CaseList
from switchyard.console.pages import Pages
from switchyard.console.signed_commands import SignedCommands
from switchyard.console.switches import SwitchReader
from switchyard.protocol.operator_commands import CommandAction, OperatorCommand

log = structlog.get_logger(__name__)
ACTIONS: tuple[CommandAction, ...] = ("halt", "resume", "cancel")
MAX_CANCEL = 200
"""Cases in one run."""


@dataclass(frozen=True)
class SwitchViews:
    """Halt, resume, cancel one or many, resolve."""

    pages: Pages
    switches: SwitchReader
    cases: CaseList
    commands: SignedCommands
    playbooks: Mapping[str, str]
    """The version that a new case gets, by playbook."""

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "switches": self.show_switches,
            "command": self.hand_in_command,
            "cancel_plan": self.plan_cancel,
            "cancel": self.cancel,
            "resolve": self.resolve,
        }

    async def show_switches(self, call: Call) -> Response:
        return await self._switches_page(call)

    async def _switches_page(self, call: Call, done: str | None = None) -> Response:
        found = await self.switches.read(call.user.tenants)
        halted = {row["playbook"]: row for row in found.halted}
        names = sorted({*self.playbooks, *halted})
        cancel = call.query.get("cancel", "")
        return self.pages.page(
            "switches.html",
            call.user,
            here="switches",
            playbooks=[(name, self.playbooks.get(name), halted.get(name)) for name in names],
            command_ids=[str(uuid4()) for _ in range(len(names) + 1)],
            found=found,
            resolution_ids=[str(uuid4()) for _ in found.unresolved],
            cancel=str(read_uuid(cancel, "cancel")) if cancel else "",
            done=done,
        )

    async def plan_cancel(self, call: Call) -> Response:
        wanted = CaseFilter.parse(call.query, self.pages.today())
        found = await self.cases.open_cases(wanted, MAX_CANCEL, call.user.tenants)
        return self.pages.page(
            "cancel.html",
            call.user,
            here="switches",
            wanted=wanted,
            plan=[(row, str(uuid4())) for row in found[:MAX_CANCEL]],
            more=len(found) > MAX_CANCEL,
            results=None,
        )

    async def cancel(self, call: Call) -> Response:
        reason, signed_at = call.field("reason"), call.field("signed_at", most=40)
        fields = [[str(each) for each in call.form.getlist(name)] for name in ("case_id", "command_id", "signature")]
        if not 0 < len(fields[0]) <= MAX_CANCEL or len({len(values) for values in fields}) != 1:
            raise BadInput(f"each case needs one signature, and at most {MAX_CANCEL} are cancelled at once: sign again")
        commands = [
            OperatorCommand(
                command_id=str(read_uuid(command_id, "command_id")),
                action="cancel",
                target=str(read_uuid(case_id, "case")),
                operator=call.user.name,
                reason=reason,
                signed_at=signed_at,
                signature=signature,
            )
            for case_id, command_id, signature in zip(*fields, strict=True)
        ]
        await call.require_cases(UUID(each.target) for each in commands)
        log.warning("console.cancel", user=call.user.name, cases=len(commands), reason=reason)
        results = await self.commands.cancel(commands)
        return self.pages.page("cancel.html", call.user, here="switches", results=results)

    async def resolve(self, call: Call) -> Response:
        sent = call.field("sent", most=3)
        if sent not in {"yes", "no"}:
            raise BadInput("sent is invalid: yes or no")
        case_id = read_uuid(call.field("case_id", most=36), "case")
        await call.require_cases([case_id])
        result = await self.commands.resolve(
            resolution_id=read_uuid(call.field("resolution_id", most=36), "resolution_id"),
            case_id=case_id,
            content_sha256=call.field("content_sha256", most=64),
            provider_message_id=call.field("provider_message_id", most=200) if sent == "yes" else None,
            operator=call.user.name,
            evidence=call.field("reason"),
            signed_at=call.field("signed_at", most=40),
            signature=call.field("signature", most=200),
        )
        log.warning("console.resolved", user=call.user.name, case_id=str(case_id), result=result)
        return await self._switches_page(call, f"case {str(case_id)[:8]}: {result or 'stored; not confirmed yet'}")

    async def hand_in_command(self, call: Call) -> Response:
        action = call.field("action", most=10)
        if action not in ACTIONS:
            raise BadInput("the action is invalid: halt, resume or cancel")
        command = OperatorCommand(
            command_id=str(read_uuid(call.field("command_id", most=36), "command_id")),
            action=action,
            target=call.field("target", most=60),
            operator=call.user.name,
            reason=call.field("reason"),
            signed_at=call.field("signed_at", most=40),
            signature=call.field("signature", most=200),
        )
        if action == "cancel":
            await call.require_cases([read_uuid(command.target, "case")])
        else:
            call.require_every_tenant()
        result = await self.commands.command(command)
        log.warning("console.command", user=call.user.name, action=action, target=command.target, result=result)
        stored = "stored; a stop is in effect, but the case manager has not answered yet"
        return await self._switches_page(call, f"{action} {command.target}: {result or stored}")
