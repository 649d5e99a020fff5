"""What callers post, and what they are answered: the models of the function's routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.events.upstream import QuestionText
from switchyard.api.endpoints import Parameter, PostedRequest
from switchyard.api.views import ApiView
from switchyard.protocol.feedback import MAX_FEEDBACK_CHARS, Thumb
from switchyard.protocol.fields import Identifier, Milliseconds, Name, StrictContract, Uuid
from switchyard.protocol.forgetting import ForgettingScope


class Question(StrictContract):
    """A question. Tenant, user and role are those of the token, the session is in its header."""

    question: QuestionText
    idempotency_key: Identifier = Field(description="Names the question: sent again under it, it is the same case.")
    agent: Name | None = Field(default=None, description="The specialist, if it is known; else triage chooses.")
    deadline_ms: Annotated[Milliseconds, Field(ge=1_000, le=86_400_000)] | None = None


class GrantNamed(StrictContract):
    """One grant of the caller."""

    grant: Uuid = Field(description="As the question's answer, or the waiting case, names it.")


class Feedback(StrictContract):
    """What the caller says about a case of theirs that has ended."""

    case_id: Uuid
    thumb: Thumb
    reason: Annotated[str, Field(min_length=1, max_length=MAX_FEEDBACK_CHARS)] | None = Field(
        default=None, description="Sealed: only reviewers read it."
    )


class Forgetting(StrictContract):
    """What the caller wants forgotten of what is remembered of them."""

    scope: ForgettingScope = Field(description="`one` memory, or `all` of the caller's.")
    memory: Uuid | None = Field(default=None, description="Which one, as `GET /v1/memory` names it; only for `one`.")
    idempotency_key: Identifier = Field(description="Names the request: sent again under it, it is the same one.")


class QuestionAccepted(ApiView):
    """The question is on its way; the case says what comes of it."""

    case_id: str
    session_id: str
    grant: str


class GrantRenewedAnswer(ApiView):
    """The grant is renewed; the cases that wait for it go on."""

    grant: str
    expires_at: int = Field(description="Seconds since 1970.")


class GrantRevokedAnswer(ApiView):
    """Agents obtain no token for the grant any more."""

    grant: str
    revoked: bool


class FeedbackAccepted(ApiView):
    """The feedback is on its way; it is not kept for a case that is not the caller's, or has not ended."""

    case_id: str


class ForgettingAccepted(ApiView):
    """The request is on its way; `GET /v1/forgettings/{request_id}` says when it is done."""

    request_id: str


_REFRESH = Parameter(
    "X-Refresh-Token",
    "header",
    "The identity service renews the token with it while a case waits. It goes nowhere else.",
)
REQUESTS = (
    PostedRequest(
        "cases",
        "Ask a question.",
        Question,
        QuestionAccepted,
        202,
        (Parameter("X-Session-Id", "header", "The conversation.", required=True), _REFRESH),
    ),
    PostedRequest(
        "consents",
        "Renew a grant with this log-in, so that the cases that wait for it go on.",
        GrantNamed,
        GrantRenewedAnswer,
        202,
        (_REFRESH,),
    ),
    PostedRequest("revocations", "Revoke a grant.", GrantNamed, GrantRevokedAnswer, 200),
    PostedRequest("feedback", "Say whether the answer of a case was good.", Feedback, FeedbackAccepted, 202),
    PostedRequest(
        "forgettings", "Have what is remembered of the caller forgotten.", Forgetting, ForgettingAccepted, 202
    ),
)
"""Every route of the function, in the order of its ROUTES."""
