"""What upstream systems put on the bus. No envelope: an upstream knows nothing of cases."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.documents.accounts import PERSONAL_DATA, AccountFacts, Email, Purpose
from switchyard.protocol.fields import Identifier, Milliseconds, Name, Sha256, StrictContract
from switchyard.protocol.principals import PrincipalStatement

QuestionText = Annotated[str, Field(min_length=1, max_length=4_000)]


class CaseSubmitted(StrictContract):
    """A question for the operator's assistant.

    `(tenant, source, idempotency_key)` names the submission: the same payload again is the same case, another payload
    under the same key is refused as a conflict.
    """

    tenant: Identifier
    idempotency_key: Identifier = Field(description="Unique for each submission of a tenant and source.")
    session_id: Identifier = Field(description="The conversation; sessions never see each other's data.")
    playbook: Literal["assist"] = "assist"
    user_id: Identifier = Field(description="Who asks. Personal: replaced by a pseudonym at intake.")
    question: QuestionText = Field(description="Personal: sealed at intake under the key of the user.")
    agent: Name | None = Field(default=None, description="The specialist, if upstream knows; else triage chooses.")
    role: Annotated[Identifier, Field(max_length=100)] | None = Field(
        default=None, description="Warehouse role to query with, as the asking user."
    )
    deadline_ms: Annotated[Milliseconds, Field(ge=1_000, le=86_400_000)] | None = Field(
        default=None, description="How long the case may take; the case manager's default if absent."
    )
    principal: PrincipalStatement | None = Field(
        default=None,
        description="The claims of switchyard.protocol.principals about this very submission, signed by its ingress "
        "(compact JWS, Ed25519). The case manager wants it from the sources that it has keys of.",
    )


class EmailCaseSubmitted(StrictContract):
    """An email that a creditor's system wants written, checked and sent.

    Named as `CaseSubmitted` is, by `(tenant, source, idempotency_key)`.
    """

    tenant: Identifier
    idempotency_key: Identifier = Field(description="Unique for each submission of a tenant and source.")
    session_id: Identifier = Field(description="The batch or campaign that the email belongs to.")
    playbook: Literal["outbound_email"] = "outbound_email"
    consumer_id: Identifier = Field(
        description="Personal: replaced by a pseudonym at intake.", json_schema_extra=PERSONAL_DATA
    )
    submitted_for: Identifier = Field(description="Who asked for the email: this person may not approve it.")
    purpose: Purpose
    facts: AccountFacts = Field(description="Sealed at intake, whole, under the key of the consumer.")
    deadline_ms: Annotated[Milliseconds, Field(ge=1_000, le=30 * 86_400_000)] | None = Field(
        default=None, description="How long the case may take; seven days if absent."
    )


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
