"""From the text of a message to a row of the log, or to an alarm. Pure; writing and verifying both use it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from switchyard.protocol.branches import LATE, Branch
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.catalogue import UPSTREAM_PREFIX, Catalogue, EventType
from switchyard.protocol.envelope import SOURCE_PREFIX, Envelope
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import BranchesJoined
from switchyard.protocol.events.router import JoinBranch
from switchyard.protocol.fields import Access, Json, Principal, in_known_years
from switchyard.protocol.received import BusDelivery, find_event_type, read_bus_event, read_delivery

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OUTCOME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MAX_VERSION = 64
_MAX_REASON = 2_000


class AlarmKind(StrEnum):
    """What is wrong with a message."""

    MALFORMED = "malformed"  # no envelope: nothing in it can be trusted
    FORGED_SOURCE = "forged_source"  # the bus source is not that of the producer it names
    FORGED_TYPE = "forged_type"  # the bus detail-type is not the type it names
    DIGEST_MISMATCH = "digest_mismatch"  # altered after it was written
    UNKNOWN_TYPE = "unknown_type"  # audit's catalogue has no such type or version
    NOT_IN_CATALOGUE = "not_in_catalogue"  # this producer may not send this type to this consumer
    DUPLICATE_DIFFERS = "duplicate_differs"  # the log has another event under the same id
    UNSTORABLE = "unstorable"  # the database refuses the row
    BUS_TIME = "bus_time"  # recorded without the bus's time, which cannot be held
    FORGED_ROW = "forged_row"  # in the log, and not recorded by the audit process


_FORGED = {"node_from": AlarmKind.FORGED_SOURCE, "type": AlarmKind.FORGED_TYPE, "digest": AlarmKind.DIGEST_MISMATCH}


@dataclass(frozen=True, slots=True)
class IntegrityAlarm:
    """A row of `integrity_alarm`. A body that must not be kept is not stored."""

    kind: AlarmKind
    event_id: str | None
    case_id: str | None
    reason: str
    field: str | None
    body: str | None
    body_sha256: bytes


class Transition(NamedTuple):
    """A row of `transition` without `recorded_at`, in the order of the insert's columns."""

    opened_on: date
    event_id: str
    case_id: str
    tenant: str
    session_id: str
    principal_sub: str
    subject: str | None
    node_from: str
    node_to: str
    transition: str
    type_version: int
    seq: int
    ordinal: int
    siblings: int
    parents: tuple[str, ...]
    transcript_hash: str
    playbook_version: str
    bundle: str | None
    prompt_version: str | None
    model_id: str | None
    latency_ms: int | None
    rubric_score: int | None
    access: str | None
    time_limit_ms: int | None
    case_deadline: datetime
    terminal: bool
    outcome: str | None
    catalogued: bool
    event_ts: datetime
    source: str
    bus_id: str | None
    bus_ts: datetime | None
    body: str


@dataclass(frozen=True, slots=True)
class ExaminedMessage:
    """What a message comes to: a row, an alarm, or (a valid event that the catalogue does not know) both."""

    row: Transition | None
    alarm: IntegrityAlarm | None
    principal: Principal | None = None
    branch: Branch | None = None
    ends: tuple[str, ...] = ()
    """Of the end of a branch, and of a join: how each branch ended, hashed."""


def examine_message(catalogue: Catalogue, body: str) -> ExaminedMessage:
    """Read an SQS message body. Never raises: a message that cannot be a row is an alarm."""
    try:
        delivery = read_delivery(body)
        doubt, type_ = _catalogue_problem(catalogue, delivery.envelope)
        row = _row(body, delivery, type_)
    except InvalidEvent as rejection:
        kind = _FORGED.get(rejection.field or "") if rejection.reason is RejectionReason.FORGED else None
        return ExaminedMessage(None, build_alarm(kind or AlarmKind.MALFORMED, body, rejection.message, rejection.field))
    except ValueError as error:
        # A boundary: what the contracts do not foresee must not stop the batch either.
        return ExaminedMessage(None, build_alarm(AlarmKind.MALFORMED, body, f"unreadable ({type(error).__name__})"))
    if doubt is None and delivery.bus_time is not None and row.bus_ts is None:
        doubt = AlarmKind.BUS_TIME, "the bus's time cannot be held: the event is recorded without it", "time"
    found = None if doubt is None else build_alarm(doubt[0], body, doubt[1], doubt[2])
    envelope = delivery.envelope
    return ExaminedMessage(row, found, envelope.principal, envelope.branch, _branch_ends(envelope))


def _branch_ends(envelope: Envelope) -> tuple[str, ...]:
    """How branches ended, as `answer` or `failure` and its hash: the same in a branch's end and in the join of it."""
    results = envelope.payload.get("results") if envelope.type == BranchesJoined.__name__ else [envelope.payload]
    if envelope.type not in {BranchesJoined.__name__, JoinBranch.__name__} or not isinstance(results, list):
        return ()
    return tuple(map(_branch_end, results))


def _branch_end(result: object) -> str:
    found: Json = {name: result[name] for name in ("answer", "failure") if isinstance(result, dict) and name in result}
    return f"{'+'.join(found)} {hashlib.sha256(canonical_json(found)).hexdigest()}"


LATE_END = _branch_end({"failure": LATE.model_dump(mode="json", exclude_none=True)})
"""Of a branch that a gather was joined without."""


def _fields(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def build_alarm(kind: AlarmKind, body: str, reason: str, field: str | None = None) -> IntegrityAlarm:
    """An alarm about a message, with the ids that the message claims. `reason` holds no payload text."""
    source, event_id, case_id = _claims(body)
    kept = None if source is not None and source.startswith(UPSTREAM_PREFIX) else _storable(body)
    sha256 = hashlib.sha256(body.encode("utf-8", "surrogatepass")).digest()
    why, where = _storable(reason)[:_MAX_REASON], field and _storable(field)
    return IntegrityAlarm(kind, event_id, case_id, why, where, kept, sha256)


def _catalogue_problem(
    catalogue: Catalogue, envelope: Envelope
) -> tuple[tuple[AlarmKind, str, str] | None, EventType | None]:
    """Why the event is not in the catalogue, and its type if it is."""
    try:
        type_ = find_event_type(catalogue, envelope)
    except InvalidEvent as rejection:
        kind = AlarmKind.UNKNOWN_TYPE if rejection.reason is RejectionReason.UNKNOWN else AlarmKind.NOT_IN_CATALOGUE
        return (kind, rejection.message, rejection.field or "type"), None
    if (envelope.node_from, envelope.node_to) not in type_.flows:
        reason = f"{envelope.node_from} may not send {envelope.type} to {envelope.node_to}"
        return (AlarmKind.NOT_IN_CATALOGUE, reason, "node_to"), None
    return None, type_


_COPIED = (
    *("event_id", "case_id", "tenant", "session_id", "node_from", "node_to", "seq", "ordinal", "siblings", "parents"),
    *("playbook_version", "bundle", "rubric_score", "time_limit_ms"),
)
"""Columns that have the envelope's names and values."""


def _row(body: str, delivery: BusDelivery, type_: EventType | None) -> Transition:
    envelope = delivery.envelope
    call = envelope.model_call
    terminal = type_ is not None and type_.terminal
    return Transition(
        **{name: getattr(envelope, name) for name in _COPIED},
        opened_on=date.fromisoformat(envelope.opened_on),
        principal_sub=envelope.principal.sub,
        subject=envelope.principal.subject,
        transition=envelope.type,
        type_version=envelope.version,
        transcript_hash=envelope.digest,
        prompt_version=call.prompt_version if call else None,
        model_id=call.model_id if call else None,
        latency_ms=call.latency_ms if call else None,
        access=_credentials(envelope.access),
        case_deadline=datetime.fromisoformat(envelope.case_deadline),
        terminal=terminal,
        outcome=_outcome(envelope.payload.get("outcome")) if terminal else None,
        catalogued=type_ is not None,
        event_ts=datetime.fromisoformat(envelope.occurred_at),
        source=SOURCE_PREFIX + envelope.node_from,
        bus_id=_short(delivery.bus_id),
        bus_ts=_claimed_moment(delivery.bus_time),
        body=body,
    )


def _credentials(used: Sequence[Access]) -> str | None:
    """The credentials that a step used, as canonical JSON."""
    return canonical_json([each.model_dump(mode="json") for each in used]).decode() if used else None


def _claimed_moment(value: object) -> datetime | None:
    """The bus's time; an invalid one is left out, because it is a claim and no reason to lose the event."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        # In UTC, because a zone may lead out of the years that can be held.
        return read.astimezone(UTC) if read.tzinfo is not None and in_known_years(read.astimezone(UTC)) else None
    except (ValueError, OverflowError):
        return None


def _short(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _MAX_VERSION else None


def _outcome(value: object) -> str | None:
    # Indexed, and the payload has not been checked against its contract: nothing long may get through.
    return value if isinstance(value, str) and _OUTCOME.fullmatch(value) else None


def _claims(body: str) -> tuple[str | None, str | None, str | None]:
    """The source, the event id and the case id that a message claims, as far as it can be read."""
    try:
        source, _, detail = read_bus_event(body)
    except ValueError:
        return None, None, None
    event_id, case_id = detail.get("event_id"), detail.get("case_id")
    return source, _uuid(event_id), _uuid(case_id)


def _uuid(value: object) -> str | None:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _storable(text: str) -> str:
    """The text as PostgreSQL can hold it: NUL and lone surrogates, which SQS does not carry either, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
