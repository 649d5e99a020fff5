"""Crypto-erasure: once a person's key is destroyed, what is encrypted under it cannot be read any more.

Processes that hold the key in memory use it for `switchyard.runtime.crypto.vault.CACHE_S` at most. A backup of the work
database holds the wrapped key until the backup expires: after a restore, destroy again the keys that the erasure
receipts name.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

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

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the vault", _SQL)

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
        """Delete the key and record who did it, in one transaction. Repeating it changes nothing."""
        await self._database.execute("destroy", uuid.UUID(subject), operator, reason)

    async def destroy_restored_keys(self, subjects: Sequence[str]) -> list[str]:
        """Delete the keys that a restored backup has brought back; return the subjects that had one."""
        rows = await self._database.rows("destroy_again", [uuid.UUID(subject) for subject in subjects])
        return [row["subject"] for row in rows]
