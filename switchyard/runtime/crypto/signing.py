"""Signatures that outlive the process: with an asymmetric key that never leaves KMS, or a local one in the local stack.

A key is named by the SHA-256 of its public half (the DER of its SubjectPublicKeyInfo, as KMS and PEM files have it),
and its kind alone decides the algorithm, so that no signature says how it wants to be checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Any, Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from switchyard.runtime.core.aws_errors import translate_aws_errors
from switchyard.runtime.core.errors import PermanentTaskError

MAX_SIGNED_BYTES = 4_096
"""What KMS signs at most: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html, Message."""

_KMS_ALGORITHMS = ("ED25519_SHA_512", "ECDSA_SHA_256")
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


class Signer(Protocol):
    """Signs messages of up to `MAX_SIGNED_BYTES`."""

    @property
    def public(self) -> bytes:
        """The public key, as the DER of its SubjectPublicKeyInfo."""

    async def sign(self, message: bytes) -> bytes:
        """The signature. Raises `Unavailable` if the key is out of reach."""


class LocalSigner:
    """Ed25519 with a key from the environment. For the local stack and for tests."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class KmsSigner:
    """An asymmetric KMS key, through an aiobotocore client that the composition root owns. Its spec is ECC_NIST_P256 or
    ECC_NIST_EDWARDS25519, its usage SIGN_VERIFY."""

    def __init__(self, client: Any, key_id: str, public: bytes, algorithm: str) -> None:
        self.public = public
        self._client = client
        self._key_id = key_id
        self._algorithm = algorithm

    @classmethod
    async def open(cls, client: Any, key_id: str) -> Self:
        """Ask KMS for the public half. Raises `PermanentTaskError` for a key of another kind, `Unavailable` if out of
        reach."""
        with translate_aws_errors("signing_key", "KMS"):
            answer = await client.get_public_key(KeyId=key_id)
            public, offered = answer["PublicKey"], answer["SigningAlgorithms"]
        for algorithm in _KMS_ALGORITHMS:
            if algorithm in offered:
                return cls(client, key_id, public, algorithm)
        raise PermanentTaskError(
            "wrong_key", "the KMS key signs with none of our algorithms", remedy="make it ECC_NIST_P256, SIGN_VERIFY"
        )

    async def sign(self, message: bytes) -> bytes:
        with translate_aws_errors("signing_key", "KMS"):
            answer = await self._client.sign(
                KeyId=self._key_id, Message=message, MessageType="RAW", SigningAlgorithm=self._algorithm
            )
            return bytes(answer["Signature"])


class TrustedKeys:
    """The public keys that a verifier trusts, by name. They must not come from what they verify."""

    def __init__(self, public: Iterable[bytes]) -> None:
        self._keys = {key_name(der): _load(der) for der in public}

    def invalid_reason(self, key: str, message: bytes, signature: bytes) -> str | None:
        """Why the signature of `message` by the key of that name is invalid; None if it is valid."""
        trusted = self._keys.get(key)
        if trusted is None:
            return "it is signed by a key that is not trusted"
        try:
            if isinstance(trusted, Ed25519PublicKey):
                trusted.verify(signature, message)
            else:
                trusted.verify(signature, message, ECDSA(SHA256()))
        except InvalidSignature:
            return "its signature does not match"
        return None


def public_keys(text: str) -> list[bytes]:
    """Keys as `aws kms get-public-key --query PublicKey --output text` prints them, with commas between. Raises
    `ValueError` for what is not base64."""
    try:
        return [base64.b64decode(part, validate=True) for part in text.replace(" ", "").split(",") if part]
    except binascii.Error as error:
        raise ValueError("a public key is the base64 of its DER, as KMS gives it") from error


def key_name(public: bytes) -> str:
    """A key's name: SHA-256 over its DER, in hex."""
    return hashlib.sha256(public).hexdigest()


def _load(public: bytes) -> PublicKey:
    try:
        key = load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("a public key is the DER of its SubjectPublicKeyInfo, as KMS gives it") from error
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise ValueError("a public key is Ed25519 or NIST P-256")
