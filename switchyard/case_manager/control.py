"""The control table: what stops work, and the events that tell the log who stopped what."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from switchyard.case_manager.first_event import build_first_event
from switchyard.case_manager.intake import UpstreamPolicy, check_source, may_submit_for
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.pending_commands import PENDING_BATCH_SIZE
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.case_manager.store import event_text
from switchyard.protocol.catalogue import EXTERNAL, UPSTREAM_PREFIX
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import CaseClosed, ContactSuppressed, PlaybookHalted, PlaybookResumed
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.protocol.fields import Contract, Json, Principal
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.submissions import CASE_ID_NAMESPACE
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__, "pending_commands.sql")
EMAIL_FEEDBACK_SOURCE = f"{UPSTREAM_PREFIX}email_feedback"
"""The process behind the opt-out links."""

EVERY_TENANT = "every-tenant"
"""`tenant` of an event about a playbook, which is no tenant's."""


@dataclass(frozen=True)
class OperatorControl:
    """What control depends on."""

    pool: Pool
    closing: CaseCloser
    clock: Clock
    mac: KeyedHash
    upstreams: Mapping[str, UpstreamPolicy] | None = None
    principals: PrincipalKeys = field(default_factory=lambda: PrincipalKeys({}))
    """The keys of sources that must sign: a report has no place for a signature, so they may make none."""

    async def suppress_contact(self, source: str, detail: Json) -> Json:
        """Record that an address may not be written to, and return the event that says so; a repeat is the same one.

        Raises `InvalidEvent` for a report that is not well formed.
        """
        try:
            refused = SuppressionRequested.model_validate_json(json.dumps(detail))
        except ValidationError as error:
            where, message = first_validation_error(error)
            remedy = "send SuppressionRequested as its JSON Schema has it"
            raise InvalidEvent(RejectionReason.INVALID, message, field=where, remedy=remedy) from None
        self._authorise(source, refused)
        key = refused.address_key or self.mac.address(refused.tenant, str(refused.address))
        payload = ContactSuppressed(address_key=key, reason=refused.reason, reported_by=source)
        chain = json.dumps(["contact", refused.tenant, source, refused.report_id, key])
        event = self._event(chain, refused.tenant, source, payload)
        with translate_errors("the work database"):
            stored = await self.pool.fetchval(
                _SQL["stop_contact"], event["event_id"], key, source, refused.reason, event_text(event)
            )
        # A repeat publishes what was published before: its day is digested, and today's would be another event.
        first: Json = json.loads(stored)
        return first

    def _authorise(self, source: str, refused: SuppressionRequested) -> None:
        """Raise `InvalidEvent` (forged) unless the reporter may stop addresses of that tenant.

        A keyed hash does not say whose address it is, so it counts only from the process whose links carry it.
        """
        check_source(source)
        if self.principals.must_sign(source):
            remedy = "report under a source that SWITCHYARD_PRINCIPAL_KEYS does not name"
            raise InvalidEvent(
                RejectionReason.FORGED,
                "a report of a source that must sign what it says",
                field="source",
                remedy=remedy,
            )
        if not may_submit_for(self.upstreams, source, refused.tenant):
            remedy = f"allow the tenant to {source} in SWITCHYARD_UPSTREAMS"
            raise InvalidEvent(
                RejectionReason.FORGED, "this upstream may not report for that tenant", field="tenant", remedy=remedy
            )
        if refused.address_key is not None and source != EMAIL_FEEDBACK_SOURCE:
            raise InvalidEvent(
                RejectionReason.FORGED, f"an address by its key from another source than {EMAIL_FEEDBACK_SOURCE}",
                field="address_key", remedy="report the address itself",
            )  # fmt: skip

    async def unpublished_events(self) -> list[tuple[str, Json]]:
        """Events about the control table that may not be on the bus yet, with the ids of their rows."""
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["unpublished_notices"], PENDING_BATCH_SIZE)
            unpublished_events = [(str(row["notice_id"]), self._notice(row)) for row in rows]
            # Stored before it is published: what audit misses is found by what the case manager keeps.
            await self.pool.executemany(
                _SQL["keep_notice"], [(notice_id, event_text(event)) for notice_id, event in unpublished_events]
            )
        return unpublished_events

    async def mark_published(self, notice_ids: list[str]) -> None:
        """Note that these are on the bus."""
        with translate_errors("the work database"):
            await self.pool.execute(_SQL["notices_published"], notice_ids)

    async def close_cancelled_cases(self) -> list[tuple[Json, Json]]:
        """Close the cases that an operator cancelled; their openings and endings, to publish."""
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["cancelled_open"], PENDING_BATCH_SIZE)
        ended = []
        for row in rows:
            opened: Json = json.loads(row["opened"])
            payload = CaseClosed(outcome="cancelled", code="cancelled", message=f"By {row['by']}: {row['why']}"[:2_000])
            cause = Envelope.model_validate_json(row["opened"])
            ended.append((opened, await self.closing.close_with(cause, payload)))
        return ended

    def _notice(self, row: Any) -> Json:
        if row["event"] is not None:
            stored: Json = json.loads(row["event"])
            return stored
        model = {"halted": PlaybookHalted, "resumed": PlaybookResumed}[row["kind"]]
        payload = model(playbook=row["key"], operator=row["by"], why=row["why"])
        return self._event(f"notice/{row['notice_id']}", EVERY_TENANT, f"operator:{row['by']}", payload, at=row["at"])

    def _event(self, chain: str, tenant: str, by: str, payload: Contract, *, at: Any = None) -> Json:
        case_id = str(uuid.uuid5(CASE_ID_NAMESPACE, chain))
        now = at or self.clock.now()
        return build_first_event(
            self.closing.catalogue,
            payload,
            event_id=str(uuid.uuid5(uuid.UUID(case_id), type(payload).__name__)),
            case_id=case_id,
            tenant=tenant,
            session_id="control",
            playbook_version="none/0",
            principal=Principal(sub=by if by.startswith("operator:") else f"service:{by}", tenant=tenant),
            node_to=EXTERNAL,
            now=now,
            deadline=now,
            storage_refs={},
        )
