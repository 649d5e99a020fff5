"""Classifies failures: whether the call goes to the other model, or the error to the caller.

Failed over: throttling and exhausted quotas, server errors, lost connections, answers that are unreadable, `truncated`
(a token limit) or `filtered` (a content filter), and also rejected credentials and unknown models (a fault of one
vendor's set-up, not of the request; the decision names them).
Not failed over: a request that the vendor calls invalid or too long. The other vendor would reject it as well, and the
first error shows the caller's mistake best.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic_ai.exceptions import (
    ConcurrencyLimitExceeded,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelAuthenticationError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
)

from latency_failover.errors import AllModelsFailed, IncompleteAnswer, MalformedAnswer

FailureKind = Literal["throttled", "error", "truncated", "filtered", "rejected"]

_TRANSPORTS = frozenset({"botocore", "h11", "h2", "httpcore", "httpx", "httpx2", "openai", "urllib3"})
"""Top-level modules whose exceptions are transport failures, if an adapter passes them on unmapped."""

_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


@dataclass(frozen=True)
class ClassifiedFailure:
    """A classified error. `code` is safe to store; `retry_after_ms` is the vendor's Retry-After."""

    kind: FailureKind
    code: str
    retry_after_ms: int | None = None


Classify = Callable[[Exception], ClassifiedFailure]


def classify(error: Exception) -> ClassifiedFailure:
    """The default classification. An error of neither vendor nor transport is `rejected`: the caller's defect."""
    kind = error.kind if isinstance(error, IncompleteAnswer) else _kind(error)
    return ClassifiedFailure(kind, error_code(error), _retry_after_ms(error))


def error_code(error: Exception) -> str:
    """Class, HTTP status and vendor code or stop reason, by slashes. Never the message, which may quote the prompt."""
    parts = [type(error).__name__]
    if isinstance(error, ModelHTTPError):
        parts.append(str(error.status_code))
    if isinstance(error, ModelAPIError) and error.provider_error_code and _CODE.fullmatch(error.provider_error_code):
        parts.append(error.provider_error_code)
    if isinstance(error, IncompleteAnswer | MalformedAnswer):
        word = error.reason if isinstance(error, IncompleteAnswer) else error.cause
        parts.append(word if _CODE.fullmatch(word) else "unknown")
    return "/".join(parts)


def is_transport_error(error: Exception) -> bool:
    """Whether an SDK's transport raised it, and its adapter passed it on."""
    return type(error).__module__.partition(".")[0] in _TRANSPORTS


def _kind(error: Exception) -> FailureKind:
    match error:
        case ModelRateLimitError() | ModelQuotaExceededError() | ConcurrencyLimitExceeded():
            return "throttled"
        case ModelHTTPError(status_code=429):
            return "throttled"
        case ModelAuthenticationError() | ModelNotFoundError():
            return "error"
        case ModelRequestRejectedError() | ModelHTTPError(status_code=400 | 413 | 422):
            return "rejected"
        case ModelAPIError() | UnexpectedModelBehavior() | FallbackExceptionGroup() | OSError():
            return "error"
        case _:
            ours = isinstance(error, AllModelsFailed | MalformedAnswer)
            return "error" if ours or is_transport_error(error) else "rejected"


def _retry_after_ms(error: Exception) -> int | None:
    seconds = error.retry_after if isinstance(error, ModelAPIError) else None
    return None if seconds is None else max(0, int(seconds * 1000))
