"""The traces: what each model would do with each call. Pure, seeded, the same for every contender."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from switchyard.devstack.simulators.models.plan import Behaviour, ResponsePlan, reply_timeline

SEED = 20_261_121
TRACE_CALLS = 1_000
MEAN_GAP_MS = 1_000
ANSWER_TOKENS = (30, 100)
BUDGETS_MS = (3_000, 12_000)
PROMPT_TOKENS = 300
NO_ANSWER_MS = 60_000
"""The latency of a call without an answer: a usual read timeout. Giving up early must not look fast."""

FALLBACK = Behaviour(name="steady", seed=SEED + 1, first_token_ms=550, tokens_per_second=70)
"""A little slower than a healthy primary, so that leaving the primary for nothing shows."""

SLOW_START_MS = 603
"""P95 of the healthy time to first token: 400 ms * exp(1.645 * 0.25). To act sooner cuts one healthy call in 20."""

MID_STREAM_MS = SLOW_START_MS + 500
"""A pace is measured over half a second of stream."""


@dataclass(frozen=True)
class Scenario:
    """A primary's behaviour. `restart_every`: the contender's process is new after so many calls (0: never).

    `detection_ms`: the time that theory requires to tell a sick call from a healthy one (docs/build/failover.md).
    `sample_from`: the sample for real sockets begins here, shortly before the trouble does.
    """

    name: str
    primary: Behaviour
    description: str
    detection_ms: int
    faulty: bool = True
    restart_every: int = 0
    sample_from: int = 0


@dataclass(frozen=True)
class TracedCall:
    """One request of the trace: its arrival, the length of its answer, its budget, and what each model would do."""

    number: int
    at_ms: int
    tokens: int
    budget_ms: int
    primary: ResponsePlan
    fallback: ResponsePlan

    @property
    def best_ms(self) -> float:
        """The oracle's latency: it asks only the model that will be done first."""
        return min(duration_ms(self.primary, self.tokens), duration_ms(self.fallback, self.tokens))


_STALL = Behaviour(name="stall_after_tokens", seed=SEED)
_STALL_MS = MID_STREAM_MS + round(1_000 * _STALL.tokens / _STALL.tokens_per_second)
_OUTAGE = Behaviour(name="outage", seed=SEED, starts_at=300, lasts=200)
_RECOVERY = Behaviour(name="recovery", seed=SEED, lasts=100, climbing=200, slow_first_token_ms=8_000)
_RECOVERS = "100 calls fail, then 200 get faster from 8 s to 0.4 s"
_COLD = Behaviour(name="bimodal", seed=SEED + 7, share=0.15)
_RESTARTS = "bimodal, and the process is new after every 50 calls"

SCENARIOS = (
    Scenario("steady", Behaviour(name="steady", seed=SEED), "always healthy", 0, faulty=False),
    Scenario(
        "bimodal", Behaviour(name="bimodal", seed=SEED), "one call in ten takes 6 s to its first token", SLOW_START_MS
    ),
    Scenario(
        "slow_drip",
        Behaviour(name="slow_drip", seed=SEED, share=0.3),
        "three in ten trickle at 4 tokens a second",
        MID_STREAM_MS,
    ),
    Scenario("stall_after_tokens", _STALL, "one in ten stops after 12 tokens", _STALL_MS),
    Scenario(
        "throttling_storm",
        Behaviour(name="throttling_storm", seed=SEED, share=0.9),
        "20 calls of every 60: 90 % refused",
        0,
    ),
    Scenario("outage", _OUTAGE, "200 calls get a 503", 0, sample_from=270),
    Scenario("recovery", _RECOVERY, _RECOVERS, SLOW_START_MS, sample_from=60),
    Scenario("cold_start", _COLD, _RESTARTS, SLOW_START_MS, restart_every=50),
)


def build_trace(scenario: Scenario, calls: int = TRACE_CALLS) -> tuple[TracedCall, ...]:
    """The scenario's calls, in the order of their arrival (Poisson, one a second)."""
    rng = Random(f"{SEED}/{scenario.name}")
    at, made = 0.0, []
    for number in range(calls):
        at += rng.expovariate(1 / MEAN_GAP_MS)
        tokens, budget_ms = rng.randint(*ANSWER_TOKENS), rng.randint(*BUDGETS_MS)
        primary, fallback = scenario.primary.plan(number), FALLBACK.plan(number)
        made.append(TracedCall(number, round(at), tokens, budget_ms, primary, fallback))
    return tuple(made)


def duration_ms(plan: ResponsePlan, tokens: int) -> float:
    """The latency of a call that is not cut; `NO_ANSWER_MS` if it gets no answer."""
    last = list(reply_timeline(plan, tokens))[-1]
    return last.at_ms if last.end == "done" else NO_ANSWER_MS
