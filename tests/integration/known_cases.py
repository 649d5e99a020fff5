"""Cases that intake opened, for tests that begin in the middle of one: a consumer works for known cases only."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from switchyard.protocol.case_facts import CaseFacts
from switchyard.protocol.fields import Artefact, Json, StorageRef
from switchyard.runtime.crypto.vault import LocalKeyWrapper, _context, encrypt

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
_OPEN = """
insert into case_manager.submission
  (case_id, payload_mac, playbook, facts, subject, subject_key, sealed_address, opened_id)
values ($1, '', $2, $3, $4, $5, $6, $7)
on conflict (case_id) do nothing
"""
_PERSON = """
insert into vault.subject_key (subject, tenant, fingerprint, wrapped_key, external_id) values ($1, $4, $2, $3, '')
"""


class KnownCases:
    """Writes, as the database's owner, what intake writes. Called from tests' plain functions, so it has a thread."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="known-cases", daemon=True)
        self._thread.start()

    def add_case(self, opening: Json, *, subject_key: str | None = None, sealed_address: bytes | None = None) -> None:
        """Record a case by its first event."""
        playbook, subject = opening["playbook_version"].partition("/")[0], opening["principal"].get("subject")
        facts = CaseFacts.from_opening(opening).to_json()
        self._execute(
            _OPEN, opening["case_id"], playbook, facts, subject, subject_key, sealed_address, opening["event_id"]
        )

    def add_task(self, node: str, case_id: str) -> None:
        """Let `node` hold the lease of some task of the case."""
        sql = f"""
            insert into {node}.inbox (event_id, digest, case_id, type, token, claims, lease_until)
            values (gen_random_uuid(), '', $1, 'Task', 1, 1, clock_timestamp() + interval '1 hour')
        """
        self._execute(sql, case_id)

    def add_person(
        self, subject: str, wrapped_key: bytes, *, fingerprint: bytes | None = None, tenant: str = "acme"
    ) -> None:
        """Record a person's key, under the fingerprint of their name if somebody looks for it."""
        found_by = fingerprint or hashlib.sha256(subject.encode()).digest()
        self._execute(_PERSON, subject, found_by, wrapped_key, tenant)

    def close(self) -> None:
        """Close the connection and end the thread."""
        if self._connection is not None:
            self._wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)
        self._loop.close()

    def _execute(self, sql: str, *arguments: object) -> None:
        async def run() -> None:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._url)
            await self._connection.execute(sql, *arguments)

        self._wait(run())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)


_known: list[KnownCases] = []


def use_database(owner_url: str) -> None:
    """From now on `known_cases` writes there."""
    _known[:] = [KnownCases(owner_url)]


def known_cases() -> KnownCases | None:
    """The cases of the running infrastructure; None where a test has none."""
    return _known[0] if _known else None


@dataclass
class Person:
    """A person with a key in the vault, wrapped by `master`."""

    master: bytes
    subject: str = field(default_factory=lambda: str(uuid.uuid4()))
    key: bytes = field(default_factory=lambda: AESGCM.generate_key(bit_length=256))
    fingerprint: bytes | None = None
    tenant: str = "acme"

    def __post_init__(self) -> None:
        cases = known_cases()
        assert cases is not None
        wrapped = asyncio.run_coroutine_threadsafe(
            LocalKeyWrapper(self.master).wrap(self.key, subject=self.subject), cases._loop
        ).result(CALL_TIMEOUT_S)
        cases.add_person(self.subject, wrapped, fingerprint=self.fingerprint, tenant=self.tenant)

    def seal(self, case_id: str, name: str, data: bytes) -> bytes:
        """Sealed as an agent seals it."""
        return encrypt(AESGCM(self.key), data, _context(case_id, name))

    def artefact(self, case_id: str, name: str, data: bytes) -> tuple[Artefact, StorageRef]:
        """A sealed artefact of a case, inline."""
        stored = self.seal(case_id, name, data)
        sha256 = hashlib.sha256(stored).hexdigest()
        artefact = Artefact(
            name=name, sha256=sha256, size=len(stored), media_type="application/octet-stream", subject=self.subject
        )
        return artefact, StorageRef(inline=base64.b64encode(stored).decode())
