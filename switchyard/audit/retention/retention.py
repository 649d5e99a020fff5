"""Retention: policies, legal holds, and the retirement of bodies, per case in one transaction with a signed receipt."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from switchyard.audit.receipts.receipts import Archive, Retirement, retired_event_of, sign_receipt
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.stored_row import SCAN_TIMEOUT_S, STORED_SQL, CaseStatus, StoredRow, read_stored_row
from switchyard.audit.verification.case_verifier import CaseVerifier
from switchyard.audit.verification.findings import Finding
from switchyard.audit.verification.retired_cases import RetiredCases
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.fields import Json
from switchyard.runtime.core.aws_errors import translate_aws_errors
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.crypto.signing import Signer, TrustedKeys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.objects import ObjectStore

_SQL = load_queries(__file__)
_PAGE = 1_000
_BEFORE_ALL = (date.min, uuid.UUID(int=0))


class CaseObjects:
    """The artefacts of cases, through an aiobotocore S3 client of the composition root.

    In a bucket with versioning a deletion leaves the bytes as an old version, which a lifecycle rule must expire.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def count(self, case_id: str) -> int:
        """The number of the case's artefacts in S3. Raises `Unavailable` if S3 cannot be reached."""
        return sum([len(page) async for page in self._pages(case_id)])

    async def remove(self, case_id: str) -> None:
        """Delete them. Repeating it changes nothing. Raises `Unavailable` like `count`, or if S3 keeps one."""
        async for page in self._pages(case_id):
            with translate_aws_errors("object_store", "S3"):
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in page], "Quiet": True}
                )
            if answer.get("Errors"):
                codes = sorted({error.get("Code", "unknown") for error in answer["Errors"]})
                raise Unavailable("object_store", f"S3 kept {len(answer['Errors'])} objects ({', '.join(codes)})")

    async def _pages(self, case_id: str) -> AsyncIterator[list[str]]:
        listing = self._client.get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=self._bucket, Prefix=f"artefacts/{case_id}/")
        with translate_aws_errors("object_store", "S3"):
            async for page in pages:
                if found := [item["Key"] for item in page.get("Contents", [])]:
                    yield found


@dataclass(frozen=True, slots=True)
class DueCase:
    """A case whose retention is over."""

    opened_on: date
    case_id: str
    playbook: str
    policy_from: datetime
    citation: str
    last_recorded: datetime
    duty_until: datetime | None


class RetirementStatus(StrEnum):
    """The result of a retirement."""

    RETIRED = "retired"
    REOPENED = "reopened"  # retried since it was listed: its retention has not begun
    KEPT = "kept"  # its chain has findings: evidence is not removed


@dataclass(frozen=True, slots=True)
class RetirementOutcome:
    """The result for one case, with the findings that kept it."""

    status: RetirementStatus
    events: int
    findings: tuple[Finding, ...] = ()


async def read_retention(pool: Pool) -> tuple[list[Json], list[Json]]:
    """The policies in force, by playbook, and the legal holds in force. Raises `Unavailable`."""
    database = Database(pool, AUDIT_DATABASE, _SQL)
    return [dict(row) for row in await database.rows("policies")], [dict(row) for row in await database.rows("holds")]


@dataclass
class RetentionStore:
    """Retires cases and sets holds and policies, as the role `audit_retention`.

    Every method raises `Unavailable` when a dependency cannot be reached. `archive` gets the bodies of a case before
    they are removed.
    """

    pool: Pool
    catalogue: Catalogue
    signer: Signer
    clock: Clock
    _: KW_ONLY
    objects: CaseObjects
    trusted: TrustedKeys | None = None
    archive: ObjectStore | None = None

    def __post_init__(self) -> None:
        self._database = Database(self.pool, AUDIT_DATABASE, _SQL)
        self._retired = RetiredCases(self.pool, self.trusted or TrustedKeys([self.signer.public]))

    async def due(self, *, limit: int) -> AsyncIterator[DueCase]:
        """Cases whose retention is over, oldest first, at most `limit`; read in pages."""
        after, left = _BEFORE_ALL, limit
        while left > 0:
            rows = await self._database.rows("due", *after, min(left, _PAGE), timeout_s=SCAN_TIMEOUT_S)
            for row in rows:
                yield DueCase(**row)
            if len(rows) < min(left, _PAGE):
                return
            left -= len(rows)
            after = (rows[-1]["opened_on"], uuid.UUID(rows[-1]["case_id"]))

    async def retire(self, due: DueCase, *, operator: str) -> RetirementOutcome:
        """Remove the bodies of a case. If the process is killed, it is done or can be repeated.

        Raises `asyncpg.RaiseError` if the case is not due any more, for example because of a new legal hold.
        """
        case = uuid.UUID(due.case_id)
        retired = await self._retired.of_case(due.case_id, await self._retired.dropped_partitions())
        async with self._database.transaction() as log:
            await log.execute("one_at_a_time")
            records = await log.with_queries(STORED_SQL).rows("stored", case, due.opened_on, None, None, None)
            stored = [read_stored_row(record) for record in records]
            there = [row for row in stored if not row.retired]
            check = CaseVerifier(self.catalogue, due.case_id)
            for row in stored:
                check.add(row)
            verdict = check.verdict(now=self.clock.now(), grace=timedelta(), retired=retired)
            if verdict.status is not CaseStatus.CLOSED:
                return RetirementOutcome(RetirementStatus.REOPENED, len(there))
            if verdict.findings:
                return RetirementOutcome(RetirementStatus.KEPT, len(there), verdict.findings)
            part = await log.value("next_part", due.opened_on, case)
            statement = Retirement(
                case_id=due.case_id,
                opened_on=due.opened_on.isoformat(),
                part=part,
                playbook=due.playbook,
                policy_from=str(due.policy_from),
                citation=due.citation,
                last_recorded=timestamp(due.last_recorded),
                duty_until=None if due.duty_until is None else timestamp(due.duty_until),
                retired_at=timestamp(self.clock.now()),
                retired_by=operator,
                archive=await self._archived(due, part, there),
                objects=await self.objects.count(due.case_id),
                events=tuple(retired_event_of(row.row, row.recorded_at) for row in there),
            )
            receipt = await sign_receipt(statement, self.signer)
            signed = (receipt.statement, receipt.key, receipt.signature)
            await log.execute("keep_receipt", due.opened_on, case, part, *signed)
            await log.execute("retire", due.opened_on, case)
        # After the commit, so that a body in the log has its artefacts. The next run sweeps if this one is killed.
        await self._remove_artefacts(due.opened_on, case)
        return RetirementOutcome(RetirementStatus.RETIRED, len(there))

    async def sweep(self) -> int:
        """Delete the artefacts of retired cases that interrupted runs have left; the number of cases."""
        left = await self._database.rows("artefacts_left", None, timeout_s=SCAN_TIMEOUT_S)
        return sum([await self._remove_artefacts(row["opened_on"], uuid.UUID(row["case_id"])) for row in left])

    async def drop_partitions(self) -> list[tuple[str, str]]:
        """Drop the partitions of past months without bodies: the name and `dropped`, `kept` or `busy` of each."""
        names = [row["relname"] for row in await self._database.rows("droppable")]
        states = [await self._database.value("drop_partition", name, timeout_s=SCAN_TIMEOUT_S) for name in names]
        return list(zip(names, states, strict=True))

    async def hold(self, case_id: str, *, reason: str, operator: str) -> str:
        """Place a legal hold on a case; its id. It waits for a retirement in progress."""
        return str(await self._database.value("place_hold", uuid.UUID(case_id), reason, operator))

    async def release(self, case_id: str, *, reason: str, operator: str) -> list[str]:
        """Release every legal hold of a case; their ids."""
        rows = await self._database.rows("release_hold", uuid.UUID(case_id), reason, operator)
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
        await self._database.execute(
            "set_policy", playbook, keep_for, duty_for, list(duty_counts_from), citation, operator
        )

    async def _remove_artefacts(self, opened_on: date, case: uuid.UUID) -> bool:
        """Delete a case's artefacts; False if the case has no artefacts, or a legal hold or a late event forbids it."""
        async with self._database.transaction() as log:
            await log.execute("one_at_a_time")
            left = await log.rows("artefacts_left", case)
            if opened_on not in {row["opened_on"] for row in left}:
                return False
            await self.objects.remove(str(case))
            await log.execute("artefacts_removed", opened_on, case)
        return True

    async def _archived(self, due: DueCase, part: int, rows: list[StoredRow]) -> Archive | None:
        if self.archive is None:
            return None
        lines = "".join(json.dumps({"event_id": row.row.event_id, "body": row.row.body}) + "\n" for row in rows)
        data = gzip.compress(lines.encode(), mtime=0)  # the same bytes when it is repeated
        key = f"retired/{due.opened_on}/{due.case_id}-{part}.jsonl.gz"
        uri = await self.archive.put(key, data, content_type="application/gzip")
        return Archive(uri=uri, sha256=hashlib.sha256(data).hexdigest())
