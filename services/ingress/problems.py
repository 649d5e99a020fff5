"""Problems that callers are answered with (RFC 9457): what failed, in which field, and what to do."""

from __future__ import annotations

from typing import Any, ClassVar


class Problem(Exception):
    """A request that is not served. `field` is the part of the request at fault, if one is."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request is invalid"

    def __init__(self, message: str, *, field: str | None = None, remedy: str) -> None:
        super().__init__(message)
        self.field = field
        self.remedy = remedy

    def body(self) -> dict[str, Any]:
        """The problem as `application/problem+json`."""
        members = {"title": self.title, "status": self.status, "detail": str(self), "remedy": self.remedy}
        return members if self.field is None else members | {"field": self.field}


class InvalidRequest(Problem):
    """The request is invalid: correct the field that it names."""


class LoginRequired(Problem):
    """The token is not accepted: log in, and send the new one."""

    status = 401
    title = "Log in again"

    def __init__(self, message: str) -> None:
        super().__init__(
            message, field="authorization", remedy="log in, and send the new token as Authorization: Bearer TOKEN"
        )


class GrantForbidden(Problem):
    """The grant is another user's."""

    status = 403
    title = "The grant is not yours"


class NotFound(Problem):
    """There is no such route, or no such grant."""

    status = 404
    title = "Not found"


class TemporarilyUnavailable(Problem):
    """Something that the ingress needs does not answer; nothing was submitted."""

    status = 503
    title = "Temporarily unavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message, remedy="send the same request again, under the same idempotency key")
