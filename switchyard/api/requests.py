"""What callers post, and what they are answered: the models of the function's routes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from switchyard.api.endpoints import Parameter, PostedRequest
from switchyard.api.views import ApiView
from switchyard.protocol.feedback import MAX_FEEDBACK_CHARS, Thumb
from switchyard.protocol.fields import Identifier, StrictContract, Uuid
from switchyard.protocol.forgetting import ForgettingScope
from switchyard.protocol.submissions import FROM_TOKEN, UserSubmission


def case_fields(kind: type[UserSubmission]) -> frozenset[str]:
    """The fields of a submission that a caller sets. Tenant, user and role come from the token, the session from its
    header."""
    return frozenset(kind.model_fields) - FROM_TOKEN


def case_body(kind: type[UserSubmission]) -> type[BaseModel]:
    """What is posted to open a case."""
    fields: dict[str, Any] = {
        name: (each.annotation, each) for name, each in kind.model_fields.items() if name in case_fields(kind)
    }
    about = f"{kind.__doc__} Tenant, user and role are those of the token, the session is in its header."
    return create_model("CaseBody", __config__=ConfigDict(extra="forbid"), __doc__=about, **fields)


class GrantNamed(StrictContract):
    """One grant of the caller."""

    grant: Uuid = Field(description="As the answer to the submission, or the waiting case, names it.")


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


class CaseAccepted(ApiView):
    """The case is on its way; it says what comes of it."""

    case_id: str
    session_id: str
    grant: str | None = Field(default=None, description="Where agents act in the user's name.")


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
_GRANTS = (
    PostedRequest(
        "consents",
        "Renew a grant with this log-in, so that the cases that wait for it go on.",
        GrantNamed,
        GrantRenewedAnswer,
        202,
        (_REFRESH,),
    ),
    PostedRequest("revocations", "Revoke a grant.", GrantNamed, GrantRevokedAnswer, 200),
)
_FEEDBACK = PostedRequest("feedback", "Say whether the answer of a case was good.", Feedback, FeedbackAccepted, 202)
_FORGETTINGS = PostedRequest(
    "forgettings", "Have what is remembered of the caller forgotten.", Forgetting, ForgettingAccepted, 202
)


def posted_requests(kind: type[UserSubmission], *, grants: bool, memory: bool) -> tuple[PostedRequest, ...]:
    """What the function behind the API takes. `grants`: agents act in the user's name; `memory`: something is
    remembered of users."""
    session = Parameter("X-Session-Id", "header", "The conversation.", required=True)
    parameters = (session, _REFRESH) if grants else (session,)
    cases = PostedRequest("cases", "Open a case.", case_body(kind), CaseAccepted, 202, parameters)
    return (cases, *(_GRANTS if grants else ()), _FEEDBACK, *((_FORGETTINGS,) if memory else ()))
