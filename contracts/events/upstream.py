"""What upstream systems put on the bus. No envelope: an upstream knows nothing of cases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.documents.accounts import AccountFacts, Purpose
from switchyard.protocol.fields import PERSONAL_DATA, Identifier, Milliseconds, Name
from switchyard.protocol.grants import GrantStatement
from switchyard.protocol.principals import PrincipalStatement
from switchyard.protocol.submissions import Submission

EMAIL_FEEDBACK_SOURCE = "upstream.email_feedback"
"""The bus source of the process behind the opt-out links."""

QuestionText = Annotated[str, Field(min_length=1, max_length=4_000)]


class CaseSubmitted(Submission):
    """A question for the operator's assistant."""

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
    grant: GrantStatement | None = Field(
        default=None,
        description="What the user allows agents to do in their name (switchyard.protocol.grants), signed by the "
        "ingress. Agents read the warehouse with it; without it they read as the source's service principal.",
    )


class EmailCaseSubmitted(Submission):
    """An email that a creditor's system wants written, checked and sent."""

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
