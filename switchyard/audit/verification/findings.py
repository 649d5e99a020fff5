"""Findings of a verification: the row, and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from switchyard.audit.records.stored_row import CaseStatus
from switchyard.audit.transparency.checkpoint import CheckpointBody


class FindingKind(StrEnum):
    """What is wrong."""

    UNREADABLE = "unreadable"  # the body is not an event
    DIGEST_MISMATCH = "digest_mismatch"  # the body was altered
    FORGED_SOURCE = "forged_source"  # the body's bus source is not that of its producer
    FORGED_TYPE = "forged_type"  # the body's bus detail-type is not its type
    COLUMN_DIFFERS = "column_differs"  # a column differs from the body
    UNKNOWN_TYPE = "unknown_type"  # no such type or version in the catalogue
    NOT_IN_CATALOGUE = "not_in_catalogue"  # this producer may not send this type to this consumer
    RECORDED_EARLY = "recorded_early"  # recorded before it was produced
    ID_NOT_DERIVED = "id_not_derived"  # the id does not follow from the parent
    MISSING_PARENT = "missing_parent"  # a parent is not in the log: it was removed, or this row was inserted
    WRONG_SEQ = "wrong_seq"  # not the parents' greatest plus one
    NO_FIRST_EVENT = "no_first_event"
    SECOND_FIRST_EVENT = "second_first_event"
    SECOND_ENDING = "second_ending"  # a case ends once per attempt
    RETRY_UNFOUNDED = "retry_unfounded"  # its parent is not the failure that ended the case
    JOIN_UNFOUNDED = "join_unfounded"  # its parents are not its gather and each branch's end, or its results not theirs
    MISSING_SIBLING = "missing_sibling"  # its parent had more children than the log has
    SIBLINGS_DISAGREE = "siblings_disagree"  # two children of one parent have one ordinal or different counts
    DUPLICATE = "duplicate"  # the log has the event twice
    BODY_MISSING = "body_missing"  # the body is missing, and no valid receipt names it
    FORGED_RECEIPT = "forged_receipt"  # a receipt without a trusted signature, or about another case
    RETIRED_ROW_MISSING = "retired_row_missing"  # a receipt names a row that is missing from an existing partition
    CASE_FACT_DIFFERS = "case_fact_differs"  # a value that the whole case shares differs in this event
    ROW_MISSING = "row_missing"  # the row of a log entry is missing
    ROW_DIFFERS = "row_differs"  # the row differs from its log entry
    ROW_UNINDEXED = "row_unindexed"  # refused by the sequencer, or past the queue: no log index, and waits for none
    INDEX_MISSING = "index_missing"  # a gap in the log indexes: an entry was removed
    INDEX_DUPLICATE = "index_duplicate"  # two entries name one event
    INDEX_DIFFERS = "index_differs"  # the entry differs from the signed leaf
    FORGED_SIGNATURE = "forged_signature"  # not signed by the person it names, or by an unknown key
    FORGED_ROW = "forged_row"  # its MAC is not that of the audit process, or of another time
    BACKDATED = "backdated"  # recorded before the checkpoint before, or after its own
    CHECKPOINT_MISSING = "checkpoint_missing"  # a gap in the checkpoint numbers: one was removed
    CHECKPOINT_UNREADABLE = "checkpoint_unreadable"
    CHECKPOINT_FORGED = "checkpoint_forged"  # not signed by a trusted key
    CHECKPOINT_UNLINKED = "checkpoint_unlinked"  # it does not continue the one before
    CHECKPOINT_OVERWRITTEN = "checkpoint_overwritten"  # or marked as deleted
    CHECKPOINT_UNLOCKED = "checkpoint_unlocked"  # Object Lock does not protect it
    CHECKPOINT_DIFFERS = "checkpoint_differs"  # the database's copy differs, or is missing


@dataclass(frozen=True, slots=True)
class Finding:
    """One error. `event_id` and `opened_on` name the row; a finding about a whole case has neither.

    A finding about a checkpoint or a missing row has no `case_id` either.
    """

    kind: FindingKind
    why: str
    field: str | None = None
    case_id: str | None = None
    event_id: str | None = None
    opened_on: date | None = None


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """The findings in one case. `pending` become findings if no event arrives in the grace period to explain them."""

    case_id: str
    status: CaseStatus
    rows: int
    findings: tuple[Finding, ...] = ()
    pending: tuple[Finding, ...] = ()


@dataclass(slots=True)
class CheckpointReport:
    """The result of a verification against checkpoints. Lists are cut at `limit`; the counts are not.

    `body_retired` counts the rows without bodies; `unlocked` checkpoints are not under Object Lock. `uncovered_rows`
    are after the last checkpoint, `unindexed` are those of them without a log index; the first was recorded at `since`.
    Rows before `first_index` were not read, and `last_index` is the last one that was. `settled` is the last checkpoint
    under which no finding is pending.
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
    first_index: int = 1
    last_index: int = 0
    settled: CheckpointBody | None = None
    finding_count: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there are no findings, and at least one checkpoint if there are rows."""
        return self.finding_count == 0 and (self.checkpoints > 0 or self.first_index > 1 or self.uncovered_rows == 0)

    def merge(self, later: CheckpointReport) -> None:
        """Add the report about the checkpoints that follow."""
        for name in ("checkpoints", "unlocked", "covered_rows", "body_retired", "uncovered_rows", "unindexed"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.since = min((each for each in (self.since, later.since) if each), default=None)
        self.last_made_at = later.last_made_at or self.last_made_at
        self.settled = later.settled or self.settled
        self.last_index = max(self.last_index, later.last_index)
        self.finding_count += later.finding_count
        self.findings += later.findings[: self.limit - len(self.findings)]

    def add(self, found: Iterable[Finding]) -> None:
        """Count findings."""
        for each in found:
            self.finding_count += 1
            if len(self.findings) < self.limit:
                self.findings.append(each)


@dataclass(slots=True)
class VerifyReport:
    """The result of verifying all cases of a scope. Lists are cut at `limit`; the counts are not."""

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
        """Whether there are no findings and no unended cases."""
        return self.finding_count == 0 and self.unended == 0

    def add(self, verdict: CaseVerdict) -> None:
        """Count one case."""
        self.cases += 1
        self.rows += verdict.rows
        self.closed += verdict.status is CaseStatus.CLOSED
        self.open += verdict.status is CaseStatus.OPEN
        self.pending_count += len(verdict.pending)
        self.add_findings(verdict.findings)
        self.unended += verdict.status is CaseStatus.UNENDED
        if verdict.status is CaseStatus.UNENDED and len(self.unended_cases) < self.limit:
            self.unended_cases.append(verdict.case_id)

    def add_findings(self, found: Sequence[Finding]) -> None:
        """Count findings."""
        self.finding_count += len(found)
        self.findings += found[: self.limit - len(self.findings)]

    def merge(self, later: VerifyReport) -> None:
        """Add the report about the cases that follow."""
        for name in ("cases", "rows", "closed", "open", "unended", "finding_count", "pending_count"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.findings += later.findings[: self.limit - len(self.findings)]
        self.unended_cases += later.unended_cases[: self.limit - len(self.unended_cases)]
