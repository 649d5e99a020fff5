"""What memory emits: what it recalled, kept and forgot, by id and digest. Content is in sealed artefacts only."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from switchyard.protocol.events.case_manager import OperatorSignature
from switchyard.protocol.fields import (
    Artefact,
    Code,
    Contract,
    Identifier,
    NonNegativeInt,
    Sentence,
    Sha256,
    Timestamp,
    Uuid,
)
from switchyard.protocol.forgetting import ForgettingScope

MemoryKind = Literal["turn", "slot", "note"]
"""A turn of a session; a fact about the user under a name that an update replaces; a free note."""

ForgettingReason = Literal["expired", "superseded", "operator", "user_request", "erased", "evicted"]
"""`operator`: one signed for it; `user_request`: the person asked for it, logged in; `erased`: with the person;
`evicted`: to make room."""


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
    quarantined: tuple[Uuid, ...] = Field(
        default=(), description="Kept apart, and never recalled: it reads like an order."
    )


class ForgettingRequest(Contract):
    """What the ingress signed for a user who is logged in: `switchyard.protocol.forgetting.forgetting_statement`."""

    request_id: Uuid
    scope: ForgettingScope
    person: Sha256 = Field(description="`person_commitment`: it names the user to one who has the nonce.")
    signed_by: Identifier = Field(description="The source and the id of its key, with a slash between.")
    signed_at: Timestamp
    signature: OperatorSignature


class MemoryForgotten(Contract):
    """Something is no longer remembered: the receipt. A chain of its own.

    For `operator` one signed `switchyard.protocol.statements.command_statement` of these fields and the action
    `forget`; for `user_request` the evidence is `request`. `target` is the person's pseudonym.
    """

    items: tuple[MemoryItem, ...] = Field(min_length=1)
    reason: ForgettingReason
    target: Uuid | None = None
    operator: Identifier | None = None
    why: Sentence | None = None
    command_id: Uuid | None = None
    signed_at: Timestamp | None = None
    signature: OperatorSignature | None = None
    request: ForgettingRequest | None = None

    @model_validator(mode="after")
    def _evidence(self) -> Self:
        if (self.reason == "operator") != (self.operator is not None):
            raise PydanticCustomError(
                "evidence", "an operator's signature belongs to the reason operator, and to no other"
            )
        if (self.reason == "user_request") != (self.request is not None):
            raise PydanticCustomError(
                "evidence", "a user's request belongs to the reason user_request, and to no other"
            )
        if self.request is not None and self.request.scope == "one" and len(self.items) > 1:
            raise PydanticCustomError("evidence", "the user asked to forget one memory")
        return self
