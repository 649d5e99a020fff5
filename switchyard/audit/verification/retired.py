"""Proof of rows whose bodies were retired: the receipt stands for the body. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

from switchyard.audit.receipts.receipts import (
    RetentionReceipt,
    RetiredEvent,
    Retirement,
    UnreadableReceipt,
    by_event,
    columns_sha256,
    read_retirement,
)
from switchyard.audit.transparency.checkpoints import Leaf
from switchyard.audit.verification.findings import CaseStatus, CaseVerdict, Finding, FindingKind, StoredRow
from switchyard.runtime.crypto.signing import TrustedKeys

NO_TRUSTED_KEYS = TrustedKeys(())


class RetiredCase:
    """The receipts of one case, read and checked once. `findings` is what does not hold about them."""

    def __init__(
        self,
        receipts: Iterable[RetentionReceipt],
        trusted: TrustedKeys = NO_TRUSTED_KEYS,
        *,
        dropped: Collection[str] = (),
    ) -> None:
        """`dropped` are the names of the partitions that were dropped; see `partition_of`."""
        self.findings: list[Finding] = []
        self._dropped = dropped
        self.retirements = tuple(self._believed(receipts, trusted))
        self._events: Mapping[str, RetiredEvent] = by_event(self.retirements)

    @property
    def events(self) -> tuple[RetiredEvent, ...]:
        """Every event that a believed receipt names."""
        return tuple(self._events.values())

    def proves(self, leaf: Leaf, *, present: bool) -> bool:
        """Whether a believed receipt proves that what was in a log_index was retired, body or whole row."""
        event, opened_on = self._events.get(leaf.event_id), leaf.opened_on.isoformat()
        return (
            event is not None
            and (event.digest, event.body_sha256) == (leaf.digest, leaf.body_sha256.hex())
            and opened_on in {retirement.opened_on for retirement in self.retirements}
            and (present or partition_of(opened_on) in self._dropped)
        )

    def row_findings(self, stored: StoredRow) -> Iterator[Finding]:
        """What does not hold about a row without a body."""
        row, event = stored.row, self._events.get(stored.row.event_id)

        def found(kind: FindingKind, why: str, field: str) -> Finding:
            return Finding(kind, row.case_id, row.event_id, row.opened_on, why, field)

        if event is None:
            yield found(FindingKind.BODY_MISSING, "the body is gone, and no receipt that counts names it", "body")
        elif event.digest != row.transcript_hash:
            why = f"the column says {row.transcript_hash}, the receipt {event.digest}"
            yield found(FindingKind.COLUMN_DIFFERS, why, "transcript_hash")
        elif event.parents != row.parents:
            why = "the column names other causes than the receipt"
            yield found(FindingKind.COLUMN_DIFFERS, why, "parents")
        elif event.columns_sha256 != columns_sha256(row, stored.recorded_at):
            why = "a column was altered after the body was retired: they do not have the receipt's hash"
            yield found(FindingKind.COLUMN_DIFFERS, why, "columns_sha256")

    def missing(self, present: Iterable[str]) -> Iterator[Finding]:
        """Events that a receipt names and the log lacks, though their partition was not dropped."""
        there = set(present)
        for retirement in self.retirements:
            if partition_of(retirement.opened_on) in self._dropped:
                continue
            for event in retirement.events:
                if event.event_id not in there:
                    yield _build_receipt_finding(
                        retirement, event, FindingKind.RETIRED_ROW_MISSING, "its receipt is here, its row not"
                    )

    def verdict(self) -> CaseVerdict:
        """The proof of a case of which no row is left: the receipts alone. Raises `IndexError` without any."""
        digests = {event.digest for event in self.events}
        findings = [*self.findings, *self.missing(())]
        for retirement in self.retirements:
            for event in retirement.events:
                if not digests.issuperset(event.parents):
                    why = "its cause is in no receipt of the case"
                    findings.append(_build_receipt_finding(retirement, event, FindingKind.MISSING_PARENT, why))
        case_id = self.retirements[0].case_id if self.retirements else self.findings[0].case_id or ""
        return CaseVerdict(case_id, CaseStatus.CLOSED, len(self.events), tuple(findings))

    def _believed(self, receipts: Iterable[RetentionReceipt], trusted: TrustedKeys) -> Iterator[Retirement]:
        for row in receipts:
            try:
                said, invalid_reason = read_retirement(row), row.receipt.invalid_reason(trusted)
            except UnreadableReceipt as error:
                said, invalid_reason = None, str(error)
            if said is not None and invalid_reason is None:
                yield said
            else:
                why = f"retention receipt {row.part} of the case does not count: {invalid_reason}"
                self.findings.append(
                    Finding(FindingKind.FORGED_RECEIPT, row.case_id, None, row.opened_on, why, "receipt")
                )


def partition_of(opened_on: str) -> str:
    """The partition of a day, YYYY-MM-DD."""
    return f"transition_{opened_on[:7].replace('-', '_')}"


def _build_receipt_finding(retirement: Retirement, event: RetiredEvent, kind: FindingKind, why: str) -> Finding:
    return Finding(kind, retirement.case_id, event.event_id, date.fromisoformat(retirement.opened_on), why)
