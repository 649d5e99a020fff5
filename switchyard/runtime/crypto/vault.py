"""The vault: one key per person, which encrypts all personal data about that person.

Deleting the key erases every encrypted copy at once, wherever it is stored; digests cover ciphertext, so the chain
still verifies. Keys are wrapped by KMS in AWS and by a local key in the local stack.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Protocol
from uuid import UUID

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from switchyard.runtime.core.aws import translate_aws_errors
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
KEY_BYTES = 32
NONCE_BYTES = 12
CACHE_S = 30.0
"""How long a process may go on using a key after it was erased."""

MAX_CACHED_KEYS = 10_000
_ALTERED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KeyWrapper(Protocol):
    """Wraps a person's key for storage. `subject` is authenticated with it."""

    async def wrap(self, key: bytes, *, subject: str) -> bytes:
        """Encrypt a key. Raises `Unavailable` if the wrapping key is out of reach."""

    async def unwrap(self, wrapped: bytes, *, subject: str) -> bytes:
        """Decrypt a key. Raises `PermanentTaskError` if it was altered or is not this subject's, else like `wrap`."""


class LocalKeyWrapper:
    """Wraps with a key from the environment. For the local stack and for tests."""

    def __init__(self, master_key: bytes) -> None:
        self._aead = AESGCM(master_key)

    async def wrap(self, key: bytes, *, subject: str) -> bytes:
        return _encrypt(self._aead, key, subject.encode())

    async def unwrap(self, wrapped: bytes, *, subject: str) -> bytes:
        return _decrypt(self._aead, wrapped, subject.encode())


class KmsKeyWrapper:
    """Wraps with a KMS key, through an aiobotocore client that the composition root owns."""

    def __init__(self, client: Any, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    async def wrap(self, key: bytes, *, subject: str) -> bytes:
        context = {"subject": subject}
        with translate_aws_errors("key_management", "KMS"):
            answer = await self._client.encrypt(KeyId=self._key_id, Plaintext=key, EncryptionContext=context)
            return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, *, subject: str) -> bytes:
        context = {"subject": subject}
        with translate_aws_errors("key_management", "KMS"):
            try:
                answer = await self._client.decrypt(
                    KeyId=self._key_id, CiphertextBlob=wrapped, EncryptionContext=context
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _ALTERED:
                    raise
                raise PermanentTaskError("seal_broken", "a person's key was altered, or is another person's") from error
            return bytes(answer["Plaintext"])


class Vault:
    """Seals and opens under people's keys. Only roles that the database grants the vault's table to get any key."""

    def __init__(self, pool: Pool, wrapper: KeyWrapper, clock: Clock) -> None:
        self._database = Database(pool, "the vault", _SQL)
        self._wrapper = wrapper
        self._clock = clock
        self._cache: OrderedDict[str, tuple[AESGCM, float]] = OrderedDict()
        """By subject: the key, and until when it may be used."""

    async def subject_for(self, tenant: str, external_id: str, fingerprint: bytes) -> str:
        """The pseudonym of a person, made with a key of their own at first sight.

        `fingerprint` is the keyed hash by which the vault finds them again; the external id itself is stored only
        encrypted under the person's own key, so that erasing the key erases the name, too.
        """
        known = await self._database.value("find_subject", tenant, fingerprint)
        if known is not None:
            return str(known)
        subject = str(UUID(bytes=os.urandom(16), version=4))
        key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
        named = _encrypt(AESGCM(key), external_id.encode(), subject.encode())
        wrapped = await self._wrapper.wrap(key, subject=subject)
        # Two processes may meet the same person at once: the first row wins and both use it.
        return str(await self._database.value("add_subject", subject, tenant, fingerprint, wrapped, named))

    async def seal(self, subject: str, plain: bytes, *, context: bytes) -> bytes:
        """Encrypt with AES-256-GCM under the subject's key. `context` is authenticated. Raises `PermanentTaskError` if
        erased."""
        return _encrypt(await self._key(subject), plain, context)

    async def open(self, subject: str, sealed: bytes, *, context: bytes) -> bytes:
        """Decrypt. Raises `PermanentTaskError` if the key was erased, or if bytes or context were altered."""
        return _decrypt(await self._key(subject), sealed, context)

    async def has_key(self, subject: str) -> bool:
        """Whether the person's key is in the vault now; the cache is not asked."""
        return await self._database.value("key_of", subject) is not None

    async def _key(self, subject: str) -> AESGCM:
        now = self._clock.monotonic()
        cached, until = self._cache.get(subject, (None, now))
        if cached is not None and until > now:
            return cached
        wrapped = await self._database.value("key_of", subject)
        if wrapped is None:
            self._cache.pop(subject, None)
            raise PermanentTaskError("key_erased", "the key of the person that this is about was erased", "subject")
        aead = AESGCM(await self._wrapper.unwrap(wrapped, subject=subject))
        self._cache[subject] = (aead, now + CACHE_S)
        if len(self._cache) > MAX_CACHED_KEYS:
            self._cache.popitem(last=False)
        return aead


def _encrypt(aead: AESGCM, plain: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + aead.encrypt(nonce, plain, context)


def _decrypt(aead: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:  # ValueError: too short to hold a nonce
        raise PermanentTaskError(
            "seal_broken", "sealed bytes were altered, or belong to another case or person"
        ) from error
