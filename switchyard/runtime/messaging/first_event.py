"""The first event of a chain: it has no cause."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from switchyard.protocol.catalogue import CASE_MANAGER, EXTERNAL, Catalogue
from switchyard.protocol.envelope import add_digest
from switchyard.protocol.fields import Contract, Json, Principal, StorageRef
from switchyard.protocol.submissions import CASE_ID_NAMESPACE
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
    node_from: str = CASE_MANAGER,
    bundle: str | None = None,
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
        "node_from": node_from,
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
    return add_digest(fields if bundle is None else fields | {"bundle": bundle})


def build_report(
    catalogue: Catalogue,
    payload: Contract,
    *,
    chain: str,
    tenant: str,
    sub: str,
    now: datetime,
    session_id: str = "control",
    node_from: str = CASE_MANAGER,
    bundle: str | None = None,
) -> Json:
    """The only event of a chain that is no case, for auditors: the same `chain` gives the same event id."""
    case_id = str(uuid.uuid5(CASE_ID_NAMESPACE, chain))
    return build_first_event(
        catalogue,
        payload,
        event_id=str(uuid.uuid5(uuid.UUID(case_id), type(payload).__name__)),
        case_id=case_id,
        tenant=tenant,
        session_id=session_id,
        playbook_version="none/0",
        principal=Principal(sub=sub, tenant=tenant),
        node_to=EXTERNAL,
        now=now,
        deadline=now,
        storage_refs={},
        node_from=node_from,
        bundle=bundle,
    )
