"""Why a submission is not taken."""

from __future__ import annotations

from switchyard.protocol.errors import InvalidEvent, RejectionReason


class SubmissionInvalid(InvalidEvent):
    """The submission becomes a `SubmissionRejected` with this code, and no case."""

    def __init__(self, code: str, message: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(RejectionReason.INVALID, message, field=field, remedy=remedy)
        self.code = code


class PrincipalInvalid(SubmissionInvalid):
    """The submission does not prove who asks. The remedy says what to correct."""


class PrincipalExpired(PrincipalInvalid):
    """The proof is too old, or a clock is wrong: no integrity alarm."""
