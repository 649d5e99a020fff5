"""Erasure of a person: the decision, the signed receipt, and the destruction of the person's key.

The key is in the vault and the receipt in the log, in two databases: an interrupted erasure is finished by the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from switchyard.audit.receipts.receipts import Receipt, ReceiptText, sign_receipt
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.fields import Contract, Timestamp, Uuid
from switchyard.protocol.topology import DEAD_LETTER_RETENTION_SECONDS, RETENTION_SECONDS, consumers
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.crypto.erasure import KeyEraser, KeyErasure, KeyState
from switchyard.runtime.crypto.signing import Signer, TrustedKeys
from switchyard.runtime.crypto.vault import CACHE_S
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_RECEIPTS = uuid.UUID("5f6d2c0e-6a7b-5f0e-9f0d-2b6c1a4e7d31")


@dataclass(frozen=True, slots=True)
class Footprint:
    """The cases about a person under one playbook. Without a policy they must not be erased."""

    playbook: str
    case_ids: Sequence[str]
    events: int
    has_policy: bool
    duty_until: datetime | None
    citation: str | None
    legal_holds: Sequence[str]


@dataclass(frozen=True, slots=True)
class ErasureDenied:
    """Why a person may not be erased now. Without `until` an operator must act first."""

    why: str
    until: datetime | None
    remedy: str


@dataclass(frozen=True, slots=True)
class ErasureAllowed:
    """Destroy the key if it exists, then write the receipt. `begun` is an erasure that was interrupted in between."""

    begun: KeyErasure | None


class ErasureNotNeeded(StrEnum):
    """Why there is nothing to erase."""

    PERSON_UNKNOWN = "person_unknown"  # neither in the vault nor in the log
    ALREADY_ERASED = "already_erased"  # the receipt is stored


ErasureDecision = ErasureDenied | ErasureNotNeeded | ErasureAllowed


def decide_erasure(
    key: KeyState, footprints: Sequence[Footprint], *, receipted: bool, now: datetime
) -> ErasureDecision:
    """The decision on a request for erasure.

    An erasure whose key was already destroyed is always finished, also if a legal hold was placed since.
    """
    if not key.present and receipted:
        return ErasureNotNeeded.ALREADY_ERASED
    if not key.present and key.erased is None:
        return ErasureNotNeeded.PERSON_UNKNOWN
    if receipted or key.erased is not None:
        return ErasureAllowed(key.erased)  # begun before, or a restored backup has brought the key back
    return _denial(footprints, now) or ErasureAllowed(None)


def _denial(footprints: Sequence[Footprint], now: datetime) -> ErasureDenied | None:
    for each in footprints:
        if each.legal_holds:
            why = f"case {each.legal_holds[0]} is on a legal hold"
            return ErasureDenied(why, None, "release it with `switchyard audit retention release`")
        if not each.has_policy:
            why = f"no policy says how long the cases of playbook {each.playbook} must be kept"
            return ErasureDenied(why, None, "set one with `switchyard audit retention policy`")
    owed = [(each.duty_until, each) for each in footprints if each.duty_until is not None and each.duty_until > now]
    for until, each in sorted(owed, key=lambda pair: pair[0], reverse=True)[:1]:
        why = f"{len(each.case_ids)} cases of playbook {each.playbook} must be kept: {each.citation}"
        return ErasureDenied(why, until, "repeat the request after that day")
    return None


class QueueCopies(Contract):
    """Until when a queue may hold copies, and of what."""

    queue: str
    holds: str
    gone_by: Timestamp


class Erasure(Contract):
    """The statement of an erasure receipt."""

    format: Annotated[str, Field(pattern=r"^switchyard-erasure/1$")] = "switchyard-erasure/1"
    subject: Uuid
    erased_at: Timestamp
    erased_by: ReceiptText
    reason: ReceiptText
    case_ids: tuple[Uuid, ...] = Field(description="Cases about the person with rows in the log.")
    events: int = Field(ge=0, description="Rows of these cases. They stay; their sealed fields are unreadable.")
    unreadable_by: Timestamp = Field(description="When the key has left the cache of every process.")
    queues: tuple[QueueCopies, ...]


def build_erasure(
    subject: str, footprints: Sequence[Footprint], catalogue: Catalogue, *, at: datetime, operator: str, reason: str
) -> Erasure:
    """The receipt's statement, for a key destroyed at a time, by an operator, for a reason."""
    return Erasure(
        subject=subject,
        erased_at=timestamp(at),
        erased_by=operator,
        reason=reason,
        case_ids=tuple(sorted(case for each in footprints for case in each.case_ids)),
        events=sum(each.events for each in footprints),
        unreadable_by=timestamp(at + timedelta(seconds=CACHE_S)),
        queues=tuple(_queues(catalogue, at)),
    )


def _queues(catalogue: Catalogue, at: datetime) -> list[QueueCopies]:
    found = []
    for each in consumers(catalogue):
        clear, sealed = "what upstream submitted in the clear", "sealed events"
        holds = {each.queue: sealed} | dict.fromkeys(each.lanes, clear)
        holds[each.dead_letter_queue] = f"{sealed} and {clear}" if each.lanes else sealed
        for queue, content in holds.items():
            seconds = DEAD_LETTER_RETENTION_SECONDS if queue == each.dead_letter_queue else RETENTION_SECONDS
            found.append(QueueCopies(queue=queue, holds=content, gone_by=timestamp(at + timedelta(seconds=seconds))))
    return found


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """The result of a request, with the receipt if there is one."""

    decision: ErasureDecision
    receipt: Receipt | None = None


@dataclass
class ErasureService:
    """Erases persons, as the roles `audit_retention` and `vault_eraser`.

    Every method raises `Unavailable` when a dependency cannot be reached. Repeat it then: it finishes what was begun.
    """

    pool: Pool
    catalogue: Catalogue
    keys: KeyEraser
    signer: Signer
    clock: Clock

    def __post_init__(self) -> None:
        self._database = Database(self.pool, AUDIT_DATABASE, _SQL)

    async def erase(self, subject: str, *, operator: str, reason: str) -> ErasureResult:
        """Erase a person, or return why not. Raises `ValueError` for a subject that is not a UUID."""
        person = uuid.UUID(subject)
        async with self._database.transaction() as log:
            # This lock keeps a legal hold from being placed between the decision and the destruction of the key.
            await log.execute("one_at_a_time")
            stored = await log.row("receipt", person)
            footprints = [Footprint(**row) for row in await log.rows("footprint", person)]
            key = await self.keys.state(subject)
            decision = decide_erasure(key, footprints, receipted=stored is not None, now=self.clock.now())
            receipt = None if stored is None else Receipt(**stored)
            if isinstance(decision, ErasureAllowed):
                await self.keys.destroy(subject, operator=operator, reason=reason)
                receipt = receipt or await self._receipt(subject, footprints)
                receipt_id = uuid.uuid5(_RECEIPTS, subject)
                await log.execute("keep_receipt", receipt_id, person, receipt.statement, receipt.key, receipt.signature)
        return ErasureResult(decision, receipt)

    async def again(self) -> list[str]:
        """After a restore of the work database: destroy every key that a receipt names; the subjects of these keys."""
        found: list[str] = []
        after = uuid.UUID(int=0)
        while page := [row["subject"] for row in await self._database.rows("subjects", after)]:
            found += await self.keys.destroy_restored_keys(page)
            after = uuid.UUID(page[-1])
        return found

    async def _receipt(self, subject: str, footprints: list[Footprint]) -> Receipt:
        # By the vault's record, not by our clock and arguments: an earlier attempt may have destroyed the key.
        erased = (await self.keys.state(subject)).erased
        if erased is None:
            raise LookupError("the vault has no record of the key that was just destroyed")
        statement = build_erasure(
            subject, footprints, self.catalogue, at=erased.at, operator=erased.operator, reason=erased.reason
        )
        return await sign_receipt(statement, self.signer)


def read_erasure(receipt: Receipt, trusted: TrustedKeys) -> tuple[Erasure, str | None]:
    """A receipt's statement, and why its signature is invalid. Raises `ValueError` if it cannot be read."""
    return Erasure.model_validate_json(receipt.statement), receipt.invalid_reason(trusted)
