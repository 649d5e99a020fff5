"""What upstream systems put on the bus. No envelope: an upstream knows nothing of cases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.fields import Identifier, Milliseconds, Name, Strict

Question = Annotated[str, Field(min_length=1, max_length=4_000)]


class CaseSubmitted(Strict):
    """A question for the operator's assistant.

    `(tenant, source, idempotency_key)` names the submission: the same payload again is the same case, another payload
    under the same key is refused as a conflict.
    """

    tenant: Identifier
    idempotency_key: Identifier = Field(description="Unique for each submission of a tenant and source.")
    session_id: Identifier = Field(description="The conversation; sessions never see each other's data.")
    playbook: Literal["assist"] = "assist"
    user_id: Identifier = Field(description="Who asks. Personal: replaced by a pseudonym at intake.")
    question: Question = Field(description="Personal: sealed at intake under the key of the user.")
    agent: Name | None = Field(default=None, description="The specialist, if upstream knows; else triage chooses.")
    role: Annotated[Identifier, Field(max_length=100)] | None = Field(
        default=None, description="Warehouse role to query with, as the asking user."
    )
    deadline_ms: Annotated[Milliseconds, Field(ge=1_000, le=86_400_000)] | None = Field(
        default=None, description="How long the case may take; the desk's default if absent."
    )
