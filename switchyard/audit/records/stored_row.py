"""A row of the log, as the statement `stored` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from switchyard.audit.records.projection import Transition
from switchyard.runtime.database.queries import load_queries

STORED_SQL = load_queries(__file__)
"""`stored` (case_id, opened_on, case_ids, from, before): the rows that match all that is not null, in causal order
within each case. `from` and `before` are case ids, too."""

SCAN_TIMEOUT_S = 3_600.0
"""Limit of one statement that reads every case, in seconds."""


class CaseStatus(StrEnum):
    """Whether a case has ended."""

    CLOSED = "closed"
    OPEN = "open"  # no ending yet, and its deadline has not passed
    UNENDED = "unended"  # no ending after its deadline: the ending was lost or removed


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the log as it is stored."""

    row: Transition
    recorded_at: datetime
    mac: bytes = b""
    mac_key: str = ""
    retired: bool = False
    """Whether the body was retired: `row.body` is empty then."""
    receipted: bool = False
    """Whether the log has a receipt of the case, valid or not."""


def read_stored_row(record: Any) -> StoredRow:
    """The row of a database record."""
    *fields, body, recorded_at, mac, mac_key, receipted = record
    # An array of an owner's may have more dimensions, or nulls.
    row = Transition(*[*fields, body or ""])._replace(parents=tuple(map(str, record["parents"])))
    return StoredRow(row, recorded_at, mac, mac_key, retired=body is None, receipted=receipted)
