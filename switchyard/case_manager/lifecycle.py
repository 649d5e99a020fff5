"""The end of a case: its first outcome wins, and nothing else emits `CaseClosed`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import structlog

from switchyard.case_manager.operator_commands import read_command
from switchyard.case_manager.store import CaseStore
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import Cancellation, CaseClosed
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.periodic import SetAside

log = structlog.get_logger(__name__)
_EXPIRED = CaseClosed(
    outcome="expired",
    code="case_deadline",
    message="The case had no outcome by its deadline.",
    remedy="see where it stopped with `switchyard case show`, or allow more time with deadline_ms",
)
_TURN_NOT_REACHED = CaseClosed(
    outcome="expired",
    code="turn_not_reached",
    message="By the deadline an earlier turn of the session was still open.",
    remedy="ask again when the earlier turns have ended, or allow more time with deadline_ms",
)


@dataclass(frozen=True)
class CaseCloser:
    """Closes cases: on the router's word, at their deadline, or because an operator cancelled them."""

    store: CaseStore
    clock: Clock
    catalogue: Catalogue
    aside: SetAside = field(default_factory=lambda: SetAside("case_ending"))

    async def close_case(self, event: ReceivedEvent[Contract]) -> list[Json]:
        """The one `CaseClosed` of the event's case and attempt, this one or the one that came first; and the opening of
        the session's next turn."""
        match event.payload:
            case CloseCase() as asked:
                payload = CaseClosed.model_validate_json(asked.model_dump_json())
            case TaskFailed() as failed:
                payload = CaseClosed(
                    outcome="failed",
                    code=failed.code,
                    message=failed.message,
                    field=failed.field,
                    remedy=failed.remedy,
                    node=event.envelope.node_from,
                )
            case other:
                raise InvalidEvent(
                    RejectionReason.UNKNOWN, f"the case manager does not close on {type(other).__name__}", "type"
                )
        return await self._close(event.envelope, payload)

    async def close_expired(self) -> list[Json]:
        """Close the cases whose deadline is over; their endings, and what follows from them."""
        ended: list[Json] = []
        for due in await self.store.due(self.clock.now(), self.aside.names()):
            case_id = due.opened["case_id"]
            log.warning("case.expired", case_id=case_id, queued=due.queued)
            with self.aside.guard(case_id):
                ended += await self._close(_envelope(due.opened), _TURN_NOT_REACHED if due.queued else _EXPIRED)
        return ended

    async def close_cancelled(self) -> list[Json]:
        """Close the open cases that operators cancelled; their endings, and what follows from them."""
        ended: list[Json] = []
        for opened, row in await self.store.cancelled_open(self.aside.names()):
            with self.aside.guard(opened["case_id"]):
                command = read_command(row)
                payload = CaseClosed(
                    outcome="cancelled",
                    code="cancelled",
                    message=f"By {command.operator}: {command.reason}"[:2_000],
                    cancellation=Cancellation(
                        command_id=command.command_id,
                        operator=command.operator,
                        reason=command.reason,
                        signed_at=command.signed_at,
                        signature=command.signature,
                    ),
                )
                ended += await self._close(_envelope(opened), payload)
        return ended

    async def _close(self, cause: Envelope, payload: CaseClosed) -> list[Json]:
        """Close the case of `cause`, in the attempt that `cause` belongs to, with this outcome unless it has one."""
        kept = {payload.answer.sha256} if payload.answer else set()
        places = {sha256: place for sha256, place in cause.storage_refs.items() if sha256 in kept}
        event = derive_event(self.catalogue, cause, payload, node_from=CASE_MANAGER, storage_refs=places)
        stamped = stamp_event(
            event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context(cause.trace)
        )
        closed = await self.store.close(cause.case_id, cause.attempt or "", payload.outcome, stamped)
        await self.store.stop_timers([cause.case_id])
        return closed


def _envelope(event: Json) -> Envelope:
    return Envelope.model_validate_json(json.dumps(event))
