"""How one call goes: when each token of its reply comes and how it ends; and named behaviours over many calls.

All of it is pure, so that virtual time can run it too. A behaviour is a function of its parameters, its seed and the
call's number: the same call always gets the same plan, in any order of calls. Times are illustrative defaults,
not measurements of any vendor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

BURST_TOKENS = 16
"""Tokens per chunk where no rate is set: several chunks for any real reply, without a write per token."""

MIN_STEP_MS = 5.0
"""At higher rates tokens are grouped: event loops do not keep shorter intervals."""

ReplyEnd = Literal["done", "failure", "stall"]
Omission = Literal["block_start", "stop", "done"]
"""Parts of a stream: a tool call's start (Bedrock), the stop reason, and the end mark (OpenAI's `[DONE]`)."""

Share = Annotated[float, Field(ge=0, le=1)]
SimulatedMilliseconds = Annotated[float, Field(ge=0, le=600_000)]
TokenRate = Annotated[float, Field(gt=0)]
CallCount = Annotated[int, Field(ge=0)]
StallSeconds = Annotated[float, Field(gt=0, le=600)]


@dataclass(frozen=True, slots=True)
class FailureResponse:
    """An error that the service answers with. Without a code or message, the wire's own for that status is used."""

    status: Annotated[int, Field(ge=400, le=599)]
    code: str | None = None
    message: str | None = None
    retry_after_s: Annotated[float, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How one call goes. The default is a perfect service: everything at once.

    `stall`: nothing at all is sent, not even headers. A stall lasts `stall_seconds` if the client does not leave first.
    Without `error_after_tokens` a failure is the response's status; with it, it comes in the open stream.
    `stop_reason` replaces the reply's own, in the words of the wire; parts named in `omit` are not sent.
    """

    first_token_ms: float = 0.0
    tokens_per_second: float | None = None
    stall: bool = False
    stall_after_tokens: int | None = None
    stall_seconds: float = 60.0
    failure: FailureResponse | None = None
    error_after_tokens: int | None = None
    stop_reason: str | None = None
    omit: frozenset[Omission] = frozenset()

    @property
    def opens(self) -> bool:
        """Whether the call is admitted, so that a streamed response begins at once."""
        return not self.stall and (self.failure is None or self.error_after_tokens is not None)


@dataclass(frozen=True, slots=True)
class ReplyStep:
    """At a time after the request was read, so many tokens come; the last step says how the reply ends."""

    at_ms: float
    tokens: int
    end: ReplyEnd | None = None


def reply_timeline(plan: ResponsePlan, tokens: int) -> Iterator[ReplyStep]:
    """The steps of a reply that has `tokens` tokens. Exactly one step has an end, and it is the last."""
    if not plan.opens:
        yield ReplyStep(0.0, 0, "stall") if plan.stall else ReplyStep(plan.first_token_ms, 0, "failure")
        return
    end: ReplyEnd = "done"  # a fault beyond the reply's length never comes
    if plan.stall_after_tokens is not None and plan.stall_after_tokens <= tokens:
        end, tokens = "stall", plan.stall_after_tokens
    elif plan.failure is not None and plan.error_after_tokens is not None and plan.error_after_tokens <= tokens:
        end, tokens = "failure", plan.error_after_tokens
    rate = plan.tokens_per_second
    gap_ms = 0.0 if rate is None else 1000 / rate
    group = BURST_TOKENS if rate is None else max(1, round(rate * MIN_STEP_MS / 1000))
    for sent in range(0, tokens, group):
        yield ReplyStep(plan.first_token_ms + sent * gap_ms, min(group, tokens - sent))
    yield ReplyStep(plan.first_token_ms + max(tokens - 1, 0) * gap_ms, 0, end)


_STRIKING = {"bimodal", "slow_drip", "stall_after_tokens", "throttling_storm"}


class Behaviour(BaseModel):
    """What becomes of each call. A healthy one has a log-normal time to its first token, then a constant rate.

    `first_token_ms` is the median, `jitter` the standard deviation of the logarithm: 0.25 puts P95 at 1.5 times it.
    `share` of the calls is struck: slow to start (bimodal), slow to stream (slow_drip), stalled after `tokens`
    (stall_after_tokens), or refused, in the first `lasts` of `every` calls (throttling_storm). An outage refuses the
    `lasts` calls from `starts_at`. A recovery refuses the first `lasts`; the next `climbing` get faster call by call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal[
        "steady", "bimodal", "slow_drip", "stall_after_tokens", "throttling_storm", "outage", "recovery"
    ]  # fmt: skip
    seed: int = 0
    first_token_ms: SimulatedMilliseconds = 400
    jitter: Annotated[float, Field(ge=0, le=2)] = 0.25
    tokens_per_second: TokenRate = 80
    share: Share = 0.1
    slow_first_token_ms: SimulatedMilliseconds = 6_000
    slow_tokens_per_second: TokenRate = 4
    tokens: CallCount = 12
    every: Annotated[int, Field(ge=1)] = 60
    starts_at: CallCount = 20
    lasts: CallCount = 20
    climbing: CallCount = 30

    def plan(self, call: int) -> ResponsePlan:
        """How the call with this number goes, counting from 0."""
        # A string seeds through SHA-512, so neighbouring calls are independent and no hash seed matters.
        rng = Random(f"{self.seed}/{call}")  # noqa: S311
        struck = self.name in _STRIKING and rng.random() < self.share
        refused = ResponsePlan(failure=FailureResponse(503))
        median, changed = self.first_token_ms, dict[str, Any](tokens_per_second=self.tokens_per_second)
        match self.name:
            case "bimodal" if struck:
                median = self.slow_first_token_ms
            case "slow_drip" if struck:
                changed["tokens_per_second"] = self.slow_tokens_per_second
            case "stall_after_tokens" if struck:
                changed["stall_after_tokens"] = self.tokens
            case "throttling_storm" if struck and call % self.every < self.lasts:
                return ResponsePlan(failure=FailureResponse(429, retry_after_s=1))
            case "outage" if self.starts_at <= call < self.starts_at + self.lasts:
                return refused
            case "recovery" if call < self.lasts:
                return refused
            case "recovery" if call < self.lasts + self.climbing:
                left = 1 - (call - self.lasts) / self.climbing
                median += left * (self.slow_first_token_ms - median)
        return ResponsePlan(median * rng.lognormvariate(0, self.jitter), **changed)
