"""When each token of a reply comes, and how the reply ends: pure, so that virtual time can run it too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

BURST_TOKENS = 16
"""Tokens per chunk where no rate is set: several chunks for any real reply, without a write per token."""

MIN_STEP_MS = 5.0
"""At higher rates tokens are grouped: event loops do not keep shorter intervals."""

ReplyEnd = Literal["done", "failure", "stall"]


@dataclass(frozen=True, slots=True)
class FailureResponse:
    """An error that the service answers with. Without a code or message, the wire's own for that status is used."""

    status: int
    code: str | None = None
    message: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How one call goes. The default is a perfect service: everything at once."""

    first_token_ms: float = 0.0
    tokens_per_second: float | None = None
    stall: bool = False
    """Nothing at all is sent, not even the response's headers."""
    stall_after_tokens: int | None = None
    stall_seconds: float = 60.0
    """How long a stall lasts at most, if the client does not leave first."""
    failure: FailureResponse | None = None
    error_after_tokens: int | None = None
    """None: the failure is the response's status. Otherwise it comes in the open stream after so many tokens."""

    @property
    def opens(self) -> bool:
        """Whether the call is admitted, so that a streamed response begins at once."""
        return not self.stall and (self.failure is None or self.error_after_tokens is not None)


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """At a time after the request was read, so many tokens come; the last step says how the reply ends."""

    at_ms: float
    tokens: int
    end: ReplyEnd | None = None


def reply_timeline(plan: ResponsePlan, tokens: int) -> Iterator[TimelineStep]:
    """The steps of a reply that has `tokens` tokens. Exactly one step has an end, and it is the last."""
    if plan.stall:
        yield TimelineStep(0.0, 0, "stall")
        return
    if not plan.opens:
        yield TimelineStep(plan.first_token_ms, 0, "failure")
        return
    end, limit = _cut(plan, tokens)
    rate = plan.tokens_per_second
    group = BURST_TOKENS if rate is None else max(1, round(rate * MIN_STEP_MS / 1000))
    sent = 0
    while sent < limit:
        size = min(group, limit - sent)
        yield TimelineStep(_at(plan, sent), size)
        sent += size
    yield TimelineStep(_at(plan, max(sent - 1, 0)), 0, end)


def _cut(plan: ResponsePlan, tokens: int) -> tuple[ReplyEnd, int]:
    """How the reply ends and after how many tokens: a fault beyond the reply's length never comes."""
    if plan.stall_after_tokens is not None and plan.stall_after_tokens <= tokens:
        return "stall", plan.stall_after_tokens
    if plan.failure is not None and plan.error_after_tokens is not None and plan.error_after_tokens <= tokens:
        return "failure", plan.error_after_tokens
    return "done", tokens


def _at(plan: ResponsePlan, index: int) -> float:
    if plan.tokens_per_second is None:
        return plan.first_token_ms
    return plan.first_token_ms + index * 1000 / plan.tokens_per_second
