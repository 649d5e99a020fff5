"""Signed tokens for public links (itsdangerous, HMAC-SHA-256). Not encrypted; they do not expire. A token is valid as
long as a key that signed it is configured, so expiry is a decision of key rotation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Generic, TypeVar

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from switchyard.protocol.fields import Contract

C = TypeVar("C", bound=Contract)
MIN_TOKEN_KEY_BYTES = 32
MAX_TOKEN = 2_000


class InvalidToken(Exception):
    """The token is incomplete, altered, or signed for another purpose or by an unknown key. Use the whole link."""


class SignedTokens(Generic[C]):
    """Signs and verifies a contract as `payload.signature`, in URL-safe characters, for one purpose.

    The first key signs, every key verifies. To rotate, put the new key first and keep the old one as long as its tokens
    must be valid. Raises `ValueError` if there is no key, or for a key under 32 bytes.
    """

    def __init__(self, claims: type[C], *, purpose: str, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError(f"no key to sign {purpose} tokens: configure at least one")
        for key_id, key in keys.items():
            if len(key) < MIN_TOKEN_KEY_BYTES:
                raise ValueError(f"key {key_id} is too short: use at least {MIN_TOKEN_KEY_BYTES} bytes")
        self._claims = claims
        self._serializer = URLSafeSerializer(
            list(keys.values())[::-1],  # itsdangerous signs with the last key
            salt=purpose,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def sign(self, claims: C) -> str:
        """A token that carries these claims."""
        token = self._serializer.dumps(claims.model_dump(mode="json", exclude_none=True))
        return token if isinstance(token, str) else token.decode()

    def verify(self, token: str) -> C:
        """The claims of a token. Raises `InvalidToken`."""
        try:
            if len(token) > MAX_TOKEN:
                raise InvalidToken("the token is too long")
            claims = self._claims.model_validate(self._serializer.loads(token))
            signature = token.rpartition(".")[2]
            # Base64 has more than one spelling of the same bytes; exactly one of them is accepted.
            if base64_encode(base64_decode(signature)).decode() != signature:
                raise InvalidToken("the signature's encoding is invalid")
        except (BadData, ValueError) as error:  # ValueError: other claims, or text that has no UTF-8 form
            raise InvalidToken("the token is invalid: it was cut, altered or signed for another purpose") from error
        return claims
