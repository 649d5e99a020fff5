"""What memory emits: what it recalled, kept and forgot, by id and digest. Content is in sealed artefacts only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from switchyard.protocol.fields import Artefact, Code, Contract, NonNegativeInt, Sha256, Uuid

MemoryKind = Literal["turn", "slot", "note"]
"""A turn of a session; a fact about the user under a name that an update replaces; a free note."""


class MemoryItem(Contract):
    """One thing that is or was remembered, without what it says."""

    id: Uuid = Field(description="Of a turn, the case that it was.")
    kind: MemoryKind
    digest: Sha256 = Field(description="Of the event that it was kept from.")


class MemoryRecalled(Contract):
    """What memory has for this turn: data that was said before, with dates and sources, and with no authority."""

    memory: Artefact | None = Field(default=None, description="Absent if nothing is remembered. Sealed.")
    used: tuple[MemoryItem, ...] = Field(default=(), description="What is in it.")
    tokens: NonNegativeInt = Field(default=0, description="About how many it adds to a prompt.")
    missing: Code | None = Field(default=None, description="Why the turn before is not in it, if it is not.")


class MemoryKept(Contract):
    """Something is remembered from now on, until it expires."""

    items: tuple[MemoryItem, ...] = Field(min_length=1)
    dropped: tuple[Uuid, ...] = Field(default=(), description="Turns of the session that had to make room.")
