"""Quarantine: rejected messages are stored with the reason, for a person, and raise an alarm."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import datetime
from typing import Protocol

import structlog

from switchyard.protocol.catalogue import UPSTREAM_PREFIX, Catalogue
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.received import read_bus_event
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.storage.objects import ObjectStore

log = structlog.get_logger(__name__)
KEPT_AN_HOUR = 100
"""Messages of one source and reason that a process stores in an hour: enough to see what is wrong."""

MAX_GROUPS = 50
"""Sources and reasons that are counted apart in an hour; the others count together."""


class Quarantine(Protocol):
    """Stores rejected messages."""

    async def keep(self, raw: str, rejection: InvalidEvent) -> None:
        """Return when the bytes are safe. Raises `Unavailable` if they are not; then the message must stay."""


class ObjectQuarantine:
    """Quarantine in S3, under the consumer and the hash of the bytes: a redelivery overwrites itself."""

    def __init__(
        self, objects: ObjectStore, catalogue: Catalogue, *, node: str, clock: Clock, keep_bytes: bool = True
    ) -> None:
        """`keep_bytes=False` is for a consumer of documents from outside, which hold personal data in any shape."""
        self._objects = objects
        self._from_upstream = tuple(type_.name for type_ in catalogue.types_emitted_by(UPSTREAM_PREFIX))
        self._node = node
        self._clock = clock
        self._hour: datetime | None = None
        self._counts: Counter[tuple[str, str]] = Counter()
        self._keep_bytes = keep_bytes

    async def keep(self, raw: str, rejection: InvalidEvent) -> None:
        """See `Quarantine.keep`. The alarm names the refusal and the field, never the bytes. Of one source and reason,
        `KEPT_AN_HOUR` are stored in an hour; those beyond are counted, and the alarm is repeated at each doubling."""
        sha256 = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
        count = self._count(raw, str(rejection.reason))
        if count > KEPT_AN_HOUR:
            if count.bit_count() == 1:
                log.error(
                    "message.quarantined",
                    alarm="integrity" if rejection.reason == "forged" else "quarantine",
                    kind=str(rejection.reason),
                    reason=rejection.message,
                    field=rejection.field,
                    remedy=rejection.remedy,
                    uri=None,
                    count_this_hour=count,
                )
            return
        record = {
            "consumer": self._node,
            "quarantined_at": timestamp(self._clock.now()),
            "reason": rejection.reason,
            "message": rejection.message,
            "field": rejection.field,
            "remedy": rejection.remedy,
            "sha256": sha256,
            "raw": raw if self._may_store_bytes(raw) else None,
        }
        uri = await self._objects.put(
            f"quarantine/{self._node}/{sha256}.json", json.dumps(record).encode(), content_type="application/json"
        )
        log.error(
            "message.quarantined",
            alarm="integrity" if rejection.reason == "forged" else "quarantine",
            kind=str(rejection.reason),
            reason=rejection.message,
            field=rejection.field,
            remedy=rejection.remedy,
            uri=uri,
        )

    def _count(self, raw: str, reason: str) -> int:
        """How many of this source and reason this process has quarantined in this hour, this one included."""
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._counts = hour, Counter()
        try:
            source = read_bus_event(raw)[0]
        except InvalidEvent:
            source = ""
        group = source, reason
        if group not in self._counts and len(self._counts) >= MAX_GROUPS:
            group = "other", reason
        self._counts[group] += 1
        return self._counts[group]

    def _may_store_bytes(self, raw: str) -> bool:
        """Whether the bytes may be kept: a message from outside may hold personal data in the clear. Upstream systems
        and AWS services still have what they sent; quarantine is beyond the reach of an erasure."""
        if not self._keep_bytes:
            return False
        try:
            source, _, _ = read_bus_event(raw)
        except InvalidEvent:
            return not any(name in raw for name in ('"aws.', *self._from_upstream))
        return source.startswith(SOURCE_PREFIX)
