"""Verification of one case from its rows: recompute everything, and name every row with an error. Pure.

A hash chain alone cannot show that the database's owner removed the last events or a whole case, or rewrote them
consistently. A removed ending shows as an unended case; the rest needs checkpoints outside the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from switchyard.audit.records.projection import AlarmKind, Transition, examine_message
from switchyard.audit.records.row_mac import CLOCK_SKEW, MacKeys, invalid_mac_reason
from switchyard.audit.records.store import authentic_row
from switchyard.audit.records.stored_row import CaseStatus, StoredRow
from switchyard.audit.verification.chain import PENDING_KINDS, RETRIED_TYPE, EventFact, build_finding, check_chain
from switchyard.audit.verification.findings import CaseVerdict, Finding, FindingKind
from switchyard.audit.verification.retired_cases import RetiredCase
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.received import read_bus_event
from switchyard.protocol.signed_events import CAUSES, SIGNED_EVENTS, SignerRings, check_signatures

VERIFICATION_GRACE = timedelta(minutes=5)
"""How long a delivery may be late before it counts as missing."""

_KNOWN = frozenset({"catalogued"})
_BY_THE_CATALOGUE = _KNOWN | {"terminal", "outcome"}
"""Columns that depend on the catalogue at the time of recording."""


def check_mac(keys: MacKeys, stored: StoredRow) -> Iterator[Finding]:
    """The finding about a row that the audit process did not record. `keys` has loaded the row's key."""
    if why := invalid_mac_reason(keys, authentic_row(stored.row), stored.mac, stored.mac_key, stored.recorded_at):
        yield build_finding(stored.row, FindingKind.FORGED_ROW, why, "mac")


def check_stored_row(catalogue: Catalogue, stored: StoredRow) -> tuple[list[Finding], EventFact]:
    """The findings in one row, and its fact for the chain of its case."""
    row = stored.row
    if stored.retired:
        return [], EventFact(row, stored.recorded_at)  # the receipt replaces the body: see `RetiredCase`
    found = examine_message(catalogue, row.body)
    findings = []
    # The bus's time is a claim, and no reason to doubt the row.
    if found.alarm is not None and found.alarm.kind is not AlarmKind.BUS_TIME:
        malformed = found.alarm.kind is AlarmKind.MALFORMED
        kind = FindingKind.UNREADABLE if malformed else FindingKind(found.alarm.kind)  # the others have equal names
        findings.append(build_finding(row, kind, found.alarm.reason, found.alarm.field))
    if found.row is not None:
        other_catalogue = found.row.catalogued != row.catalogued
        # A type that audit did not know ended nothing then.
        read = found.row if row.catalogued else found.row._replace(terminal=False, outcome=None)
        for name, value, meant in zip(Transition._fields, row, read, strict=True):
            if value != meant and not (other_catalogue and name in (_BY_THE_CATALOGUE if row.catalogued else _KNOWN)):
                why = f"the column is {value!r}, and the body has {meant!r}"
                findings.append(build_finding(row, FindingKind.COLUMN_DIFFERS, why, name))
    event = found.row or row
    for name, claimed in (("event_ts", event.event_ts), ("bus_ts", event.bus_ts)):
        if claimed is not None and claimed - stored.recorded_at > CLOCK_SKEW:
            why = f"recorded at {stored.recorded_at.isoformat()}, and {name} is {claimed.isoformat()}"
            findings.append(build_finding(row, FindingKind.RECORDED_EARLY, why, "recorded_at"))
            break
    # The case_id stays that of the column, under which the row was read.
    known = event._replace(case_id=row.case_id, body="")
    return findings, EventFact(known, stored.recorded_at, found.principal, found.branch, found.ends)


@dataclass(frozen=True, slots=True)
class RowTrust:
    """What a verifier of rows may check with: the keys of the MACs, and the public keys of the people who sign.

    Without one of them, that check is not made.
    """

    macs: MacKeys | None = None
    signers: SignerRings | None = None


NO_ROW_CHECKS = RowTrust()


class CaseVerifier:
    """Checks the rows of one case one by one, and keeps only what the chain needs."""

    def __init__(self, catalogue: Catalogue, case_id: str, trusted: RowTrust = NO_ROW_CHECKS) -> None:
        self.case_id = case_id
        self._catalogue = catalogue
        self._trusted = trusted
        self._causes: dict[str, Json] = {}
        self._facts: list[EventFact] = []
        self._findings: list[Finding] = []
        self._retired: list[StoredRow] = []
        self._receipted = False

    @property
    def needs_receipts(self) -> bool:
        """Whether there are receipts, or should be. A forged one is a finding even if every row has its body."""
        return self._receipted or bool(self._retired)

    def add(self, stored: StoredRow) -> None:
        """Check one row."""
        findings, fact = check_stored_row(self._catalogue, stored)
        self._receipted |= stored.receipted
        if stored.retired:
            self._retired.append(stored)
        elif self._trusted.macs is not None:
            self._findings += check_mac(self._trusted.macs, stored)
        if self._trusted.signers is not None and not stored.retired:
            self._findings += self._check_signatures(stored.row, self._trusted.signers)
        self._findings += findings
        self._facts.append(fact)

    def _check_signatures(self, row: Transition, signers: SignerRings) -> Iterator[Finding]:
        if row.transition not in SIGNED_EVENTS and row.transition not in CAUSES:
            return
        try:
            event = read_bus_event(row.body)[2]
            if row.transition in CAUSES:
                self._causes[row.transcript_hash] = event
            cause = self._causes.get(row.parents[0]) if row.parents else None
            for why in check_signatures(event, cause, signers):
                yield build_finding(row, FindingKind.FORGED_SIGNATURE, why, "signature")
        except (InvalidEvent, KeyError, TypeError):
            # A signature that cannot be read is missing.
            yield build_finding(row, FindingKind.FORGED_SIGNATURE, "its signature cannot be read", "signature")

    def verdict(
        self, *, now: datetime, grace: timedelta = VERIFICATION_GRACE, retired: RetiredCase | None = None
    ) -> CaseVerdict:
        """The verdict on the whole case at `now`. `retired` are its receipts."""
        recorded = {fact.event.event_id: fact.recorded_at for fact in self._facts}
        latest = max(recorded.values())
        receipts = retired or RetiredCase(())
        findings = [*self._findings, *receipts.findings]
        findings += [found for stored in self._retired for found in receipts.row_findings(stored)]
        findings += receipts.missing(recorded)
        pending: list[Finding] = []
        for found in check_chain(self._facts):
            since = recorded.get(found.event_id or "", latest)
            late = found.kind not in PENDING_KINDS or now - since > grace
            (findings if late else pending).append(found)
        return CaseVerdict(self.case_id, self._status(now, grace), len(self._facts), tuple(findings), tuple(pending))

    def _status(self, now: datetime, grace: timedelta) -> CaseStatus:
        events = [fact.event for fact in self._facts]
        # A case ends once per attempt, and each retry begins an attempt.
        if sum(event.terminal for event in events) > sum(event.transition == RETRIED_TYPE for event in events):
            return CaseStatus.CLOSED
        deadline = max(event.case_deadline for event in events)
        return CaseStatus.UNENDED if now - deadline > grace else CaseStatus.OPEN


def verify_case(
    catalogue: Catalogue, rows: Sequence[StoredRow], *, now: datetime, grace: timedelta = VERIFICATION_GRACE
) -> CaseVerdict:
    """The verdict on one case. Raises `IndexError` without rows."""
    check = CaseVerifier(catalogue, rows[0].row.case_id)
    for stored in rows:
        check.add(stored)
    return check.verdict(now=now, grace=grace)


async def verify_cases(
    catalogue: Catalogue,
    rows: AsyncIterator[StoredRow],
    *,
    now: datetime,
    retired: Callable[[str], Awaitable[RetiredCase]] | None = None,
    trusted: RowTrust = NO_ROW_CHECKS,
) -> AsyncGenerator[CaseVerdict, None]:
    """The verdict on each case, from rows that come case by case. One case in memory at a time.

    `retired` reads the receipts of a case; without it a row without a body is a finding.
    """

    async def verdict_of(check: CaseVerifier) -> CaseVerdict:
        found = await retired(check.case_id) if retired is not None and check.needs_receipts else None
        return check.verdict(now=now, retired=found)

    check: CaseVerifier | None = None
    async for stored in rows:
        if check is not None and check.case_id != stored.row.case_id:
            yield await verdict_of(check)
            check = None
        if trusted.macs is not None:
            await trusted.macs.load([stored.mac_key])
        check = check or CaseVerifier(catalogue, stored.row.case_id, trusted)
        check.add(stored)
    if check is not None:
        yield await verdict_of(check)
