"""Bundles for auditors: a case with its proof. `standalone/verify_bundle.py` verifies one."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.transparency.checkpoint import Checkpoint, UnreadableCheckpoint, checkpoint_key
from switchyard.audit.transparency.merkle import inclusion_proof
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.locked_objects import LockedObjects

_SQL = load_queries(__file__)
BUNDLE_FORMAT = "switchyard-bundle/1"
_REFERENCE = frozenset({"name", "sha256", "size", "media_type"})
"""The fields of a reference to an artefact in a payload: the contract `Artefact`."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One event of the case. `log_index` and `checkpoint` are None until it has them."""

    log_index: int | None
    recorded_at: datetime
    body: str
    checkpoint: int | None


def build_bundle(
    case_id: str, entries: Sequence[BundleEntry], checkpoints: Mapping[int, Checkpoint], public_keys: Sequence[bytes]
) -> Json:
    """The bundle. `checkpoints` are all from the first to the last that covers an event."""
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
        "events": [_event(entry, checkpoints) for entry in entries],
        "artefacts": _artefacts(entries),
    }


def _event(entry: BundleEntry, checkpoints: Mapping[int, Checkpoint]) -> Json:
    checkpoint = checkpoints.get(entry.checkpoint or 0)
    proof: list[str] = []
    if checkpoint is not None and entry.log_index is not None:
        proof = [node.hex() for node in inclusion_proof(checkpoint.leaves, entry.log_index - checkpoint.body.first)]
    return {
        "log_index": entry.log_index,
        "recorded_at": timestamp(entry.recorded_at),
        "body": entry.body,
        "checkpoint": entry.checkpoint,
        "inclusion_proof": proof,
    }


def _artefacts(entries: Sequence[BundleEntry]) -> list[Json]:
    """Each artefact that the events name, once. The events' storage_refs have the places of the bytes."""
    found: dict[bytes, Json] = {}
    for entry in entries:
        payload = json.loads(entry.body)["detail"]["payload"]
        found |= {canonical_json(reference): reference for reference in _references(payload)}
    return [found[key] for key in sorted(found)]


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
            raise PermanentTaskError(
                "no_such_case", "the case is not in the log", "case_id", "see `switchyard case list`"
            )
        if any(row["body"] is None for row in rows):
            raise PermanentTaskError(
                "case_retired",
                "bodies of this case were retired, and a bundle needs all of them",
                "case_id",
                "verify its log indexes with `switchyard audit verify --checkpoints`",
            )
        entries = [BundleEntry(row["log_index"], row["recorded_at"], row["body"], row["number"]) for row in rows]
        numbers = [entry.checkpoint for entry in entries if entry.checkpoint is not None]
        checkpoints = (
            {number: await self._checkpoint(number) for number in range(min(numbers), max(numbers) + 1)}
            if numbers
            else {}
        )
        return build_bundle(case_id, entries, checkpoints, self._public_keys), len(entries) - len(numbers)

    async def _checkpoint(self, number: int) -> Checkpoint:
        found = await self._objects.get(checkpoint_key(self._log, number))
        try:
            if found is not None:
                return Checkpoint.from_bytes(found.data)
        except UnreadableCheckpoint as error:
            raise PermanentTaskError(
                "checkpoint_unreadable", f"checkpoint {number} in the store cannot be read: {error}"
            ) from error
        raise PermanentTaskError(
            "checkpoint_missing",
            f"checkpoint {number} is missing in the store",
            remedy="see `switchyard audit verify --checkpoints`",
        )
