"""People who sign: approvers and operators. Services hold public keys only (Ed25519)."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from switchyard.protocol.errors import forged


class OperatorKeys:
    """Who may sign, by name. Raises `ValueError` for a key that is not 32 bytes. `title` and `variable` are for
    messages: what the signers are called, and where their public keys are set."""

    def __init__(
        self, keys: Mapping[str, bytes], *, title: str = "operator", variable: str = "SWITCHYARD_OPERATORS"
    ) -> None:
        self._title = title
        self._variable = variable
        self._keys = {name: Ed25519PublicKey.from_public_bytes(key) for name, key in keys.items()}

    def verify(self, operator: str, statement: bytes, signature: str) -> None:
        """Raise `InvalidEvent` (forged) unless this operator signed the statement. `signature` is in hex."""
        key = self._keys.get(operator)
        if key is None:
            remedy = f"name one of {self._variable}, or have the public key added there"
            raise forged(f"no {self._title} of that name may sign", self._title, remedy)
        try:
            key.verify(bytes.fromhex(signature), statement)
        except (InvalidSignature, ValueError):
            message = f"the signature is not this {self._title}'s, or was given for something else"
            raise forged(message, "signature", f"sign with the key whose public half {self._variable} names") from None


def name_source_keys(keys: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    """Keys by source and id as keys by `source/key id`."""
    return {f"{source}/{kid}": key for source, own in keys.items() for kid, key in own.items()}


def source_keys(keys: Mapping[str, Mapping[str, bytes]]) -> OperatorKeys:
    """The keys with which sources sign for their users, by `source/key id`. Raises like `OperatorKeys`."""
    return OperatorKeys(name_source_keys(keys), title="source", variable="SWITCHYARD_PRINCIPAL_KEYS")


def sign_statement(private_key: bytes, statement: bytes) -> str:
    """The signature, in hex. Raises `ValueError` for a private key that is not 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(statement).hex()


def derive_public_key(private_key: bytes) -> str:
    """The public half, in hex, as SWITCHYARD_OPERATORS has it."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw().hex()
