"""Retries: a case that failed is opened again because an operator signed for it.

The signature says who wants it; that it is about what really happened, the hash chain says: the operator sends the
command, its failure and the router's word, and their digests must lead to the ending in the case manager's own table.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue, ValidationError

from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER, Catalogue
from switchyard.protocol.derive import derive_event
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Contract, Identifier, Json, Sentence, Timestamp
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import retry_statement
from switchyard.runtime.core.errors import PermanentTaskError

_FAILED, _CLOSE = TaskFailed.__name__, CloseCase.__name__
_UNQUOTED = frozenset({"storage_refs", "trace"})
"""Of the command: its places travel beside the retry, where the chain does not depend on them."""


class RetryRequest(Contract):
    """What an operator writes into the case manager's table."""

    operator: Identifier
    reason: Annotated[Sentence, Field(min_length=1)]
    requested_at: Timestamp
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
    command: dict[str, JsonValue] = Field(description="The command that failed, as the log has it.")
    failed: dict[str, JsonValue] = Field(description="Its TaskFailed.")
    close: dict[str, JsonValue] = Field(description="The CloseCase that followed.")

    def statement(self, closed: str) -> bytes:
        """What was signed; `closed` is the digest of the case's ending."""
        return retry_statement(
            case_id=str(self.failed.get("case_id")),
            failed=str(self.failed.get("digest")),
            command=str(self.command.get("digest")),
            closed=closed,
            operator=self.operator,
            reason=self.reason,
            requested_at=self.requested_at,
        )


@dataclass(frozen=True)
class RetryEvidence:
    """A request whose three events were read and found to be what they say."""

    request: RetryRequest
    command: Envelope
    failed: Envelope
    close: Envelope


def read_request(text: str, case_id: str) -> RetryEvidence:
    """Read a request. Raises `PermanentTaskError` if it is invalid, or not about a failure of this case."""
    try:
        request = RetryRequest.model_validate_json(text)
        read = RetryEvidence(
            request, *(_event(getattr(request, name), name) for name in ("command", "failed", "close"))
        )
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise PermanentTaskError("bad_request", message, field, "ask with `switchyard case retry`") from None
    except InvalidEvent as error:
        raise PermanentTaskError(
            "evidence_differs", error.message, error.field, "send the events as the log has them"
        ) from error
    command, failed, close = read.command, read.failed, read.close
    if (failed.type, close.type) != (_FAILED, _CLOSE) or {case_id} != {event.case_id for event in (failed, command)}:
        raise PermanentTaskError(
            "not_failed", "what is sent is no failure of this case", "failed", "name a case that failed"
        )
    if failed.node_from == ROUTER:
        raise PermanentTaskError(
            "router_failed", "no task failed: the router could not route", "failed", "submit it again"
        )
    if failed.parents != (command.digest,) or command.node_from != ROUTER or close.parents != (failed.digest,):
        raise PermanentTaskError("evidence_differs", "the three events are not cause and effect", "failed")
    return read


def build_task_retried(
    catalogue: Catalogue, evidence: RetryEvidence, ending: Json | None, operators: OperatorKeys, now: datetime
) -> Json:
    """The `TaskRetried` that opens the case again, but for clock and trace.

    `ending` is the case manager's own record of how that try ended. Raises `PermanentTaskError` with the reason why it
    may not be.
    """
    request, failed = evidence.request, evidence.failed
    if ending is None or ending["parents"] != [evidence.close.digest]:
        raise PermanentTaskError(
            "not_ended_so", "the case manager did not close the case on this failure", "close", "wait, or look again"
        )
    try:
        operators.verify(request.operator, request.statement(ending["digest"]), request.signature)
    except InvalidEvent as error:
        raise PermanentTaskError("not_authorised", error.message, error.field, error.remedy) from error
    if ending["payload"]["outcome"] != "failed":
        raise PermanentTaskError(
            "not_failed", "the case did not end as failed", "close", "only a failure can be tried again"
        )
    for name, until in (("case_deadline", failed.case_deadline), ("principal.exp", failed.principal.exp)):
        if until is not None and datetime.fromisoformat(until) <= now:
            # An operator may repeat what the user asked for, not prolong what the user allowed.
            raise PermanentTaskError(
                "expired", f"what was asked for was allowed until {until}", name, "have it submitted again"
            )
    quoted = {name: value for name, value in request.command.items() if name not in _UNQUOTED}
    payload = TaskRetried(
        task=evidence.command.event_id,
        task_type=evidence.command.type,
        command=quoted,
        closed=ending["digest"],
        operator=request.operator,
        reason=request.reason,
        requested_at=request.requested_at,
        signature=request.signature,
    )
    return derive_event(
        catalogue,
        failed,
        payload,
        node_from=CASE_MANAGER,
        storage_refs=evidence.command.storage_refs,
        attempt=next_attempt(failed.attempt),
    )


def next_attempt(attempt: str | None) -> str:
    """The name of the try after this one.

    Retry-1, retry-2, … Raises `PermanentTaskError` for a replay that is no try.
    """
    number = re.fullmatch(r"retry-([0-9]{1,6})", attempt or "retry-0")
    if number is None:
        raise PermanentTaskError(
            "not_a_try", "what failed was no attempt of the case itself", "attempt", "retry the case itself"
        )
    return f"retry-{int(number[1]) + 1}"


def _event(raw: Json, name: str) -> Envelope:
    try:
        envelope = Envelope.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise InvalidEvent(RejectionReason.MALFORMED, message, field=f"{name}.{field}") from None
    if event_digest(raw) != envelope.digest:
        raise InvalidEvent(RejectionReason.FORGED, f"the {name} was altered", field=f"{name}.digest")
    return envelope
