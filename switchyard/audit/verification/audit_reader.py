"""Verifying the log as it is read, case by case. The role `audit_reader` is enough."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date, datetime, timedelta

from switchyard.audit.records.reader import LogReader
from switchyard.audit.verification.case_verifier import VERIFICATION_GRACE, verify_cases
from switchyard.audit.verification.findings import CaseVerdict, VerifyReport
from switchyard.audit.verification.retired_cases import NO_TRUSTED_KEYS, RetiredCases
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Pool


class AuditReader(LogReader):
    """Reads the log and verifies it. `trusted` are the keys that may have signed a retention receipt."""

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        *,
        clock: Clock | None = None,
        trusted: TrustedKeys = NO_TRUSTED_KEYS,
    ) -> None:
        super().__init__(pool)
        self._catalogue = catalogue
        self._clock = clock or SystemClock()
        self._retired = RetiredCases(pool, trusted)

    async def verify(
        self,
        *,
        case_id: str | None = None,
        day: date | None = None,
        now: datetime | None = None,
        grace: timedelta = VERIFICATION_GRACE,
        limit: int = 1_000,
    ) -> VerifyReport:
        """Verify one case, the cases opened on one day, or the whole log. At most `limit` findings are listed."""
        scope = f"case {case_id}" if case_id else f"day {day.isoformat()}" if day else "all"
        report = VerifyReport(scope, limit)
        async with aclosing(self.verdicts(case_id=case_id, day=day, now=now, grace=grace)) as verdicts:
            async for verdict in verdicts:
                report.add(verdict)
        return report

    async def verdicts(
        self,
        *,
        case_id: str | None = None,
        day: date | None = None,
        now: datetime | None = None,
        grace: timedelta = VERIFICATION_GRACE,
    ) -> AsyncGenerator[CaseVerdict, None]:
        """Case after case, from one snapshot and in bounded memory, however large the log is."""
        case = None if case_id is None else uuid.UUID(case_id)
        # Before the rows are read: a partition that is dropped meanwhile is in the snapshot of the rows.
        dropped = await self._retired.dropped_partitions()
        async with aclosing(self.stored_rows(case, day)) as rows:
            verified = verify_cases(
                self._catalogue,
                rows,
                now=now or self._clock.now(),
                grace=grace,
                retired=lambda case_id: self._retired.of_case(case_id, dropped),
            )
            async for verdict in verified:
                yield verdict
        async with aclosing(self._retired.without_rows(case, day)) as rest:
            async for verdict in rest:
                yield verdict
