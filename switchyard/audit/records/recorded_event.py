"""Rows of the log, as the statement `stored` reads them."""

from __future__ import annotations

from typing import Any

from switchyard.audit.records.projection import Transition
from switchyard.audit.verification.findings import StoredRow
from switchyard.runtime.database.queries import load_queries

STORED_SQL = load_queries(__file__)["stored"]
"""Rows of one case, of one day, or of the whole log, in causal order within each case: (case_id, opened_on)."""


def read_stored_row(record: Any) -> StoredRow:
    """The row."""
    *fields, body, recorded_at, receipted = record
    row = Transition(*[*fields, body or ""])
    return StoredRow(row._replace(parents=tuple(row.parents)), recorded_at, retired=body is None, receipted=receipted)
