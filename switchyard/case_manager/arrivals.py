"""Arrivals: submissions wait in a table, sealed, and become cases in fair turns.

Taking one off its queue costs one row, so that a flood does not keep others waiting on the queue. Cases are opened from
the table: round robin over sources by their shares, and within a source over its tenants.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from faststream_sqs import Coalescer
from switchyard.case_manager.intake import (
    OVER_LIMIT,
    CaseIntake,
    UpstreamPolicy,
    check_source,
    may_submit_for,
    tenant_of,
)
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.rejections import SubmissionInvalid
from switchyard.protocol.errors import invalid
from switchyard.protocol.fields import Json
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
INTAKE_POLL_S = 0.5
INTAKE_WORKERS = 3
"""Loops that open cases: one that waits for a slow dependency holds up none of the others."""

CLAIM_SIZE = 8
CLAIM_S = 30.0
"""How long a worker may take to open what it claimed before another one does."""

RETRY_S = 2.0
"""How soon a submission has another turn after something was unavailable."""

MAX_ADDED = 200
_Add = tuple[str, str, str, bytes, bytes | None, bytes, str]
"""Source, tenant, type, keyed hash, session, sealed submission, trace."""

MAX_FAILURES = 5
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Arrival:
    """A submission whose turn it is. Without `detail`, its row was altered."""

    arrival_id: int
    source: str
    type: str
    detail: Json | None
    trace: dict[str, str]
    failures: int


@dataclass(frozen=True)
class BacklogLimits:
    """How many submissions of one tenant of a source, of one source, and of one session may wait."""

    tenant: int = 20_000
    source: int = 50_000
    session: int = 1_000


class ArrivalTable:
    """The table of arrivals. What upstream sent is encrypted under a key that is derived from the case manager's own:
    the database never has it in the clear. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(
        self,
        database: Database,
        key: bytes,
        limits: BacklogLimits | None = None,
        upstreams: Mapping[str, UpstreamPolicy] | None = None,
    ) -> None:
        self._database = database.with_queries(_SQL)
        self._aead = AESGCM(hmac.digest(key, b"switchyard/arrivals", "sha256"))
        self._mac = KeyedHash(key)
        self._limits = limits or BacklogLimits()
        self._upstreams = upstreams
        self._shares = json.dumps({source: policy.share for source, policy in (upstreams or {}).items()})
        self._adds = Coalescer[_Add, bool](self._add, max_items=MAX_ADDED)

    async def add(self, source: str, type_: str, detail: Json, session: bytes | None = None) -> bool:
        """Let a submission wait for its turn; False if no more of its tenant, source or session may wait. One that
        waits already waits once."""
        # A tenant for which the source may not speak has no turn of its own: it could be any name.
        tenant = tenant_of(detail) if may_submit_for(self._upstreams, source, tenant_of(detail)) else ""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, json.dumps(detail).encode(), _context(source, type_))
        trace = json.dumps(telemetry.trace_context())
        return await self._adds.submit((source, tenant, type_, self._mac(detail), session, sealed, trace))

    async def claim(self, count: int = CLAIM_SIZE) -> list[Arrival]:
        """The submissions whose turn it is; no other worker gets them for `CLAIM_S`."""
        rows = await self._database.rows("claim", count, CLAIM_S, self._shares)
        return [
            Arrival(
                row["arrival_id"],
                row["source"],
                row["type"],
                self._open(row["source"], row["type"], row["sealed"]),
                json.loads(row["trace"]),
                row["failures"],
            )
            for row in rows
        ]

    async def finish(self, arrival_ids: list[int]) -> None:
        """Forget submissions that became cases, or were rejected."""
        await self._database.execute("finish", arrival_ids)

    async def postpone(self, arrival_id: int, seconds: float, *, failed: bool) -> None:
        """Let a submission wait for another turn, and count the failure if it is one."""
        await self._database.execute("postpone", arrival_id, seconds, int(failed))

    async def close(self) -> None:
        """Finish what is under way."""
        await self._adds.close()

    async def _add(self, items: list[_Add]) -> list[bool]:
        columns = (list(column) for column in zip(*items, strict=True))
        limits = self._limits
        rows = await self._database.rows("add", *columns, limits.tenant, limits.source, limits.session)
        over = {row["place"] for row in rows}
        return [place not in over for place in range(1, len(items) + 1)]

    def _open(self, source: str, type_: str, sealed: bytes) -> Json | None:
        try:
            plain = self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _context(source, type_))
        except (InvalidTag, ValueError):
            return None
        detail: Json = json.loads(plain)
        return detail


def _context(source: str, type_: str) -> bytes:
    return json.dumps([source, type_]).encode()


@dataclass(frozen=True)
class ArrivalQueue:
    """Takes submissions in, and opens their cases. Any number of case managers may: every step is safe to repeat."""

    table: ArrivalTable
    intake: CaseIntake
    publisher: Publisher
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Wakes the workers of this process."""

    async def receive(self, source: str, type_: str, detail: Json) -> list[Json]:
        """Let a submission wait for its turn; the rejection to publish, if there is one, of a source that has too many
        waiting. Raises `InvalidEvent` (forged) for a source that is no upstream."""
        check_source(source)
        if await self.table.add(source, type_, detail, self.intake.session_of(source, detail, type_)):
            self.arrived.set()
            return []
        problem = SubmissionInvalid(
            OVER_LIMIT,
            "too many submissions of this tenant, source or session are waiting",
            remedy="send it again when cases of the earlier ones have been opened; send fewer at a time",
        )
        return await self.intake.reject(source, type_, detail, problem, code=problem.code)

    async def tick(self) -> int:
        """Open cases until nothing waits; return how many. Raises `Unavailable` when something cannot be reached."""
        opened = 0
        self.arrived.clear()
        while arrivals := await self.table.claim():
            results = await asyncio.gather(*map(self._open, arrivals), return_exceptions=True)
            settled = zip(arrivals, results, strict=True)
            await self.table.finish([arrival.arrival_id for arrival, result in settled if result is True])
            if failure := next((each for each in results if isinstance(each, BaseException)), None):
                raise failure
            opened += len(arrivals)
        return opened

    async def _open(self, arrival: Arrival) -> bool:
        """Open one case; whether its submission is done with."""
        with telemetry.continue_trace(arrival.trace):
            try:
                await self._publish(arrival)
            except Unavailable as error:
                await self.table.postpone(arrival.arrival_id, error.after_s or RETRY_S, failed=False)
                raise
            except Exception:
                log.exception("submission.failed", submitted_by=arrival.source, failures=arrival.failures + 1)
                await self.table.postpone(
                    arrival.arrival_id, backoff_s(arrival.failures + 1, longest=CLAIM_S), failed=True
                )
                return False
        return True

    async def _publish(self, arrival: Arrival) -> None:
        if arrival.detail is None:
            log.error("submission.altered", alarm="integrity", submitted_by=arrival.source)
            return
        if arrival.failures >= MAX_FAILURES:
            problem = invalid("the case manager could not handle it", remedy="see the case manager's log")
            events = await self.intake.reject(arrival.source, arrival.type, arrival.detail, problem, code="not_handled")
        else:
            events = await self.intake.open_case(arrival.source, arrival.detail, arrival.type)
        # A repeated submission publishes the stored event again, under its own trace.
        trace = telemetry.trace_context()
        await self.publisher.publish([event | {"trace": trace} for event in events])
        for event in events:
            log.info("event.published", type=event["type"], case_id=event["case_id"], event_id=event["event_id"])
