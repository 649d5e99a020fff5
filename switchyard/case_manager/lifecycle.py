"""Close: the first outcome of a case wins, and nothing else emits `CaseClosed`."""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.case_manager.store import CaseStore
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp


@dataclass(frozen=True)
class CaseCloser:
    """What closing depends on."""

    store: CaseStore
    clock: Clock
    catalogue: Catalogue

    async def close_case(self, event: ReceivedEvent[Contract]) -> Json:
        """The one `CaseClosed` of the event's case: this one, or the one that came first."""
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
                    RejectionReason.UNKNOWN, f"the case manager does not close on {type(other).__name__}", field="type"
                )
        return await self.close_with(event.envelope, payload)

    async def close_with(self, cause: Envelope, payload: CaseClosed) -> Json:
        """Close the case of `cause`, in the try that `cause` belongs to, with this outcome unless it has one.

        Publish the result, then call `forget`.
        """
        kept = {payload.answer.sha256} if payload.answer else set()
        places = {sha256: place for sha256, place in cause.storage_refs.items() if sha256 in kept}
        event = derive_event(self.catalogue, cause, payload, node_from=CASE_MANAGER, storage_refs=places)
        stamped = stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context())
        return await self.store.close(cause.case_id, cause.attempt or "", payload.outcome, stamped)

    async def drop_timers(self, case_id: str) -> None:
        """Drop the timers of a case whose ending is on the bus."""
        await self.store.stop_timers([case_id])
