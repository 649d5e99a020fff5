"""A case with everything that proves it, for an auditor. `standalone/verify_bundle.py` reads it. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchyard.audit.transparency.checkpoints import Checkpoint
from switchyard.audit.transparency.merkle import inclusion_proof
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import timestamp

BUNDLE_FORMAT = "switchyard-bundle/1"
_REFERENCE = frozenset({"name", "sha256", "size", "media_type"})
"""What makes an object in a payload a reference to an artefact: the contract `Artefact`."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One event of the case. `log_index` and `checkpoint` are None as long as it has none."""

    log_index: int | None
    recorded_at: datetime
    body: str
    checkpoint: int | None


def build_bundle(
    case_id: str, entries: Sequence[BundleEntry], checkpoints: Mapping[int, Checkpoint], public_keys: Sequence[bytes]
) -> Json:
    """The bundle. `checkpoints` are those from the first to the last that covers an event, without a gap."""
    return {
        "format": BUNDLE_FORMAT,
        "case_id": case_id,
        "public_keys": [base64.b64encode(key).decode() for key in public_keys],
        "checkpoints": [
            {
                "statement": checkpoint.statement.model_dump(mode="json"),
                "signature": base64.b64encode(checkpoint.signature).decode(),
            }
            for _, checkpoint in sorted(checkpoints.items())
        ],
        "events": [_event(entry, checkpoints) for entry in entries],
        "artefacts": _artefacts(entries),
    }


def _event(entry: BundleEntry, checkpoints: Mapping[int, Checkpoint]) -> Json:
    checkpoint = checkpoints.get(entry.checkpoint or 0)
    path: list[str] = []
    if checkpoint is not None and entry.log_index is not None:
        path = [node.hex() for node in inclusion_proof(checkpoint.leaves, entry.log_index - checkpoint.statement.first)]
    return {
        "log_index": entry.log_index,
        "recorded_at": timestamp(entry.recorded_at),
        "body": entry.body,
        "checkpoint": entry.checkpoint,
        "path": path,
    }


def _artefacts(entries: Sequence[BundleEntry]) -> list[Json]:
    """Each artefact that the events name, once: where its bytes are, the attachments of the events say."""
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
