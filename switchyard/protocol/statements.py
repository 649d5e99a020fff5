"""What an operator signs, as bytes.

The same for the signer, for the case manager that decides and for an auditor later.
"""

from __future__ import annotations

from switchyard.protocol.canonical import canonical_json

RETRY_STATEMENT_TYPE = "switchyard/retry/1"
"""Stands in the statement, so that a signature for one purpose is none for another."""


def retry_statement(
    *, case_id: str, failed: str, command: str, closed: str, operator: str, reason: str, requested_at: str
) -> bytes:
    """A request to have a failed task done again. `failed`, `command` and `closed` are digests of events of the log."""
    return canonical_json(
        {
            "purpose": RETRY_STATEMENT_TYPE,
            "case_id": case_id,
            "failed": failed,
            "command": command,
            "closed": closed,
            "operator": operator,
            "reason": reason,
            "requested_at": requested_at,
        }
    )
