"""The first event of a chain: the only ones that have no cause."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.envelope import add_digest
from switchyard.protocol.fields import Contract, Json, Principal, StorageRef
from switchyard.runtime.core.clock import timestamp


def build_first_event(
    catalogue: Catalogue,
    payload: Contract,
    *,
    event_id: str,
    case_id: str,
    tenant: str,
    session_id: str,
    playbook_version: str,
    principal: Principal,
    node_to: str,
    now: datetime,
    deadline: datetime,
    storage_refs: dict[str, StorageRef],
) -> Json:
    """An event without a cause: it begins a chain."""
    type_ = catalogue.of(type(payload))
    fields: dict[str, Any] = {
        "event_id": event_id,
        "type": type_.name,
        "version": type_.version,
        "tenant": tenant,
        "case_id": case_id,
        "session_id": session_id,
        "opened_on": now.astimezone(UTC).date().isoformat(),
        "playbook_version": playbook_version,
        "seq": 0,
        "ordinal": 0,
        "siblings": 1,
        "node_from": CASE_MANAGER,
        "node_to": node_to,
        "parents": [],
        "occurred_at": timestamp(now),
        "trace": {},
        "case_deadline": timestamp(deadline),
        "budget": {"attempts": 3, "tokens": 0},
        "principal": principal.model_dump(mode="json", exclude_none=True),
        "payload": payload.model_dump(mode="json", exclude_none=True),
        "storage_refs": {sha256: place.model_dump(exclude_none=True) for sha256, place in storage_refs.items()},
    }
    return add_digest(fields)
