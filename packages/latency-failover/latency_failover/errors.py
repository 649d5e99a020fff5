"""Errors that a `FailoverModel` raises itself.

A vendor's rejection of the request (a 400, a full context window) is raised as the vendor's adapter raised it: the
other vendor would reject it too, and code that compacts a history expects that type.
"""

from typing import Literal

from latency_failover.records import FailoverDecision

IncompleteKind = Literal["truncated", "filtered", "error"]


class FailoverError(Exception):
    """Base of the errors of this package."""


class AllModelsFailed(FailoverError):
    """No model answered. Read `causes` (one per attempt, in order) and `decision`; try again later if `retryable`.

    The message names models and error codes, never a vendor's text, which may quote the prompt.
    """

    def __init__(self, decision: FailoverDecision, causes: tuple[Exception, ...], *, retryable: bool) -> None:
        tried = ", ".join(f"{a.role} {a.model_id} {a.error_code or a.outcome}" for a in decision.attempts)
        super().__init__(f"no model answered within {decision.total_ms} ms: {tried or 'no time to call a model'}")
        self.decision = decision
        self.causes = causes
        self.retryable = retryable


class AttemptAbandoned(FailoverError):
    """A model was cut off because it was too slow; listed among the causes of `AllModelsFailed`."""

    def __init__(self, model_id: str, after_ms: int) -> None:
        super().__init__(f"{model_id} was cut off after {after_ms} ms")
        self.model_id = model_id
        self.after_ms = after_ms


class IncompleteAnswer(FailoverError):
    """An answer is not whole. `reason` is the vendor's word, or `no_reason` or `no_end_mark`; the other model is asked.

    `kind`: `truncated` (a token limit), `filtered` (a content filter or guardrail), or `error` (broken off, or a reason
    that this release does not know).
    """

    def __init__(self, reason: str, kind: IncompleteKind) -> None:
        super().__init__(f"the answer is not whole: {kind}")
        self.reason = reason
        self.kind = kind


class MalformedAnswer(FailoverError):
    """A vendor's answer cannot be read: that vendor's fault, so the other model is asked. `cause` names the error."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the vendor's answer cannot be read ({cause})")
        self.cause = cause


class ModelNotPermitted(FailoverError):
    """The model policy permits neither model to see this data. Allow a vendor and region, or do not call."""

    def __init__(self, policy: str, refused: tuple[str, ...]) -> None:
        named = f"model policy {policy}" if policy else "model policy"
        super().__init__(f"the {named} permits none of: {', '.join(refused)}")
        self.policy = policy
        self.refused = refused


class RetryOwnerConflict(FailoverError):
    """The SDK retries by itself. Build the Bedrock client with `Config(retries={"total_max_attempts": 1})`.

    Two owners of retries multiply each other's attempts and hide throttling from the statistics.
    """
