"""What a verification finds: which row, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from services.audit.projection import Transition


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of the log as it is stored."""

    row: Transition
    recorded_at: datetime


class FindingKind(StrEnum):
    """What does not hold."""

    UNREADABLE = "unreadable"  # the body is no event any more
    DIGEST_MISMATCH = "digest_mismatch"  # the body was altered
    FORGED_SOURCE = "forged_source"  # the body's bus source is not that of its producer
    FORGED_TYPE = "forged_type"  # the body's bus detail-type is not its type
    COLUMN_DIFFERS = "column_differs"  # a column does not say what the body says
    UNKNOWN_TYPE = "unknown_type"  # no such type or version in the catalogue
    NOT_IN_CATALOGUE = "not_in_catalogue"  # this producer may not send this type to this consumer
    RECORDED_EARLY = "recorded_early"  # recorded before it was produced
    ID_NOT_DERIVED = "id_not_derived"  # the id does not follow from the parent
    MISSING_PARENT = "missing_parent"  # the cause is not in the log: it was removed, or this row was put in
    WRONG_SEQ = "wrong_seq"  # not the parents' greatest plus one
    NO_FIRST_EVENT = "no_first_event"
    SECOND_FIRST_EVENT = "second_first_event"
    SECOND_ENDING = "second_ending"  # a case ends once for each time that it is tried
    RETRY_UNFOUNDED = "retry_unfounded"  # it undoes no ending, or another one than it says
    MISSING_SIBLING = "missing_sibling"  # its cause had more children than the log has
    SIBLINGS_DISAGREE = "siblings_disagree"  # two children of one cause in one place, or counting differently
    DUPLICATE = "duplicate"  # an event that the log has twice
    CASE_FACT_DIFFERS = "case_fact_differs"  # what is one for the whole case is another here


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `event_id` and `opened_on` name the row; None if it is about the whole case."""

    kind: FindingKind
    case_id: str
    event_id: str | None
    opened_on: date | None
    why: str
    field: str | None = None


class CaseStatus(StrEnum):
    """Whether a case has ended."""

    CLOSED = "closed"
    OPEN = "open"  # no ending yet, and its deadline has not passed
    UNENDED = "unended"  # no ending, and its deadline has passed: it was lost, or its ending was removed


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """What was found in one case. `pending` may still be on its way: it is a finding once the grace period is over."""

    case_id: str
    status: CaseStatus
    rows: int
    findings: tuple[Finding, ...] = ()
    pending: tuple[Finding, ...] = ()


@dataclass(slots=True)
class VerifyReport:
    """What was found in all cases of a scope. Lists are cut at `limit`; the counts are not."""

    scope: str
    limit: int = 1_000
    cases: int = 0
    rows: int = 0
    closed: int = 0
    open: int = 0
    unended: int = 0
    finding_count: int = 0
    pending_count: int = 0
    findings: list[Finding] = field(default_factory=list)
    unended_cases: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything holds: no finding, and no case that should have ended and did not."""
        return self.finding_count == 0 and self.unended == 0

    def add(self, verdict: CaseVerdict) -> None:
        """Count one case in."""
        self.cases += 1
        self.rows += verdict.rows
        self.closed += verdict.status is CaseStatus.CLOSED
        self.open += verdict.status is CaseStatus.OPEN
        self.finding_count += len(verdict.findings)
        self.pending_count += len(verdict.pending)
        self.findings += verdict.findings[: self.limit - len(self.findings)]
        if verdict.status is CaseStatus.UNENDED:
            self.unended += 1
            if len(self.unended_cases) < self.limit:
                self.unended_cases.append(verdict.case_id)
