"""Registered grants and their sealed credentials, and the tokens that were issued for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from switchyard.identity.permissions import TokenRequest
from switchyard.identity.token_exchange import IssuedToken, UserCredential
from switchyard.protocol.grants import GrantClaims
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.crypto.vault import KEY_BYTES, KeyWrapper, decrypt, encrypt
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
KeptGrant = Literal["foreign", "revoked"]
GRANT_KEPT = timedelta(days=60)
"""How long after its expiry a grant's row is kept."""


@dataclass(frozen=True)
class RegisteredGrant:
    """A grant as it was registered. Its credential is deleted at revocation and expiry."""

    statement: str
    wrapped_key: bytes | None
    credential: bytes | None
    registered_at: datetime
    revoked: bool
    sub: str
    tenant: str


class GrantStore:
    """The identity service's tables."""

    def __init__(self, pool: Pool, wrapper: KeyWrapper, clock: Clock, *, database: Database | None = None) -> None:
        self._pool = pool
        self._database = database or Database(pool, "the work database", _SQL)
        self._wrapper = wrapper
        self._clock = clock

    async def register(
        self, claims: GrantClaims, statement: str, credential: UserCredential, *, issued_at: int
    ) -> KeptGrant | None:
        """Keep a grant with its credential; a known grant is renewed by a later log-in of its own user. Why it was left
        as it is: it is another user's, or was revoked after this log-in. Raises `Unavailable`."""
        wrapped, sealed = await self._seal(claims.jti, credential)
        expires, issued = (datetime.fromtimestamp(seconds, UTC) for seconds in (claims.exp, issued_at))
        user = claims.iss, claims.sub, claims.tenant
        kept: KeptGrant | None = await self._database.value(
            "register", claims.jti, statement, wrapped, sealed, self._clock.now(), expires, issued, *user
        )
        return kept

    async def find(self, grant_id: str) -> RegisteredGrant | None:
        """A grant, or None."""
        return _read(await self._database.row("find", grant_id))

    @asynccontextmanager
    async def locked(self, grant_id: str) -> AsyncIterator[tuple[GrantStore, RegisteredGrant | None]]:
        """The grant, which no other process renews or refreshes until this is left."""
        async with self._database.transaction() as transaction:
            store = GrantStore(self._pool, self._wrapper, self._clock, database=transaction)
            yield store, _read(await transaction.row("lock", grant_id))

    async def replace_credential(self, grant_id: str, credential: UserCredential) -> None:
        """Keep what the identity provider issued at a refresh."""
        wrapped, sealed = await self._seal(grant_id, credential)
        await self._database.execute("replace_credential", grant_id, wrapped, sealed)

    async def open(self, grant_id: str, grant: RegisteredGrant) -> UserCredential | None:
        """The credential of a grant, or None if it was deleted. Raises `PermanentTaskError` if it was altered."""
        if grant.wrapped_key is None or grant.credential is None:
            return None
        key = AESGCM(await self._wrapper.unwrap(grant.wrapped_key, subject=_context(grant_id)))
        return UserCredential(**json.loads(decrypt(key, grant.credential, _context(grant_id).encode())))

    async def revoke(self, grant_id: str) -> bool:
        """Delete the credential of a grant; whether there is such a grant."""
        return await self._database.execute("revoke", grant_id, self._clock.now()) == 1

    async def forget_expired(self) -> int:
        """Delete the credentials of expired grants; return how many."""
        return await self._database.execute("forget_expired", self._clock.now())

    async def forget_grants(self) -> int:
        """Delete grants that expired `GRANT_KEPT` ago, with their users' names; return how many. What was issued for
        them stays recorded."""
        return await self._database.execute("forget_grants", self._clock.now() - GRANT_KEPT)

    async def record_issue(self, request: TokenRequest, agent: str, token: IssuedToken) -> None:
        """Record that a token is handed out for a task."""
        await self._database.execute(
            "record_issue",
            token.jti,
            request.task_id,
            request.grant,
            request.case_id,
            agent,
            request.audience,
            list(request.scopes),
            self._clock.now(),
            datetime.fromtimestamp(token.expires_at, UTC),
        )

    async def _seal(self, grant_id: str, credential: UserCredential) -> tuple[bytes, bytes]:
        key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
        sealed = encrypt(AESGCM(key), json.dumps(asdict(credential)).encode(), _context(grant_id).encode())
        return await self._wrapper.wrap(key, subject=_context(grant_id)), sealed


def _context(grant_id: str) -> str:
    return f"grant/{grant_id}"


def _read(row: Any) -> RegisteredGrant | None:
    if row is None:
        return None
    names = ("statement", "wrapped_key", "credential", "registered_at", "sub", "tenant")
    return RegisteredGrant(**{name: row[name] for name in names}, revoked=row["revoked_at"] is not None)
