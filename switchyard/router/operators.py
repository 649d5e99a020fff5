"""Who may have a failed task done again: an operator who signed this very retry."""

from __future__ import annotations

from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import retry_statement


def authorise_retry(operators: OperatorKeys, event: Envelope, retried: TaskRetried) -> None:
    """Raise `InvalidEvent` (forged) unless an operator signed this very retry."""
    statement = retry_statement(
        case_id=event.case_id,
        failed=event.parents[0] if len(event.parents) == 1 else "",
        command=str(retried.command.get("digest")),
        closed=retried.closed,
        operator=retried.operator,
        reason=retried.reason,
        requested_at=retried.requested_at,
    )
    operators.verify(retried.operator, statement, retried.signature)
