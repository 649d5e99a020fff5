"""Signed tokens for links that leave the house: they say what they say, and nobody else can write one.

A token carries no secret and no expiry. It is good as long as the key that signed it is kept, which is a decision of
whoever rotates the keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Generic, TypeVar

from pydantic import SecretStr, TypeAdapter, ValidationError

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Contract

C = TypeVar("C", bound=Contract)
MIN_TOKEN_KEY_BYTES = 32
MAX_TOKEN = 2_000
_PARTS = 3
_KEYS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str], config={"hide_input_in_errors": True})


class InvalidToken(Exception):
    """The token was not signed here, or not for this purpose, or it was cut or altered. Remedy: use the whole link."""


def parse_hmac_keys(setting: SecretStr) -> dict[str, bytes]:
    """Keys by id from a setting, JSON {"id": "hex of 32 bytes or more"}. Raises `ValueError` for anything else."""
    return {key_id: bytes.fromhex(key) for key_id, key in _KEYS.validate_json(setting.get_secret_value()).items()}


class SignedTokens(Generic[C]):
    """HMAC-SHA-256 over a contract's canonical form, as `key_id.claims.mac`, in letters that stand in a URL.

    The first key signs, every key verifies: to rotate, put the new one first and keep the old one as long as its tokens
    must be good. Raises `ValueError` without a key, or for one under 32 bytes.
    """

    def __init__(self, claims: type[C], *, purpose: str, keys: Mapping[str, bytes]) -> None:
        for key_id, key in keys.items():
            if len(key) < MIN_TOKEN_KEY_BYTES or not key_id.isalnum():
                raise ValueError(f"key {key_id}: at least {MIN_TOKEN_KEY_BYTES} bytes, and an id of letters and digits")
        if not keys:
            raise ValueError(f"no key to sign {purpose} tokens with")
        self._claims = claims
        self._purpose = purpose
        self._keys = dict(keys)
        self._signing = next(iter(self._keys))

    def sign(self, claims: C) -> str:
        """The token that says this."""
        text = _encode(canonical_json(claims.model_dump(mode="json", exclude_none=True)))
        return f"{self._signing}.{text}.{_encode(self._mac(self._signing, text))}"

    def verify(self, token: str) -> C:
        """What a token says. Raises `InvalidToken`."""
        parts = token.split(".") if len(token) <= MAX_TOKEN else []
        if len(parts) != _PARTS or parts[0] not in self._keys:
            raise InvalidToken("the token is not one of ours, or not whole")
        key_id, text, mac = parts
        # Compared as text: base64 has more than one spelling of the same bytes.
        if not hmac.compare_digest(mac.encode(), _encode(self._mac(key_id, text)).encode()):
            raise InvalidToken("the token's signature does not fit: it was cut, altered or made for something else")
        try:
            return self._claims.model_validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValidationError, binascii.Error) as error:
            raise InvalidToken("the token was signed here and says nothing that can be read") from error

    def _mac(self, key_id: str, text: str) -> bytes:
        # Key id and purpose are signed, too: neither may be swapped under the same bytes.
        return hmac.new(self._keys[key_id], f"{self._purpose}/{key_id}/{text}".encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
