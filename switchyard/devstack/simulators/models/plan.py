"""How one call goes: when each token of its reply comes and how it ends; and named behaviours over many calls.

All of it is pure, so that virtual time can run it too. A behaviour is a function of its parameters, its seed and the
call's number: the same call always gets the same plan, in any order of calls. Times are illustrative defaults,
not measurements of any vendor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal

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
ServerError = Annotated[int, Field(ge=500, le=599)]


@dataclass(frozen=True, slots=True)
class FailureResponse:
    """An error that the service answers with. Without a code or message, the wire's own for that status is used."""

    status: int
    code: str | None = None
    message: str | None = None
    retry_after_s: float | None = None


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


class Behaviour(BaseModel):
    """When healthy: a log-normal time to first token around a median, then a constant rate.

    `first_token_ms` is the median, `jitter` the standard deviation of the logarithm: 0.25 puts P95 at 1.5 times it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    first_token_ms: SimulatedMilliseconds = 400
    jitter: Annotated[float, Field(ge=0, le=2)] = 0.25
    tokens_per_second: TokenRate = 80

    def plan(self, call: int) -> ResponsePlan:
        """How the call with this number goes, counting from 0."""
        # A string seeds through SHA-512, so neighbouring calls are independent and no hash seed matters.
        return self._decide(Random(f"{self.seed}/{call}"), call)  # noqa: S311

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        raise NotImplementedError

    def _healthy(self, rng: Random, median_ms: float | None = None, **more: float) -> ResponsePlan:
        median = self.first_token_ms if median_ms is None else median_ms
        first_token_ms = median * rng.lognormvariate(0, self.jitter)
        return ResponsePlan(first_token_ms, **{"tokens_per_second": self.tokens_per_second, **more})  # type: ignore[arg-type]


class Steady(Behaviour):
    """Always healthy."""

    name: Literal["steady"] = "steady"

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        return self._healthy(rng)


class Bimodal(Behaviour):
    """Most calls are healthy; a share takes a slow path."""

    name: Literal["bimodal"] = "bimodal"
    slow_share: Share = 0.1
    slow_first_token_ms: SimulatedMilliseconds = 6_000

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        return self._healthy(rng, self.slow_first_token_ms if rng.random() < self.slow_share else None)


class SlowDrip(Behaviour):
    """The first token is on time, and then a share of the streams trickles: only a projection sees it early."""

    name: Literal["slow_drip"] = "slow_drip"
    slow_share: Share = 0.3
    slow_tokens_per_second: TokenRate = 4

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        slow = rng.random() < self.slow_share
        return self._healthy(rng, tokens_per_second=self.slow_tokens_per_second if slow else self.tokens_per_second)


class StallAfter(Behaviour):
    """A share of the streams stops after some tokens and stays open."""

    name: Literal["stall_after_tokens"] = "stall_after_tokens"
    stall_share: Share = 0.1
    tokens: CallCount = 12
    stall_seconds: StallSeconds = 60

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        if rng.random() >= self.stall_share:
            return self._healthy(rng)
        return self._healthy(rng, stall_after_tokens=self.tokens, stall_seconds=self.stall_seconds)


class ThrottlingStorm(Behaviour):
    """Every so many calls a storm begins in which most calls are refused."""

    name: Literal["throttling_storm"] = "throttling_storm"
    every: Annotated[int, Field(ge=1)] = 60
    lasts: CallCount = 20
    refused_share: Share = 0.9
    retry_after_s: Annotated[float, Field(ge=0)] = 1

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        refused = rng.random() < self.refused_share
        if call % self.every < self.lasts and refused:
            return ResponsePlan(failure=FailureResponse(429, retry_after_s=self.retry_after_s))
        return self._healthy(rng)


class Outage(Behaviour):
    """Healthy, then down for a number of calls, then healthy."""

    name: Literal["outage"] = "outage"
    starts_at: CallCount = 20
    lasts: CallCount = 40
    status: ServerError = 503

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        if self.starts_at <= call < self.starts_at + self.lasts:
            return ResponsePlan(failure=FailureResponse(self.status))
        return self._healthy(rng)


class Recovery(Behaviour):
    """Down at first, then slow and getting faster call by call, then healthy: what a half-open probe meets."""

    name: Literal["recovery"] = "recovery"
    down: CallCount = 20
    climbing: CallCount = 30
    slowest_first_token_ms: SimulatedMilliseconds = 8_000
    status: ServerError = 503

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        if call < self.down:
            return ResponsePlan(failure=FailureResponse(self.status))
        left = max(0.0, 1 - (call - self.down) / self.climbing) if self.climbing else 0.0
        return self._healthy(rng, self.first_token_ms + left * (self.slowest_first_token_ms - self.first_token_ms))


Distribution = Annotated[
    Steady | Bimodal | SlowDrip | StallAfter | ThrottlingStorm | Outage | Recovery, Field(discriminator="name")
]
