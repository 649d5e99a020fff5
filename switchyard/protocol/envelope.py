"""The envelope: the fields of every event."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue

from switchyard.protocol.branches import Branch
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.digest import event_digest
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.fields import (
    Access,
    BasisPoints,
    CaseDay,
    Contract,
    Identifier,
    Json,
    Milliseconds,
    ModelCall,
    Name,
    NonNegativeInt,
    Principal,
    Sha256,
    StorageRef,
    TaskBudget,
    Timestamp,
    TypeName,
    Uuid,
)

SOURCE_PREFIX = "switchyard."
"""EventBridge source of an event is this prefix and its `node_from`; upstream systems may not use it (IAM)."""

MAX_DETAIL_BYTES = 200_000
"""A detail above this is refused before publishing. AWS takes 1 MB a PutEvents request, LocalStack 256 KB an entry."""

MAX_STATE_BYTES = 16_384


class Envelope(Contract):
    """One transition of one case.

    Field meanings that a name cannot carry: `seq` is the greatest `seq` of the parents plus one, for reading only;
    `ordinal` and `siblings` say which of how many children of the same cause this is; `parents` are the digests of the
    causes (of a join, the gather first and then its branches in order); `occurred_at` is the producer's clock, a claim.
    """

    event_id: Uuid
    type: TypeName
    version: Annotated[int, Field(ge=1, le=1_000)]
    tenant: Identifier
    case_id: Uuid
    session_id: Identifier
    opened_on: CaseDay
    playbook_version: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*/[0-9]+$", max_length=60)]
    seq: NonNegativeInt
    ordinal: NonNegativeInt = 0
    siblings: Annotated[int, Field(ge=1, le=1_000)] = 1
    node_from: Name
    node_to: Name
    parents: tuple[Sha256, ...] = ()
    digest: Sha256
    occurred_at: Timestamp
    trace: dict[str, str] = Field(default_factory=dict, description="W3C trace context; a transport fact.")
    case_deadline: Timestamp
    time_limit_ms: Milliseconds | None = None
    later_p95_ms: Milliseconds | None = Field(
        default=None, description="What the steps after this one usually need, at their P95, as the graph states it."
    )
    budget: TaskBudget = TaskBudget()
    principal: Principal
    state: dict[str, JsonValue] | None = None
    state_seal: Identifier | None = None
    payload: dict[str, JsonValue]
    storage_refs: dict[Sha256, StorageRef] = Field(
        default_factory=dict, description="Places of artefacts; not content."
    )
    model_call: ModelCall | None = None
    bundle: Sha256 | None = Field(default=None, description="Digest of the configuration bundle of the agent.")
    access: tuple[Access, ...] = Field(default=(), description="The credentials that the step used.")
    rubric_score: BasisPoints | None = None
    attempt: Identifier | None = None
    branch: Branch | None = Field(default=None, description="Where the case has fanned out, the branch of the event.")


def event_id_for(parent: str, node_from: str, type_: str, ordinal: int = 0) -> str:
    """The id of a child: the same cause gives the same id, however often it is delivered."""
    return str(uuid.uuid5(uuid.UUID(parent), f"{node_from}/{type_}/{ordinal}"))


def add_digest(fields: Json) -> Json:
    """Give an event that is complete but for its digest that digest. Raises `InvalidEvent` over the size limits."""
    state = fields.get("state")
    if state is not None and len(canonical_json(state)) > MAX_STATE_BYTES:
        raise InvalidEvent(
            RejectionReason.TOO_LARGE, "state over 16 KB", "state", "keep results in artefacts, facts in state"
        )
    return fields | {"digest": event_digest(fields)}


def serialize_detail(event: Mapping[str, Any]) -> str:
    """The event as the text that goes on the bus. Raises `InvalidEvent` over `MAX_DETAIL_BYTES`."""
    detail = canonical_json(dict(event))
    if len(detail) > MAX_DETAIL_BYTES:
        message = f"a detail of {len(detail)} bytes, over the limit of {MAX_DETAIL_BYTES}"
        raise InvalidEvent(RejectionReason.TOO_LARGE, message, "payload", "put the large part in an artefact")
    return detail.decode()
