"""What may go wrong, by name. Every error is a `SwitchyardError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from switchyard_client.models import Case


class SwitchyardError(Exception):
    """Base of all errors of this package."""


class ApiError(SwitchyardError):
    """The API answered with a problem: what failed, in which field, and what to do."""

    code: ClassVar[str] = ""

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        remedy: str = "",
        field: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        where = f" (field {field})" if field else ""
        super().__init__(f"{detail}{where}." + (f" Remedy: {remedy}" if remedy else ""))
        self.detail = detail
        self.status = status
        self.remedy = remedy
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidRequest(ApiError):
    """The request is invalid: correct the field."""

    code = "invalid_request"


class LoginRequired(ApiError):
    """The token is not accepted: log in again."""

    code = "login_required"


class GrantForbidden(ApiError):
    """The grant is another user's."""

    code = "grant_forbidden"


class NotFound(ApiError):
    """There is no such case of this user."""

    code = "not_found"


class Gone(ApiError):
    """The result was erased or retired."""

    code = "gone"


class TooLong(ApiError):
    """The body is too long."""

    code = "too_long"


class TooManyRequests(ApiError):
    """Asked too often, although the client waited as long as the API said."""

    code = "too_many_requests"


class TemporarilyUnavailable(ApiError):
    """The API did not become available in the time of all retries."""

    code = "temporarily_unavailable"


class Unreachable(SwitchyardError):
    """The API cannot be reached, or what answers is not the API."""


class EventGap(SwitchyardError):
    """Events between two positions are missing: read the case again, and its events from the beginning."""


class CaseRejected(SwitchyardError):
    """The submission was accepted and rejected afterwards; `case.rejections` say why."""

    def __init__(self, case: Case) -> None:
        why = case.rejections[-1] if case.rejections else None
        super().__init__(f"{why.message}. Remedy: {why.remedy}" if why else "the submission was refused")
        self.case = case


class ConsentNeeded(SwitchyardError):
    """The case waits: log in again and call `consent` with `case.consent.grant`."""

    def __init__(self, case: Case) -> None:
        super().__init__("the case waits for its user to log in again and consent")
        self.case = case


class WaitTimeout(SwitchyardError):
    """The case did not end in time. It goes on."""


BY_CODE: dict[str, type[ApiError]] = {
    each.code: each
    for each in (
        InvalidRequest,
        LoginRequired,
        GrantForbidden,
        NotFound,
        Gone,
        TooLong,
        TooManyRequests,
        TemporarilyUnavailable,
    )
}
