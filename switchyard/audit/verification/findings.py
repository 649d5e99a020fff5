"""What a verification finds: which row, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from switchyard.audit.records.projection import Transition


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the log as it is stored."""

    row: Transition
    recorded_at: datetime
    retired: bool = False
    """Whether the body is gone: `row.body` is empty then."""
    receipted: bool = False
    """Whether the log has a receipt of the case, believed or not."""


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
    BODY_MISSING = "body_missing"  # the body is gone, and no receipt says that it was retired
    FORGED_RECEIPT = "forged_receipt"  # a receipt that no trusted key has signed, or about another case
    RETIRED_ROW_MISSING = "retired_row_missing"  # a receipt names a row that is gone, and its partition is not
    CASE_FACT_DIFFERS = "case_fact_differs"  # what is one for the whole case is another here
    ROW_MISSING = "row_missing"  # the log had a row in this log_index, and has it no more
    ROW_DIFFERS = "row_differs"  # the row is not the one that was given this log_index
    ROW_UNINDEXED = "row_unindexed"  # put in past the door: it has no log_index and waits for none
    INDEX_MISSING = "index_missing"  # log indexes have no gaps: one was removed
    INDEX_DIFFERS = "index_differs"  # a checkpoint covers something else in this log_index
    CHECKPOINT_MISSING = "checkpoint_missing"  # checkpoints are numbered without gaps: one was removed
    CHECKPOINT_UNREADABLE = "checkpoint_unreadable"
    CHECKPOINT_FORGED = "checkpoint_forged"  # not signed by a trusted key
    CHECKPOINT_UNLINKED = "checkpoint_unlinked"  # it does not continue the one before
    CHECKPOINT_COVERED = "checkpoint_covered"  # somebody has written over it, or marked it as deleted
    CHECKPOINT_UNLOCKED = "checkpoint_unlocked"  # Object Lock does not protect it
    CHECKPOINT_DIFFERS = "checkpoint_differs"  # the database's copy says something else, or is missing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `event_id` and `opened_on` name the row; None if it is about the whole case.

    `case_id` is None where no row is left to tell it, and for what is about a checkpoint.
    """

    kind: FindingKind
    case_id: str | None
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
class CheckpointReport:
    """What the checkpoints prove. Lists are cut at `limit`; the counts are not.

    Retention has taken the bodies of `moved_out` rows; `unlocked` checkpoints are not under Object Lock.
    `uncovered` counts the rows after the last checkpoint, `unindexed` those of them that have no log_index yet; `since`
    is when the first of them was recorded.
    """

    limit: int = 1_000
    checkpoints: int = 0
    unlocked: int = 0
    covered_rows: int = 0
    body_retired: int = 0
    uncovered_rows: int = 0
    unindexed: int = 0
    since: datetime | None = None
    last_made_at: str | None = None
    finding_count: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every row under a checkpoint is unchanged, and rows have checkpoints."""
        return self.finding_count == 0 and (self.checkpoints > 0 or self.uncovered_rows == 0)

    def add(self, found: Iterable[Finding]) -> None:
        """Count findings in."""
        for each in found:
            self.finding_count += 1
            if len(self.findings) < self.limit:
                self.findings.append(each)


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
