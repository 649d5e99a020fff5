"""Collect what proves a case: its rows, and from the store the checkpoints that cover them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from switchyard.audit.export.bundle import BundleEntry, build_bundle
from switchyard.audit.transparency.checkpoints import Checkpoint, UnreadableCheckpoint, checkpoint_key
from switchyard.audit.transparency.log_index import TRANSPARENCY_SQL
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.storage.locked_objects import LockedObjects


class Exporter:
    """Writes bundles. `public_keys` go into them for information: who reads one has to have them from elsewhere."""

    def __init__(self, pool: Pool, objects: LockedObjects, public_keys: Sequence[bytes], *, log: str = "main") -> None:
        self._pool = pool
        self._objects = objects
        self._public_keys = public_keys
        self._log = log

    async def export(self, case_id: str) -> tuple[Json, int]:
        """The bundle of a case, and how many of its events no checkpoint covers yet.

        Raises `Unavailable`, and `PermanentTaskError` for a case that the log does not have, or only without its
        bodies, and for a checkpoint that the store has lost.
        """
        with translate_errors("the audit database"):
            rows = await self._pool.fetch(TRANSPARENCY_SQL["indexes_of"], uuid.UUID(case_id), self._log)
        if not rows:
            raise PermanentTaskError(
                "no_such_case", "the log has nothing of this case", "case_id", "see `switchyard case list`"
            )
        if any(row["body"] is None for row in rows):
            raise PermanentTaskError(
                "case_retired",
                "retention has taken bodies of this case, and a bundle proves texts",
                "case_id",
                "its log indexes stay under their checkpoints: switchyard audit verify --checkpoints",
            )
        entries = [BundleEntry(row["log_index"], row["recorded_at"], row["body"], row["number"]) for row in rows]
        numbers = [entry.checkpoint for entry in entries if entry.checkpoint is not None]
        checkpoints = (
            {number: await self._checkpoint(number) for number in range(min(numbers), max(numbers) + 1)}
            if numbers
            else {}
        )
        return build_bundle(case_id, entries, checkpoints, self._public_keys), len(entries) - len(numbers)

    async def _checkpoint(self, number: int) -> Checkpoint:
        found = await self._objects.get(checkpoint_key(self._log, number))
        try:
            if found is not None:
                return Checkpoint.from_bytes(found.data)
        except UnreadableCheckpoint as error:
            raise PermanentTaskError(
                "checkpoint_unreadable", f"checkpoint {number} in the store cannot be read: {error}"
            ) from error
        raise PermanentTaskError(
            "checkpoint_missing",
            f"the store has no checkpoint {number}",
            remedy="see `switchyard audit verify --checkpoints`",
        )
