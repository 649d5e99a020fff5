"""Bundles for auditors: a case with its proof. `standalone/verify_bundle.py` verifies one."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.transparency.checkpoint import Checkpoint, UnreadableCheckpoint, checkpoint_key
from switchyard.audit.transparency.merkle import inclusion_proof
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.received import read_bus_event
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.locked_objects import LockedObjects

_SQL = load_queries(__file__)
BUNDLE_FORMAT = "switchyard-bundle/1"
_REFERENCE = frozenset({"name", "sha256", "size", "media_type"})
"""The fields of a reference to an artefact in a payload: the contract `Artefact`."""


def build_bundle(
    case_id: str, rows: Sequence[Mapping[str, Any]], checkpoints: Mapping[int, Checkpoint], public_keys: Sequence[bytes]
) -> Json:
    """The bundle. `rows` are those of `events_of_case`; `checkpoints` are all from the first to the last of them."""
    return {
        "format": BUNDLE_FORMAT,
        "case_id": case_id,
        "public_keys": [base64.b64encode(key).decode() for key in public_keys],
        "checkpoints": [
            {
                "body": checkpoint.body.model_dump(mode="json"),
                "signature": base64.b64encode(checkpoint.signature).decode(),
            }
            for _, checkpoint in sorted(checkpoints.items())
        ],
        "events": [_event(row, checkpoints.get(row["checkpoint"])) for row in rows],
        "artefacts": _artefacts([row["body"] for row in rows]),
    }


def _event(row: Mapping[str, Any], checkpoint: Checkpoint | None) -> Json:
    """An entry with its proof. An event that no checkpoint covers yet has none."""
    proof = inclusion_proof(checkpoint.leaves, row["log_index"] - checkpoint.body.first) if checkpoint else []
    return {
        "log_index": row["log_index"],
        "recorded_at": timestamp(row["recorded_at"]),
        "mac": row["mac"].hex(),
        "mac_key": row["mac_key"],
        "body": row["body"],
        "checkpoint": row["checkpoint"],
        "inclusion_proof": [node.hex() for node in proof],
    }


def _artefacts(bodies: Sequence[str]) -> list[Json]:
    """Each artefact that the events name, once. The events' storage_refs have the places of the bytes."""
    payloads = [_payload(body) for body in bodies]
    found = {canonical_json(reference): reference for payload in payloads for reference in _references(payload)}
    return [found[key] for key in sorted(found)]


def _payload(body: str) -> Any:
    """The event's payload; nothing of a body that is no event, which the verifier reports."""
    try:
        return read_bus_event(body)[2].get("payload")
    except InvalidEvent:
        return None


def _references(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if set(value) >= _REFERENCE:
            yield value
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


class Exporter:
    """Writes bundles. `public_keys` go into them for information: an auditor must get the keys from elsewhere."""

    def __init__(self, pool: Pool, objects: LockedObjects, public_keys: Sequence[bytes], *, log: str = "main") -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)
        self._objects = objects
        self._public_keys = public_keys
        self._log = log

    async def export(self, case_id: str) -> tuple[Json, int]:
        """The bundle of a case, and how many of its events no checkpoint covers yet.

        Raises `Unavailable`, and `PermanentTaskError` for a case that is not in the log or has retired bodies, and
        for a checkpoint that is missing in the store.
        """
        rows = await self._database.rows("events_of_case", uuid.UUID(case_id), self._log)
        if not rows:
            why, remedy = "the case is not in the log", "see `switchyard case list`"
            raise PermanentTaskError("no_such_case", why, "case_id", remedy)
        if any(row["body"] is None for row in rows):
            why = "bodies of this case were retired, and a bundle needs all of them"
            remedy = "verify its log indexes with `switchyard audit verify --checkpoints`"
            raise PermanentTaskError("case_retired", why, "case_id", remedy)
        covered = [row["checkpoint"] for row in rows if row["checkpoint"] is not None]
        numbers = range(min(covered), max(covered) + 1) if covered else ()
        checkpoints = {number: await self._checkpoint(number) for number in numbers}
        return build_bundle(case_id, rows, checkpoints, self._public_keys), len(rows) - len(covered)

    async def _checkpoint(self, number: int) -> Checkpoint:
        found = await self._objects.get(checkpoint_key(self._log, number))
        try:
            if found is not None:
                return Checkpoint.from_bytes(found.data)
        except UnreadableCheckpoint as error:
            why = f"checkpoint {number} in the store cannot be read: {error}"
            raise PermanentTaskError("checkpoint_unreadable", why) from error
        why, remedy = f"checkpoint {number} is missing in the store", "see `switchyard audit verify --checkpoints`"
        raise PermanentTaskError("checkpoint_missing", why, remedy=remedy)
