"""Keyed hashes of what upstream sent: they tell a repeat from a conflict and do not reveal the content."""

from __future__ import annotations

import hashlib
import hmac

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Json


class KeyedHash:
    """HMAC-SHA-256 over canonical JSON, under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, value: Json) -> bytes:
        """The hash of a JSON object."""
        return hmac.new(self._key, canonical_json(value), hashlib.sha256).digest()

    def person(self, tenant: str, user: str) -> bytes:
        """The fingerprint of a person, by which the vault finds them."""
        return self({"tenant": tenant, "user": user})

    def address(self, tenant: str, address: str) -> str:
        """The name of an address in the control table, in hex. Case does not matter."""
        return self({"address": address.lower(), "tenant": tenant}).hex()
