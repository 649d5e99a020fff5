"""The suppression list: addresses that may not be written to, as upstream systems report them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from switchyard.case_manager.intake import UpstreamPolicy, check_source, may_submit_for
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.errors import forged, invalid
from switchyard.protocol.events.case_manager import ContactSuppressed
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.protocol.fields import Json
from switchyard.protocol.received import first_validation_error
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.first_event import build_report
from switchyard.runtime.messaging.outbox import event_text

_SQL = load_queries(__file__)


@dataclass(frozen=True)
class SuppressionList:
    """What suppressing an address depends on."""

    database: Database
    catalogue: Catalogue
    clock: Clock
    mac: KeyedHash
    upstreams: Mapping[str, UpstreamPolicy] | None = None
    principals: PrincipalKeys = field(default_factory=lambda: PrincipalKeys({}))
    """The keys of sources that must sign: a report has no field for a signature, so they may make none."""
    own_sources: frozenset[str] = frozenset()
    """The application's own processes that report: they alone know keyed hashes."""

    async def suppress_contact(self, source: str, detail: Json) -> Json:
        """Put an address on the suppression list; return the event that reports it, the same for a repeated report.
        Raises `InvalidEvent` for an invalid report, and (forged) from a source that may not make it."""
        try:
            requested = SuppressionRequested.model_validate_json(json.dumps(detail))
        except ValidationError as error:
            where, message = first_validation_error(error)
            remedy = "send SuppressionRequested as its JSON Schema has it"
            raise invalid(message, where, remedy) from None
        self._authorise(source, requested)
        key = requested.address_key or self.mac.address(requested.tenant, str(requested.address))
        payload = ContactSuppressed(address_key=key, reason=requested.reason, reported_by=source)
        event = build_report(
            self.catalogue,
            payload,
            chain=json.dumps(["contact", requested.tenant, source, requested.report_id, key]),
            tenant=requested.tenant,
            sub=f"service:{source}",
            now=self.clock.now(),
        )
        # A repeat publishes what was published before: its day is digested, and today's would be another event.
        stored: Json = json.loads(
            await self.database.with_queries(_SQL).value("suppress", key, source, requested.reason, event_text(event))
        )
        return stored

    def _authorise(self, source: str, requested: SuppressionRequested) -> None:
        """Raise `InvalidEvent` (forged) unless the reporter may stop addresses of that tenant. A keyed hash does not
        say whose address it is, so it counts only from the process whose links carry it."""
        check_source(source)
        if self.principals.must_sign(source):
            remedy = "report under a source that SWITCHYARD_PRINCIPAL_KEYS does not name"
            raise forged("a report of a source that must sign what it says", "source", remedy)
        if not may_submit_for(self.upstreams, source, requested.tenant):
            remedy = f"allow the tenant to {source} in SWITCHYARD_UPSTREAMS"
            raise forged("this upstream may not report for that tenant", "tenant", remedy)
        if requested.address_key is not None and source not in self.own_sources:
            message = "an address by its key from a source that is no process of the application"
            raise forged(message, "address_key", "report the address itself")
