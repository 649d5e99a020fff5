"""What upstream systems put on the bus. No envelope: an upstream knows nothing of cases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.documents.accounts import AccountFacts, Purpose
from switchyard.protocol.fields import PERSONAL_DATA, Identifier, Milliseconds, Name
from switchyard.protocol.submissions import Submission, UserSubmission

EMAIL_FEEDBACK_SOURCE = "upstream.email_feedback"
"""The bus source of the process behind the opt-out links."""

QuestionText = Annotated[str, Field(min_length=1, max_length=4_000)]


class CaseSubmitted(UserSubmission):
    """A question for the operator's assistant."""

    playbook: Literal["assist"] = "assist"
    question: QuestionText = Field(description="Personal: sealed at intake under the key of the user.")
    agent: Name | None = Field(default=None, description="The specialist, if upstream knows; else triage chooses.")
    deadline_ms: Annotated[Milliseconds, Field(ge=1_000, le=86_400_000)] | None = Field(
        default=None, description="How long the case may take; the case manager's default if absent."
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
