"""Crypto-erasure: once a person's key is destroyed, what is encrypted under it cannot be read any more.

Processes that hold the key in memory use it for `switchyard.runtime.crypto.vault.CACHE_S` at most. A backup of the work
database holds the wrapped key until the backup expires: after a restore, destroy again the keys that the erasure
receipts name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import Queries, load_queries

_SQL = load_queries(__file__)
ERASER_ROLE = "vault_eraser"
"""The database role that may delete keys. It cannot read one."""


@dataclass(frozen=True, slots=True)
class KeyErasure:
    """An erasure as the vault recorded it."""

    tenant: str
    operator: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KeyState:
    """Whether a person has a key, and whether one was destroyed. Both, after a backup was restored."""

    present: bool
    erased: KeyErasure | None


class KeyEraser:
    """The vault, as the role that erases. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool, also: Sequence[str] = ()) -> None:
        """`also` are functions that delete what no key seals, as `schema.function`, called with the person."""
        if unsafe := [each for each in also if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", each)]:
            raise ValueError(f"{unsafe[0]} is not a function: write schema.function")
        self._database = Database(pool, "the vault", _SQL)
        self._also = tuple(also)
        self._calls = Queries(others={each: f"select {each}($1)" for each in also})

    async def state(self, subject: str) -> KeyState:
        """What the vault knows of a person."""
        row = await self._database.row("state", uuid.UUID(subject))
        if row is None:
            raise LookupError("one row always answers")
        erased = None
        if row["erased_at"] is not None:
            erased = KeyErasure(row["erased_tenant"], row["erased_by"], row["reason"], row["erased_at"])
        return KeyState(row["tenant"] is not None, erased)

    async def destroy(self, subject: str, *, operator: str, reason: str) -> None:
        """Delete the key, and what no key seals, and record who did it, in one transaction. Repeating it changes
        nothing."""
        async with self._database.transaction() as transaction:
            await transaction.execute("destroy", uuid.UUID(subject), operator, reason)
            await self._delete_unsealed(transaction, subject)

    async def destroy_restored_keys(self, subjects: Sequence[str]) -> list[str]:
        """Delete the keys that a restored backup has brought back, with what no key seals; return the subjects that had
        one."""
        async with self._database.transaction() as transaction:
            rows = await transaction.rows("destroy_again", [uuid.UUID(subject) for subject in subjects])
            for subject in subjects:
                await self._delete_unsealed(transaction, subject)
        return [row["subject"] for row in rows]

    async def _delete_unsealed(self, transaction: Database, subject: str) -> None:
        database = transaction.with_queries(self._calls)
        for function in self._also:
            await database.value(function, uuid.UUID(subject))
