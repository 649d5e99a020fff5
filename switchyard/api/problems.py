"""Problems that callers are answered with (RFC 9457): what failed, in which field, and what to do."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

PROBLEM_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """A problem as it is sent."""

    model_config = ConfigDict(frozen=True)

    title: str
    status: int
    code: str = Field(description="The kind of problem, for programs.")
    detail: str
    remedy: str = Field(description="What to do.")
    field: str | None = Field(default=None, description="The part of the request at fault.")


class Problem(Exception):
    """A request that is not served. `field` is the part of the request at fault, if one is."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid_request"
    title: ClassVar[str] = "The request is invalid"

    def __init__(self, message: str, *, field: str | None = None, remedy: str) -> None:
        super().__init__(message)
        self.field = field
        self.remedy = remedy

    def body(self) -> dict[str, Any]:
        """The problem as `application/problem+json`."""
        return ProblemBody(
            title=self.title,
            status=self.status,
            code=self.code,
            detail=str(self),
            remedy=self.remedy,
            field=self.field,
        ).model_dump(exclude_none=True)

    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        return {}


class InvalidRequest(Problem):
    """The request is invalid: correct the field that it names."""


class LoginRequired(Problem):
    """The token is not accepted: log in, and send the new one."""

    status = 401
    code = "login_required"
    title = "Log in again"

    def __init__(self, message: str) -> None:
        super().__init__(
            message, field="authorization", remedy="log in, and send the new token as Authorization: Bearer TOKEN"
        )

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class GrantForbidden(Problem):
    """The grant is another user's."""

    status = 403
    code = "grant_forbidden"
    title = "The grant is not yours"


class NotFound(Problem):
    """There is no such route, no such grant, or no such case or memory of this caller."""

    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(Problem):
    """The path takes another method."""

    status = 405
    code = "method_not_allowed"
    title = "Not allowed"


class Gone(Problem):
    """What was there cannot be read any more: it was erased or retired."""

    status = 410
    code = "gone"
    title = "Gone"


class TooLong(Problem):
    """The body is too long."""

    status = 413
    code = "too_long"
    title = "Too long"


class TooManyRequests(Problem):
    """The caller has asked too often, or has too many streams open: wait."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, message: str, *, after_s: int, remedy: str = "wait as long as Retry-After says") -> None:
        super().__init__(message, remedy=remedy)
        self.after_s = after_s

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.after_s)}


class Defect(Problem):
    """The service has a fault; its log has the cause."""

    status = 500
    code = "defect"
    title = "A fault of the service"


class TemporarilyUnavailable(Problem):
    """Something that the service needs does not answer; nothing was changed."""

    status = 503
    code = "temporarily_unavailable"
    title = "Temporarily unavailable"
    after_s: ClassVar[int] = 5

    def __init__(
        self, message: str, *, remedy: str = "send the same request again, under the same idempotency key"
    ) -> None:
        super().__init__(message, remedy=remedy)

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.after_s)}
