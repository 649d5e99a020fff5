"""Rows of the log, as the statement `stored` reads them."""

from __future__ import annotations

from typing import Any

from services.audit.findings import Stored
from services.audit.projection import Transition


def stored_from(record: Any) -> Stored:
    """The row."""
    *fields, body, recorded_at, receipted = record
    row = Transition(*[*fields, body or ""])
    return Stored(row._replace(parents=tuple(row.parents)), recorded_at, retired=body is None, receipted=receipted)
