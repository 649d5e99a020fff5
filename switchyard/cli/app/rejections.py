"""Submissions that the case manager rejected: an answer that comes back through the log, under an id of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from switchyard.cli.app.errors import CommandFailed

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import AuditReader, CaseSummary
    from switchyard.protocol.fields import Json

POLL_S = 0.3
KNOWN_WAIT_S = 3.0
LATEST = 200
REJECTED = "rejected"


@dataclass
class Rejections:
    """The rejections of some sessions since this was made. Of many alike in an hour the log has only the first few."""

    log: AuditReader
    sessions: Collection[str]
    known: set[str]

    @classmethod
    async def since_now(cls, log: AuditReader, sessions: Iterable[str]) -> Rejections:
        """Those that come from now on."""
        made = cls(log, sorted(set(sessions)), set())
        await made.new()
        return made

    async def new(self) -> list[CaseSummary]:
        """Those that have come since the last look."""
        found = [
            each
            for session in self.sessions
            for each in await self.log.list_cases(session_id=session, outcome=REJECTED, limit=LATEST)
            if each.case_id not in self.known
        ]
        self.known |= {each.case_id for each in found}
        return found

    async def explain(self, rejection: CaseSummary) -> CommandFailed:
        """A rejection as a failure of the command: its id, code, field and remedy."""
        payload = await self.payload(rejection)
        field = f" (field {payload['field']})" if payload.get("field") else ""
        message = f"refused as case {rejection.case_id}: {payload['code']}: {payload['message']}{field}"
        return CommandFailed(message, remedy=payload.get("remedy"))

    async def payload(self, rejection: CaseSummary) -> Json:
        """What the case manager said."""
        from switchyard.cli.app.audit_log import read_events

        found: Json = (await read_events(self.log, rejection.case_id))[-1]["payload"]
        return found


async def wait_for_cases(
    rejections: Rejections, cases: Collection[str], wait_s: float, *, known: Collection[str]
) -> tuple[set[str], list[CaseSummary]]:
    """Which cases are neither open nor refused after a time, and the rejections.

    A case of `known` was open before: another payload for it can only be refused, the same one has no answer.
    """
    import asyncio

    begun = asyncio.get_running_loop().time()
    waiting = set(cases) - set(known)
    refused: list[CaseSummary] = []
    while True:
        refused += await rejections.new()
        waiting -= await rejections.log.known_cases(waiting)
        passed = asyncio.get_running_loop().time() - begun
        if passed > wait_s or (len(waiting) <= len(refused) and (not known or refused or passed > KNOWN_WAIT_S)):
            return waiting, refused
        await asyncio.sleep(POLL_S)
