"""Cases that wait for their user's consent: asked for once, and answered when the grant is renewed."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from switchyard.case_manager.pending_commands import (
    PENDING_BATCH_SIZE,
    PendingCommand,
    PendingCommands,
    decision_deadline,
)
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.case_manager.rejections import PrincipalInvalid
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.errors import forged, invalid
from switchyard.protocol.events.case_manager import ConsentExpired, ConsentGranted, ConsentRequested
from switchyard.protocol.events.router import AskConsent
from switchyard.protocol.events.upstream import GrantRenewed
from switchyard.protocol.fields import Json
from switchyard.protocol.received import ReceivedEvent, first_validation_error
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)


@dataclass(frozen=True)
class ConsentWaits:
    """What waiting for consent depends on. `url` is where users give it."""

    pending: PendingCommands
    principals: PrincipalKeys
    url: str = ""

    async def request_consent(self, event: ReceivedEvent[AskConsent]) -> list[Json]:
        """Keep the command and ask for consent; the stored answer of one that was answered before."""
        envelope = event.envelope
        grant = envelope.principal.grant_ref
        if grant is None:
            raise invalid("the case has no grant that could be renewed", "principal", "submit it as a user")
        due = decision_deadline(event, self.pending.clock.now())
        payload = ConsentRequested(grant=grant, audience=event.payload.audience, until=timestamp(due), url=self.url)
        requested = stamp_event(
            derive_event(self.pending.catalogue, envelope, payload, node_from=CASE_MANAGER),
            occurred_at=timestamp(self.pending.clock.now()),
            trace=telemetry.trace_context(),
        )
        answer = await self.pending.database.with_queries(_SQL).value(
            "ask_consent",
            envelope.event_id,
            envelope.case_id,
            envelope.playbook_version.partition("/")[0],
            event_text(event.raw),
            due,
            grant,
            event_text(requested),
        )
        return [requested] if answer is None else [json.loads(answer)]

    async def renew(self, source: str, detail: Json) -> list[Json]:
        """Answer the commands of this tenant and source that wait for this grant. Raises `InvalidEvent` for an invalid
        report or a grant that has expired, and (forged) for one that its source did not sign. Whether the user may go
        on is still the identity service's decision."""
        try:
            renewed = GrantRenewed.model_validate_json(json.dumps(detail))
        except ValidationError as error:
            where, message = first_validation_error(error)
            raise invalid(message, where, "send GrantRenewed as its JSON Schema has it") from None
        try:
            claims = self.principals.verified_grant(source, renewed.grant)
        except PrincipalInvalid as error:
            raise forged(error.message, "grant", error.remedy or "let the ingress sign the grant") from None
        if claims.tenant != renewed.tenant:
            raise forged("the grant is another tenant's", "tenant", "report the grant under its own tenant")
        if claims.exp <= self.pending.clock.now().timestamp():
            raise invalid("the grant has expired", "grant", "report the grant that the user's new log-in gave")
        events = []
        while rows := await self.pending.database.with_queries(_SQL).rows(
            "waiting_for", claims.jti, PENDING_BATCH_SIZE, claims.tenant, source
        ):
            for row in rows:
                waiting = PendingCommand(str(row["task_id"]), row["kind"], json.loads(row["command"]))
                answer = self.pending.build_answer(waiting.command, ConsentGranted(grant=claims.jti))
                if await self.pending.answer(waiting.task_id, answer):
                    events.append(answer)
        log.info("grant.renewed", grant=claims.jti, cases=len(events))
        return events

    async def expire(self, pending: PendingCommand) -> list[Json]:
        """Answer a command whose user did not give consent in time."""
        event = self.pending.build_answer(pending.command, ConsentExpired())
        return [event] if await self.pending.answer(pending.task_id, event) else []
