"""Erasing a person: the vault's key and the log's receipt, in two databases, finished whatever was killed between."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from switchyard.audit.erasure.decision import (
    Erasure,
    ErasureAllowed,
    ErasureDecision,
    Footprint,
    build_erasure,
    decide_erasure,
)
from switchyard.audit.receipts.receipts import Receipt, sign_receipt
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.crypto.erasure import KeyEraser
from switchyard.runtime.crypto.signing import Signer, TrustedKeys
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_DATABASE = "the audit database"
_RECEIPTS = uuid.UUID("5f6d2c0e-6a7b-5f0e-9f0d-2b6c1a4e7d31")


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What became of a request, and the receipt if there is one now."""

    decision: ErasureDecision
    receipt: Receipt | None = None


class ErasureService:
    """Erasures, as the roles `audit_retention` and `vault_eraser`. Every method raises `Unavailable` when something is
    out of reach; then ask again: what was begun is finished."""

    def __init__(self, pool: Pool, catalogue: Catalogue, keys: KeyEraser, signer: Signer, clock: Clock) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._keys = keys
        self._signer = signer
        self._clock = clock

    async def erase(self, subject: str, *, operator: str, reason: str) -> ErasureResult:
        """Erase a person, or say why not. Raises `ValueError` for a subject that is no UUID."""
        person = uuid.UUID(subject)
        with translate_errors(_DATABASE):
            async with self._pool.acquire() as connection, connection.transaction():
                # No hold is placed between the decision and the key's end.
                await connection.execute(_SQL["one_at_a_time"])
                stored = await connection.fetchrow(_SQL["receipt"], person)
                rows = await connection.fetch(_SQL["footprint"], person)
                footprints = [
                    Footprint(**{**row, "case_ids": tuple(row["case_ids"]), "legal_holds": tuple(row["legal_holds"])})
                    for row in rows
                ]
                key = await self._keys.state(subject)
                decision = decide_erasure(key, footprints, receipted=stored is not None, now=self._clock.now())
                receipt = None if stored is None else Receipt(**stored)
                if isinstance(decision, ErasureAllowed):
                    await self._keys.destroy(subject, operator=operator, reason=reason)
                    receipt = receipt or await self._receipt(subject, footprints, operator, reason)
                    await connection.execute(
                        _SQL["keep_receipt"],
                        uuid.uuid5(_RECEIPTS, subject),
                        person,
                        receipt.statement,
                        receipt.key,
                        receipt.signature,
                    )
        return ErasureResult(decision, receipt)

    async def again(self) -> list[str]:
        """After a restore of the work database: destroy every key that a receipt names; whose there were."""
        found: list[str] = []
        after = uuid.UUID(int=0)
        while True:
            with translate_errors(_DATABASE):
                page = [row["subject"] for row in await self._pool.fetch(_SQL["subjects"], after)]
            if not page:
                return found
            found += await self._keys.destroy_restored_keys(page)
            after = uuid.UUID(page[-1])

    async def _receipt(self, subject: str, footprints: list[Footprint], operator: str, reason: str) -> Receipt:
        # The vault's record, not our clock and arguments: an earlier attempt may have destroyed the key.
        erased = (await self._keys.state(subject)).erased
        if erased is None:
            raise LookupError("the vault has no record of the key that it has just deleted")
        said = build_erasure(
            subject, footprints, self._catalogue, at=erased.at, operator=erased.operator, reason=erased.reason
        )
        return await sign_receipt(said, self._signer)


def read_erasure(receipt: Receipt, trusted: TrustedKeys) -> tuple[Erasure, str | None]:
    """What a receipt says, and why it does not count if it does not. Raises `ValueError` for what cannot be read."""
    return Erasure.model_validate_json(receipt.statement), receipt.invalid_reason(trusted)
