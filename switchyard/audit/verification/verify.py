"""Prove the log: recompute what can be recomputed, and name every row that does not hold. Pure.

What a chain alone cannot show: that its last events, or a whole case, were removed or rewritten consistently by the
database's owner. A removed ending shows as a case that never ended; the rest needs checkpoints outside the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta

from switchyard.audit.records.projection import AlarmKind, Transition, examine_message
from switchyard.audit.verification.attempts import latest_attempt_ended
from switchyard.audit.verification.chain import PENDING_KINDS, EventFact, build_finding, check_chain
from switchyard.audit.verification.findings import CaseStatus, CaseVerdict, Finding, FindingKind, StoredRow
from switchyard.audit.verification.retired import RetiredCase
from switchyard.protocol.catalogue import Catalogue

VERIFICATION_GRACE = timedelta(minutes=5)
"""How long a delivery may be late before it counts as missing."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far a producer's clock may be ahead of the database's."""

_ALARMS = {
    AlarmKind.MALFORMED: FindingKind.UNREADABLE,
    AlarmKind.DIGEST_MISMATCH: FindingKind.DIGEST_MISMATCH,
    AlarmKind.FORGED_SOURCE: FindingKind.FORGED_SOURCE,
    AlarmKind.FORGED_TYPE: FindingKind.FORGED_TYPE,
    AlarmKind.UNKNOWN_TYPE: FindingKind.UNKNOWN_TYPE,
    AlarmKind.NOT_IN_CATALOGUE: FindingKind.NOT_IN_CATALOGUE,
}
_BY_THE_CATALOGUE = frozenset({"terminal", "outcome", "catalogued"})
"""Columns that follow from the body and from the catalogue of the day of recording."""


def check_stored_row(catalogue: Catalogue, stored: StoredRow) -> tuple[list[Finding], EventFact]:
    """What does not hold in one row, and what it contributes to its case."""
    row = stored.row
    if stored.retired:
        return [], EventFact(row, stored.recorded_at)  # the receipt stands for the body: see `RetiredCase`
    found = examine_message(catalogue, row.body)
    findings = []
    if found.alarm is not None:
        findings.append(build_finding(row, _ALARMS[found.alarm.kind], found.alarm.reason, found.alarm.field))
    if found.row is not None:
        findings += [
            build_finding(row, FindingKind.COLUMN_DIFFERS, f"the column says {said!r}, the body {meant!r}", name)
            for name, said, meant in zip(Transition._fields, row, found.row, strict=True)
            if said != meant and not (name in _BY_THE_CATALOGUE and found.row.catalogued != row.catalogued)
        ]
    believed = found.row or row
    for name, claimed in (("event_ts", believed.event_ts), ("bus_ts", believed.bus_ts)):
        if claimed is not None and stored.recorded_at < claimed - CLOCK_SKEW:
            why = f"recorded at {stored.recorded_at.isoformat()}, and {name} is {claimed.isoformat()}"
            findings.append(build_finding(row, FindingKind.RECORDED_EARLY, why, "recorded_at"))
            break
    # The case_id stays the column's: that is where the row was found.
    return findings, EventFact(believed._replace(case_id=row.case_id, body=""), stored.recorded_at, found.principal)


class CaseVerifier:
    """The rows of one case, checked as they come; only what the chain needs is kept of each."""

    def __init__(self, catalogue: Catalogue, case_id: str) -> None:
        self.case_id = case_id
        self._catalogue = catalogue
        self._facts: list[EventFact] = []
        self._findings: list[Finding] = []
        self._retired: list[StoredRow] = []
        self._receipted = False

    @property
    def needs_receipts(self) -> bool:
        """Whether there are any, or should be. A forged one is a finding even if every row has its body."""
        return self._receipted or bool(self._retired)

    def add(self, stored: StoredRow) -> None:
        """Check one row."""
        findings, fact = check_stored_row(self._catalogue, stored)
        self._receipted |= stored.receipted
        if stored.retired:
            self._retired.append(stored)
        self._findings += findings
        self._facts.append(fact)

    def verdict(
        self, *, now: datetime, grace: timedelta = VERIFICATION_GRACE, retired: RetiredCase | None = None
    ) -> CaseVerdict:
        """What the whole case comes to at `now`. `retired` are its receipts, if it has any."""
        recorded = {fact.event.event_id: fact.recorded_at for fact in self._facts}
        latest = max(recorded.values())
        findings = [*self._findings, *self._retired_findings(retired or RetiredCase(()))]
        pending: list[Finding] = []
        for found in check_chain(self._facts):
            since = recorded.get(found.event_id or "", latest)
            late = found.kind not in PENDING_KINDS or now - since > grace
            (findings if late else pending).append(found)
        return CaseVerdict(self.case_id, self._status(now, grace), len(self._facts), tuple(findings), tuple(pending))

    def _retired_findings(self, retired: RetiredCase) -> Iterator[Finding]:
        yield from retired.findings
        for stored in self._retired:
            yield from retired.row_findings(stored)
        yield from retired.missing(fact.event.event_id for fact in self._facts)

    def _status(self, now: datetime, grace: timedelta) -> CaseStatus:
        if latest_attempt_ended([fact.event for fact in self._facts]):
            return CaseStatus.CLOSED
        deadline = max(fact.event.case_deadline for fact in self._facts)
        return CaseStatus.UNENDED if now > deadline + grace else CaseStatus.OPEN


def verify_case(
    catalogue: Catalogue, rows: Iterable[StoredRow], *, now: datetime, grace: timedelta = VERIFICATION_GRACE
) -> CaseVerdict:
    """What one case comes to. Raises `ValueError` without rows."""
    check: CaseVerifier | None = None
    for stored in rows:
        check = check or CaseVerifier(catalogue, stored.row.case_id)
        check.add(stored)
    if check is None:
        raise ValueError("a case has at least one row")
    return check.verdict(now=now, grace=grace)


async def verify_cases(
    catalogue: Catalogue,
    rows: AsyncIterator[StoredRow],
    *,
    now: datetime,
    grace: timedelta = VERIFICATION_GRACE,
    retired: Callable[[str], Awaitable[RetiredCase]] | None = None,
) -> AsyncGenerator[CaseVerdict, None]:
    """The verdict of each case, from rows that come case by case. Keeps one case at a time.

    `retired` finds the receipts of a case; without it a row without a body is a finding.
    """

    async def verdict_of(check: CaseVerifier) -> CaseVerdict:
        found = await retired(check.case_id) if retired is not None and check.needs_receipts else None
        return check.verdict(now=now, grace=grace, retired=found)

    check: CaseVerifier | None = None
    async for stored in rows:
        if check is not None and check.case_id != stored.row.case_id:
            yield await verdict_of(check)
            check = None
        check = check or CaseVerifier(catalogue, stored.row.case_id)
        check.add(stored)
    if check is not None:
        yield await verdict_of(check)
