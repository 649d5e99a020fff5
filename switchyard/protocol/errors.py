"""Why an event or a submission is refused."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from switchyard.protocol.envelope import Envelope

MAX_FIELD_CHARS = 200
"""`field` travels in failures, whose contract allows this much."""

_PLAIN = re.compile(r"[A-Za-z0-9_\[\]-]{1,64}")


class RejectionReason(StrEnum):
    """What kind of refusal it is; the kind decides what happens to the message."""

    MALFORMED = "malformed"  # not JSON, or not an envelope: nothing in it can be trusted, so quarantine
    FORGED = "forged"  # source, digest or seal does not hold: integrity alarm and quarantine, the case goes on
    UNKNOWN = "unknown"  # a type or version this consumer does not know: the case ends, naming it
    INVALID = "invalid"  # an authentic event whose payload does not fit its contract: the case ends, naming the field
    TOO_LARGE = "too_large"  # over a size limit


class InvalidEvent(ValueError):
    """The event cannot be accepted. `field` names the culprit as a dotted path, `remedy` says what to do. The message
    never quotes the offending value: it may be personal data."""

    envelope: Envelope | None = None
    """The envelope, if it was authenticated before the event was rejected."""

    def __init__(
        self, reason: RejectionReason, message: str, field: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field[:MAX_FIELD_CHARS] if field else None
        self.remedy = remedy

    def __str__(self) -> str:
        where = f" (field {self.field})" if self.field else ""
        fix = f" Remedy: {self.remedy}" if self.remedy else ""
        return f"{self.reason}: {self.message}{where}.{fix}"


malformed = partial(InvalidEvent, RejectionReason.MALFORMED)
forged = partial(InvalidEvent, RejectionReason.FORGED)
invalid = partial(InvalidEvent, RejectionReason.INVALID)


class NotDeployed(InvalidEvent):
    """A type, a version or a graph that this process's release does not know, and that a newer one may know.

    That release may be on its way: the event is left on its queue for a while first
    (`switchyard/runtime/messaging/rollout.py`).
    """

    def __init__(self, message: str, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(RejectionReason.UNKNOWN, message, field, remedy)


def safe_field_name(name: object) -> str:
    """One part of a field's path, as a message may contain it. A name that is not plain is the sender's own text, and
    may be personal data like any value: it becomes `(name)`."""
    text = str(name)
    return text if _PLAIN.fullmatch(text) else "(name)"


def why_unreadable(error: Exception) -> str:
    """Why a file cannot be read, without Python's words."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is no text in {error.encoding.upper()}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(getattr(error, "strerror", None) or error).split())
