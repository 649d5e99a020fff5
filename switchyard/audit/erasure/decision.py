"""Erasure: whether a person may be erased, and the receipt that says what was. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from switchyard.audit.receipts.receipts import ReceiptText
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.fields import Contract, Timestamp, Uuid
from switchyard.protocol.topology import DEAD_LETTER_RETENTION_SECONDS, RETENTION_SECONDS, consumers
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.crypto.erasure import KeyErasure, KeyState
from switchyard.runtime.crypto.vault import CACHE_S


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the log has of a person under one playbook. Without a policy nobody has said that it may go."""

    playbook: str
    case_ids: tuple[str, ...]
    events: int
    has_policy: bool
    duty_until: datetime | None
    citation: str | None
    legal_holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErasureDenied:
    """Why a person may not be erased now. `until` is None where only an operator's act ends it."""

    why: str
    until: datetime | None
    remedy: str


@dataclass(frozen=True, slots=True)
class PersonUnknown:
    """Neither the vault nor the log has heard of the person."""


@dataclass(frozen=True, slots=True)
class AlreadyErased:
    """The person was erased, and the receipt is there."""


@dataclass(frozen=True, slots=True)
class ErasureAllowed:
    """Destroy the key if it is there, then write the receipt. `begun` is an erasure that was interrupted between."""

    begun: KeyErasure | None


ErasureDecision = ErasureDenied | PersonUnknown | AlreadyErased | ErasureAllowed


def decide_erasure(
    key: KeyState, footprints: Sequence[Footprint], *, receipted: bool, now: datetime
) -> ErasureDecision:
    """What to do about a request for erasure.

    A key that is gone is never a reason to refuse: what was begun is finished, whatever has been placed since.
    """
    if not key.present:
        if receipted:
            return AlreadyErased()
        return ErasureAllowed(key.erased) if key.erased is not None else PersonUnknown()
    if receipted or key.erased is not None:
        return ErasureAllowed(key.erased)  # a restored backup has brought the key back
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
    if not owed:
        return None
    until, longest = max(owed, key=lambda pair: pair[0])
    why = f"{len(longest.case_ids)} cases of playbook {longest.playbook} must be kept: {longest.citation}"
    return ErasureDenied(why, until, "ask again after that day")


class QueueCopies(Contract):
    """Until when a queue may hold copies. `holds` is what is in them."""

    queue: str
    holds: Literal["sealed events", "sealed events and what upstream submitted in the clear"]
    gone_by: Timestamp


class Erasure(Contract):
    """The statement of an erasure receipt."""

    format: Annotated[str, Field(pattern=r"^switchyard-erasure/1$")] = "switchyard-erasure/1"
    subject: Uuid
    erased_at: Timestamp
    erased_by: ReceiptText
    reason: ReceiptText
    case_ids: tuple[Uuid, ...] = Field(description="Cases about the person that the log has rows of.")
    events: int = Field(ge=0, description="Rows of these cases. They stay; what is sealed in them is unreadable.")
    unreadable_by: Timestamp = Field(description="When the last running process has forgotten the key.")
    queues: tuple[QueueCopies, ...]


def build_erasure(
    subject: str, footprints: Sequence[Footprint], catalogue: Catalogue, *, at: datetime, operator: str, reason: str
) -> Erasure:
    """What the receipt says, given when the key was destroyed, by whom and why."""
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
    for consumer in consumers(catalogue):
        for queue, seconds in (
            (consumer.queue, RETENTION_SECONDS),
            (consumer.dead_letter_queue, DEAD_LETTER_RETENTION_SECONDS),
        ):
            found.append(
                QueueCopies(
                    queue=queue,
                    holds="sealed events and what upstream submitted in the clear"
                    if consumer.node == CASE_MANAGER
                    else "sealed events",
                    gone_by=timestamp(at + timedelta(seconds=seconds)),
                )
            )
    return found
