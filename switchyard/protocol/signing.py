"""People who sign: approvers, and operators who have a task done again. Services hold public keys only (Ed25519)."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from switchyard.protocol.errors import InvalidEvent, RejectionReason


class OperatorKeys:
    """Who may sign, by name. Raises `ValueError` for a key that is not 32 bytes."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {name: Ed25519PublicKey.from_public_bytes(key) for name, key in keys.items()}

    def verify(self, operator: str, statement: bytes, signature: str) -> None:
        """Raise `InvalidEvent` (forged) unless this operator signed the statement. `signature` is in hex."""
        key = self._keys.get(operator)
        if key is None:
            raise InvalidEvent(
                RejectionReason.FORGED,
                "no operator of that name may sign",
                field="operator",
                remedy="name one of SWITCHYARD_OPERATORS, or have the public key added there",
            )
        try:
            key.verify(bytes.fromhex(signature), statement)
        except (InvalidSignature, ValueError):
            raise InvalidEvent(
                RejectionReason.FORGED,
                "the signature is not this operator's, or was given for something else",
                field="signature",
                remedy="sign with the key whose public half SWITCHYARD_OPERATORS names",
            ) from None


def sign_statement(private_key: bytes, statement: bytes) -> str:
    """The signature, in hex. Raises `ValueError` for a private key that is not 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(statement).hex()


def derive_public_key(private_key: bytes) -> str:
    """The public half, in hex, as SWITCHYARD_OPERATORS has it."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw().hex()
