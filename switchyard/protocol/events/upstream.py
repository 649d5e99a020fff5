"""What an upstream system may put on the bus in every application."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from switchyard.protocol.fields import PERSONAL_DATA, Email, Identifier, Sha256, StrictContract
from switchyard.protocol.grants import GrantStatement


class GrantRenewed(StrictContract):
    """The user has given consent again. The statement is the renewed grant, which keeps its id."""

    tenant: Identifier
    grant: GrantStatement


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
