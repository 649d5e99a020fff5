"""The vault: one key per person, which encrypts all personal data about that person.

Deleting the key erases every encrypted copy at once, wherever it is stored; digests cover ciphertext, so the chain
still verifies. Keys are wrapped by KMS in AWS and by a local key in the local stack.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from switchyard.runtime.core.aws_errors import translate_aws_errors
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskError, Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_SQL = load_queries(__file__)
KEY_BYTES = 32
NONCE_BYTES = 12
CACHE_S = 30.0
"""How long a process may go on using a key after it was erased."""

MAX_CACHED_KEYS = 10_000
ADDRESS_FACT = "address"
"""The name under which intake seals the address that a case's effect may go to."""

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
        return encrypt(self._aead, key, subject.encode())

    async def unwrap(self, wrapped: bytes, *, subject: str) -> bytes:
        return decrypt(self._aead, wrapped, subject.encode())


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


KeyUse = Literal["intake", "task", "review", "answer"]
"""Why a process asks for keys: it makes them, it has a task of the case, a person reviews the case, or the person who
asked reads the answer."""


class _CacheKey(NamedTuple):
    """Whose key, and what it was given for. At intake a person's key is for every case of theirs."""

    subject: str
    case_id: str = ""
    scope: SessionScope | None = None


class Vault:
    """Seals and opens under people's keys. The database gives a key for one case at a time: to an agent with an open
    task of that case, or to a reviewer. Intake has the keys of the persons that it has just looked up."""

    def __init__(
        self, pool: Pool, wrapper: KeyWrapper, clock: Clock, *, use: KeyUse = "task", person: bytes = b""
    ) -> None:
        """`person` is the fingerprint of who reads an answer."""
        self._database = Database(pool, "the vault", _SQL)
        self._wrapper = wrapper
        self._clock = clock
        self._use = use
        self._person = person
        self._cache: OrderedDict[_CacheKey, tuple[AESGCM, float]] = OrderedDict()
        """The key, and until when it may be used."""

    async def known_subject(self, tenant: str, fingerprint: bytes) -> str | None:
        """The pseudonym of a person; None for one who was never seen, or was erased. For intake."""
        row = await self._database.row("find_subject", tenant, fingerprint)
        return None if row is None else str(row["subject"])

    async def subject_for(self, tenant: str, external_id: str, fingerprint: bytes) -> str:
        """The pseudonym of a person, made with a key of their own at first sight. For intake.

        `fingerprint` is the keyed hash by which the vault finds them again; the external id itself is stored only
        encrypted under the person's own key, so that erasing the key erases the name, too.
        """
        row = await self._database.row("find_subject", tenant, fingerprint)
        if row is None:
            subject = str(UUID(bytes=os.urandom(16), version=4))
            key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
            named = encrypt(AESGCM(key), external_id.encode(), subject.encode())
            wrapped = await self._wrapper.wrap(key, subject=subject)
            # Two processes may meet the same person at once: the first row wins and both use it.
            row = await self._database.row("add_subject", subject, tenant, fingerprint, wrapped, named)
        subject = str(row["subject"])
        if self._cached(_CacheKey(subject)) is None:
            await self._unwrap(_CacheKey(subject), row["wrapped_key"])
        return subject

    async def seal(
        self, subject: str, plain: bytes, *, case_id: str, name: str, scope: SessionScope | None = None
    ) -> bytes:
        """Encrypt an artefact of a case with AES-256-GCM under the subject's key; case and name are authenticated.
        Raises like `open`."""
        return encrypt(await self._key(subject, case_id, name, scope), plain, _context(case_id, name))

    async def open(
        self,
        subject: str,
        sealed: bytes,
        *,
        case_id: str,
        name: str,
        scope: SessionScope | None = None,
        key_of: str | None = None,
    ) -> bytes:
        """Decrypt. `scope` is that of the task in hand; `key_of` is its case, where the bytes were sealed in an earlier
        case of the same person. Raises `PermanentTaskError` if the key was erased, if the case
        is over, is outside the scope or is not about this person, if the card does not decrypt the artefact, or if
        anything was altered; `RetryableTaskError` without a task."""
        return decrypt(await self._key(subject, key_of or case_id, name, scope), sealed, _context(case_id, name))

    async def has_key(self, subject: str) -> bool:
        """Whether the person's key is in the vault now; the cache is not asked. For the case manager."""
        return bool(await self._database.value("has_key", subject))

    async def _key(self, subject: str, case_id: str, name: str, scope: SessionScope | None) -> AESGCM:
        place = _CacheKey(subject) if self._use == "intake" else _CacheKey(subject, case_id, scope)
        if (cached := self._cached(place)) is not None:
            return cached
        if self._use == "intake":
            raise Unavailable("key_expired", "the person's key was looked up too long ago; intake begins again")
        arguments: tuple[object, ...] = (case_id,)
        if self._use in {"task", "answer"}:
            arguments = (case_id, name if self._use == "task" else self._person)
        async with self._database.transaction(scope) as database:
            row = await database.row(f"key_for_{self._use}", *arguments)
        if row is not None and row["problem"] is not None:
            raise _key_denied(row["problem"])
        if row is None:
            raise PermanentTaskError("key_erased", "the key of the person that this is about was erased", "subject")
        if str(row["subject"]) != subject:
            raise PermanentTaskError("not_the_cases", "the artefact is about another person than its case", "subject")
        return await self._unwrap(place, row["wrapped_key"])

    def _cached(self, place: _CacheKey) -> AESGCM | None:
        key, until = self._cache.get(place, (None, 0.0))
        return key if until > self._clock.monotonic() else None

    async def _unwrap(self, place: _CacheKey, wrapped: bytes) -> AESGCM:
        now = self._clock.monotonic()
        aead = AESGCM(await self._wrapper.unwrap(wrapped, subject=place.subject))
        self._cache[place] = (aead, now + CACHE_S)
        if len(self._cache) > MAX_CACHED_KEYS:
            self._cache.popitem(last=False)
        return aead


CASE_OVER = "case_over"


def _key_denied(code: str) -> TaskError:
    if code == "no_open_task":
        return RetryableTaskError(code, "the agent has no open task of the case: its lease has ended")
    message, remedy = _KEY_DENIALS[code]
    return PermanentTaskError(code, message, "case_id", remedy)


_KEY_DENIALS = {
    "not_on_card": (
        "the agent's card does not decrypt this artefact, or the case's playbook gives the agent no task",
        "add it to the card and run `switchyard migrate`",
    ),
    "out_of_scope": (
        "the case is not of the tenant, the user and the session of the task in hand",
        "treat it as an incident: the claim compared them with what intake recorded",
    ),
    CASE_OVER: ("the case is closed or cancelled: its personal data is not read any more", "submit it again"),
    "case_open": ("the case is open: an observer reads cases that are over", "wait until it has ended again"),
}


def _context(case_id: str, name: str) -> bytes:
    # Bound into the ciphertext, so that a sealed artefact cannot be passed off as another of another case.
    return f"switchyard/artefact/{case_id}/{name}".encode()


def encrypt(aead: AESGCM, plain: bytes, context: bytes) -> bytes:
    """Nonce and ciphertext; `context` is authenticated."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + aead.encrypt(nonce, plain, context)


def decrypt(aead: AESGCM, sealed: bytes, context: bytes) -> bytes:
    """What `encrypt` sealed. Raises `PermanentTaskError` if bytes or context were altered."""
    try:
        return aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:  # ValueError: too short to hold a nonce
        raise PermanentTaskError(
            "seal_broken", "sealed bytes were altered, or belong to another case or person"
        ) from error
