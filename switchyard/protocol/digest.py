"""The digest that makes a case a hash chain."""

from __future__ import annotations

import hashlib
from typing import Any

from switchyard.protocol.canonical import canonical_json

UNDIGESTED_FIELDS = frozenset({"digest", "occurred_at", "trace", "storage_refs", "state_seal"})
"""Envelope fields outside the digest: itself, clock and transport facts, the places of artefacts, and the state's seal.

The seal covers the digest and proves itself. Were it content, one cause would have two digests while keys are rotated.
"""


def event_digest(event: dict[str, Any]) -> str:
    """SHA-256, in hex, over the RFC 8785 form of the event *as received*, without `UNDIGESTED_FIELDS`.

    Unknown fields are covered, so a consumer with an older contract computes the same digest.
    Raises `InvalidEvent` for what has no canonical form.
    """
    content = {name: value for name, value in event.items() if name not in UNDIGESTED_FIELDS}
    return hashlib.sha256(canonical_json(content)).hexdigest()
