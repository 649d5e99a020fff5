"""Named ways in which a model service behaves over many calls.

Each is a pure function of its parameters, its seed and the call's number: the same call always gets the same plan, in
whatever order calls come. Times are illustrative defaults, not measurements of any vendor.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from switchyard.devstack.simulators.models.plan import FailureResponse, ResponsePlan

Share = Annotated[float, Field(ge=0, le=1)]
SimulatedMilliseconds = Annotated[float, Field(ge=0, le=600_000)]
CallCount = Annotated[int, Field(ge=0)]


class Behaviour(BaseModel):
    """When healthy: a log-normal time to first token around a median, then a constant rate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    first_token_ms: SimulatedMilliseconds = 400
    """The median."""
    jitter: Annotated[float, Field(ge=0, le=2)] = 0.25
    """The standard deviation of the logarithm: 0.25 puts P95 at 1.5 times the median."""
    tokens_per_second: Annotated[float, Field(gt=0)] = 80

    def plan(self, call: int) -> ResponsePlan:
        """How the call with this number goes, counting from 0."""
        # A string seeds through SHA-512, so neighbouring calls are independent and no hash seed matters.
        return self._decide(Random(f"{self.seed}/{call}"), call)  # noqa: S311

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        raise NotImplementedError

    def _healthy(self, rng: Random, median_ms: float | None = None) -> ResponsePlan:
        median = self.first_token_ms if median_ms is None else median_ms
        return ResponsePlan(
            first_token_ms=median * rng.lognormvariate(0, self.jitter), tokens_per_second=self.tokens_per_second
        )


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
    slow_tokens_per_second: Annotated[float, Field(gt=0)] = 4

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        slow = rng.random() < self.slow_share
        healthy = self._healthy(rng)
        return ResponsePlan(healthy.first_token_ms, self.slow_tokens_per_second) if slow else healthy


class StallAfter(Behaviour):
    """A share of the streams stops after some tokens and stays open."""

    name: Literal["stall_after_tokens"] = "stall_after_tokens"
    stall_share: Share = 0.1
    tokens: Annotated[int, Field(ge=0)] = 12
    stall_seconds: Annotated[float, Field(gt=0, le=600)] = 60

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        stalls = rng.random() < self.stall_share
        healthy = self._healthy(rng)
        if not stalls:
            return healthy
        return ResponsePlan(
            healthy.first_token_ms,
            healthy.tokens_per_second,
            stall_after_tokens=self.tokens,
            stall_seconds=self.stall_seconds,
        )


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
    status: Annotated[int, Field(ge=500, le=599)] = 503

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
    status: Annotated[int, Field(ge=500, le=599)] = 503

    def _decide(self, rng: Random, call: int) -> ResponsePlan:
        if call < self.down:
            return ResponsePlan(failure=FailureResponse(self.status))
        climbed = call - self.down
        if climbed >= self.climbing:
            return self._healthy(rng)
        left = 1 - climbed / self.climbing
        return self._healthy(rng, self.first_token_ms + left * (self.slowest_first_token_ms - self.first_token_ms))


Distribution = Annotated[
    Steady | Bimodal | SlowDrip | StallAfter | ThrottlingStorm | Outage | Recovery, Field(discriminator="name")
]
