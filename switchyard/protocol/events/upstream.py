"""What an upstream system may put on the bus in every application."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from switchyard.protocol.feedback import MAX_FEEDBACK_CHARS, Thumb
from switchyard.protocol.fields import PERSONAL_DATA, Email, Identifier, Sha256, StrictContract, Timestamp, Uuid
from switchyard.protocol.forgetting import ForgettingScope
from switchyard.protocol.grants import GrantStatement


class GrantRenewed(StrictContract):
    """The user has given consent again. The statement is the renewed grant, which keeps its id."""

    tenant: Identifier
    grant: GrantStatement


class FeedbackGiven(StrictContract):
    """What a user says about a case. The statement is `switchyard.protocol.feedback.FeedbackClaims`, signed."""

    tenant: Identifier
    case_id: Uuid
    thumb: Thumb
    reason: Annotated[str, Field(min_length=1, max_length=MAX_FEEDBACK_CHARS)] | None = Field(
        default=None, description="Personal: sealed by the case manager.", json_schema_extra=PERSONAL_DATA
    )
    statement: GrantStatement = Field(description="A JWS in compact form, by the ingress.")


class ForgettingRequested(StrictContract):
    """A user who is logged in wants what is remembered of them forgotten: one thing, or all. The ingress signed
    `switchyard.protocol.forgetting.forgetting_statement` of it."""

    tenant: Identifier
    user_id: Identifier = Field(
        description="Personal: the log has `person_commitment`.", json_schema_extra=PERSONAL_DATA
    )
    person: Sha256 = Field(description="`person_commitment`, which is signed.")
    nonce: Sha256 = Field(description="32 random bytes in hex: of the commitment, and kept nowhere.")
    request_id: Uuid
    scope: ForgettingScope
    memory: Uuid | None = Field(default=None, description="Which one, of the scope `one`.")
    signed_by: Identifier = Field(description="The source and the id of its key, with a slash between.")
    signed_at: Timestamp
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")] = Field(description="Ed25519, in hex.")

    @model_validator(mode="after")
    def _one_memory(self) -> Self:
        if (self.memory is None) == (self.scope == "one"):
            raise PydanticCustomError("one_memory", "should name a memory for the scope one, and none for all")
        return self


class SuppressionRequested(StrictContract):
    """An address that must not be written to any more: from the opt-out endpoint, or from the mail provider."""

    tenant: Identifier
    address: Email | None = Field(
        default=None, description="Personal: only its keyed hash is kept.", json_schema_extra=PERSONAL_DATA
    )
    address_key: Sha256 | None = Field(default=None, description="Or its keyed hash, as an opt-out link carries it.")
    reason: Literal["opted_out", "bounced", "complained"]
    report_id: Identifier = Field(description="The report's own id, so that a repeat is the same report.")

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.address is None) == (self.address_key is None):
            raise PydanticCustomError("one_name", "should have either address or address_key, and not both")
        return self
