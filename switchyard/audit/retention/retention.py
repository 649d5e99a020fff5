"""Retention: bodies whose time is over leave the log, each case in one transaction with its signed receipt."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from switchyard.audit.receipts.receipts import Archive, Retirement, retired_event_of, sign_receipt
from switchyard.audit.records.case_objects import CaseObjects
from switchyard.audit.records.recorded_event import STORED_SQL, read_stored_row
from switchyard.audit.retention.reader import AUDIT_DATABASE, LONG_S, RETENTION_SQL, RetentionReader
from switchyard.audit.verification.findings import CaseStatus, Finding, StoredRow
from switchyard.audit.verification.verify import CaseVerifier
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.crypto.signing import Signer, TrustedKeys
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.storage.objects import ObjectStore

_PAGE = 1_000
_BEFORE_ALL = (date.min, uuid.UUID(int=0))


@dataclass(frozen=True, slots=True)
class DueCase:
    """A case whose retention is over."""

    opened_on: date
    case_id: str
    playbook: str
    policy_from: str
    citation: str
    last_recorded: datetime
    duty_until: datetime | None


class RetirementStatus(StrEnum):
    """What became of a case that was due."""

    RETIRED = "retired"
    REOPENED = "reopened"  # tried again since it was listed: its retention has not begun
    KEPT = "kept"  # its chain does not hold: evidence is not thrown away


@dataclass(frozen=True, slots=True)
class RetirementOutcome:
    """What became of one case, with the findings that kept it."""

    case_id: str
    fate: RetirementStatus
    events: int
    findings: tuple[Finding, ...] = ()


class RetentionStore:
    """The log, as its retention role. Every method raises `Unavailable` when something is out of reach.

    `archive` takes the bodies of a case before they go, if they are to be kept elsewhere.
    """

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        signer: Signer,
        clock: Clock,
        *,
        objects: CaseObjects,
        trusted: TrustedKeys | None = None,
        archive: ObjectStore | None = None,
    ) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._signer = signer
        self._clock = clock
        self._objects = objects
        self._archive = archive
        self._reader = RetentionReader(pool, trusted or TrustedKeys([signer.public]))

    async def due(self, *, limit: int) -> AsyncIterator[DueCase]:
        """Cases whose retention is over, oldest first, at most `limit`; read in pages."""
        after, left = _BEFORE_ALL, limit
        while left > 0:
            with translate_errors(AUDIT_DATABASE):
                rows = await self._pool.fetch(RETENTION_SQL["due"], *after, min(left, _PAGE), timeout=LONG_S)
            for row in rows:
                yield DueCase(**{**row, "policy_from": str(row["policy_from"])})
            if len(rows) < min(left, _PAGE):
                return
            left -= len(rows)
            after = (rows[-1]["opened_on"], uuid.UUID(rows[-1]["case_id"]))

    async def retire(self, due: DueCase, *, operator: str) -> RetirementOutcome:
        """Take the bodies of a case out of the log. Killed at any moment, it is done or can be done again.

        Raises `asyncpg.RaiseError` if the case is not due any more, for example because it was put on hold.
        """
        case = uuid.UUID(due.case_id)
        retired = await (await self._reader.receipts()).of_case(due.case_id)
        with translate_errors(AUDIT_DATABASE):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(RETENTION_SQL["one_at_a_time"])
                stored = [read_stored_row(record) for record in await connection.fetch(STORED_SQL, case, due.opened_on)]
                there = [row for row in stored if not row.retired]
                check = CaseVerifier(self._catalogue, due.case_id)
                for row in stored:
                    check.add(row)
                verdict = check.verdict(now=self._clock.now(), grace=timedelta(), retired=retired)
                if verdict.status is not CaseStatus.CLOSED:
                    return RetirementOutcome(due.case_id, RetirementStatus.REOPENED, len(there))
                if verdict.findings:
                    return RetirementOutcome(due.case_id, RetirementStatus.KEPT, len(there), verdict.findings)
                part = await connection.fetchval(RETENTION_SQL["next_part"], due.opened_on, case)
                statement = Retirement(
                    case_id=due.case_id,
                    opened_on=due.opened_on.isoformat(),
                    part=part,
                    playbook=due.playbook,
                    policy_from=due.policy_from,
                    citation=due.citation,
                    last_recorded=timestamp(due.last_recorded),
                    duty_until=None if due.duty_until is None else timestamp(due.duty_until),
                    retired_at=timestamp(self._clock.now()),
                    retired_by=operator,
                    archive=await self._archived(due, part, there),
                    objects=await self._objects.count(due.case_id),
                    events=tuple(retired_event_of(row.row, row.recorded_at) for row in there),
                )
                receipt = await sign_receipt(statement, self._signer)
                await connection.execute(
                    RETENTION_SQL["keep_receipt"],
                    due.opened_on,
                    case,
                    part,
                    receipt.statement,
                    receipt.key,
                    receipt.signature,
                )
                await connection.execute(RETENTION_SQL["retire"], due.opened_on, case)
        # After the commit: a body that is still there has its artefacts. Killed in between, the next run sweeps.
        await self._remove_artefacts(due.opened_on, case)
        return RetirementOutcome(due.case_id, RetirementStatus.RETIRED, len(there))

    async def sweep(self) -> int:
        """Delete the artefacts that runs which were killed have left of retired cases; of how many cases."""
        with translate_errors(AUDIT_DATABASE):
            left = await self._pool.fetch(RETENTION_SQL["artefacts_left"], None, timeout=LONG_S)
        return sum([await self._remove_artefacts(row["opened_on"], uuid.UUID(row["case_id"])) for row in left])

    async def drop_partitions(self) -> list[tuple[str, str]]:
        """Drop past months of which nothing is left: the name and `dropped`, `kept` or `busy` of each."""
        with translate_errors(AUDIT_DATABASE):
            names = [row["relname"] for row in await self._pool.fetch(RETENTION_SQL["droppable"])]
            return [
                (name, str(await self._pool.fetchval(RETENTION_SQL["drop_partition"], name, timeout=LONG_S)))
                for name in names
            ]

    async def hold(self, case_id: str, *, reason: str, operator: str) -> str:
        """Put a case on hold; the hold's id. It waits for a retirement that is under way."""
        with translate_errors(AUDIT_DATABASE):
            return str(await self._pool.fetchval(RETENTION_SQL["place_hold"], uuid.UUID(case_id), reason, operator))

    async def release(self, case_id: str, *, reason: str, operator: str) -> list[str]:
        """Release every hold of a case; their ids."""
        with translate_errors(AUDIT_DATABASE):
            rows = await self._pool.fetch(RETENTION_SQL["release_hold"], uuid.UUID(case_id), reason, operator)
        return [row["hold_id"] for row in rows]

    async def set_policy(
        self,
        playbook: str,
        *,
        keep_for: timedelta,
        duty_for: timedelta | None,
        duty_counts_from: Sequence[str],
        citation: str,
        operator: str,
    ) -> None:
        """Set a playbook's policy from now on. Raises `asyncpg.IntegrityConstraintViolationError` for one too short."""
        with translate_errors(AUDIT_DATABASE):
            await self._pool.execute(
                RETENTION_SQL["set_policy"], playbook, keep_for, duty_for, list(duty_counts_from), citation, operator
            )

    async def _remove_artefacts(self, opened_on: date, case: uuid.UUID) -> bool:
        """Whether there was something to remove, and nothing (a hold, a late event) that forbids it by now."""
        with translate_errors(AUDIT_DATABASE):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(RETENTION_SQL["one_at_a_time"])
                left = await connection.fetch(RETENTION_SQL["artefacts_left"], case)
                if opened_on not in {row["opened_on"] for row in left}:
                    return False
                await self._objects.remove(str(case))
                await connection.execute(RETENTION_SQL["artefacts_removed"], opened_on, case)
        return True

    async def _archived(self, due: DueCase, part: int, rows: list[StoredRow]) -> Archive | None:
        if self._archive is None:
            return None
        lines = "".join(json.dumps({"event_id": row.row.event_id, "body": row.row.body}) + "\n" for row in rows)
        data = gzip.compress(lines.encode(), mtime=0)  # the same bytes when it is done again
        key = f"retired/{due.opened_on}/{due.case_id}-{part}.jsonl.gz"
        uri = await self._archive.put(key, data, content_type="application/gzip")
        return Archive(uri=uri, sha256=hashlib.sha256(data).hexdigest())
