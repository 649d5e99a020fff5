"""The traces: what each model would do with each call, whoever asks it. Pure, seeded, the same for every contender."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from switchyard.devstack.simulators.models import plan as weather
from switchyard.devstack.simulators.models.plan import ResponsePlan, reply_timeline

TRACE_SEED = 20_261_121
TRACE_CALLS = 1_000
MEAN_GAP_MS = 1_000
ANSWER_TOKENS = (30, 100)
BUDGETS_MS = (3_000, 12_000)
PROMPT_TOKENS = 300
NO_ANSWER_MS = 60_000
"""What a call that got no answer counts as: a usual read timeout. Giving up early must not look fast."""


@dataclass(frozen=True)
class Scenario:
    """A primary's weather. `restart_every`: the contender's process is new after so many calls (0: never).

    `detection_ms` is the time that theory requires to tell a sick call from a healthy one; see `detection`.
    """

    name: str
    primary: weather.Behaviour
    description: str
    detection_ms: int
    faulty: bool = True
    restart_every: int = 0
    sample_from: int = 0
    """Where the sample for real sockets begins: shortly before the trouble does."""


@dataclass(frozen=True)
class TracedCall:
    """One request of the trace: when it comes, how long its answer is, by when it is wanted, and what would happen."""

    number: int
    at_ms: int
    tokens: int
    budget_ms: int
    primary: ResponsePlan
    fallback: ResponsePlan

    @property
    def best_ms(self) -> float:
        """What the oracle needs: it knows beforehand which of the two will be done first, and asks only that one."""
        return min(duration_ms(self.primary, self.tokens), duration_ms(self.fallback, self.tokens))


FALLBACK = weather.Steady(seed=TRACE_SEED + 1, first_token_ms=550, tokens_per_second=70)
"""A little slower than a healthy primary, so that leaving the primary for nothing shows."""

HEALTHY_P95_MS = 603
"""Of the healthy time to first token: 400 ms * exp(1.645 * 0.25). To act sooner is to act on one healthy call in 20."""

WINDOW_MS = 500
"""A pace needs a stretch of stream to be measured over."""


def scenarios() -> tuple[Scenario, ...]:
    """Every kind of weather, steady first."""
    seed = TRACE_SEED
    slow_start = HEALTHY_P95_MS
    mid_stream = HEALTHY_P95_MS + WINDOW_MS
    stall = weather.StallAfter(seed=seed)
    return (
        Scenario("steady", weather.Steady(seed=seed), "always healthy", 0, faulty=False),
        Scenario("bimodal", weather.Bimodal(seed=seed), "one call in ten takes 6 s to its first token", slow_start),
        Scenario("slow_drip", weather.SlowDrip(seed=seed), "three in ten trickle at 4 tokens a second", mid_stream),
        Scenario(
            "stall_after_tokens",
            stall,
            "one in ten stops after 12 tokens",
            mid_stream + round(1_000 * stall.tokens / stall.tokens_per_second),
        ),
        Scenario("throttling_storm", weather.ThrottlingStorm(seed=seed), "20 calls of every 60: 90 % refused", 0),
        Scenario(
            "outage", weather.Outage(seed=seed, starts_at=300, lasts=200), "200 calls get a 503", 0, sample_from=270
        ),
        Scenario(
            "recovery",
            weather.Recovery(seed=seed, down=100, climbing=200),
            "100 calls fail, then 200 get faster from 8 s to 0.4 s",
            slow_start,
            sample_from=60,
        ),
        Scenario(
            "cold_start",
            weather.Bimodal(seed=seed + 7, slow_share=0.15),
            "bimodal, and the process is new after every 50 calls",
            slow_start,
            restart_every=50,
        ),
    )


def build_trace(scenario: Scenario, calls: int = TRACE_CALLS) -> tuple[TracedCall, ...]:
    """The scenario's calls, in the order of their arrival (Poisson, one a second)."""
    rng = Random(f"{TRACE_SEED}/{scenario.name}")
    at, made = 0.0, []
    for number in range(calls):
        at += rng.expovariate(1 / MEAN_GAP_MS)
        made.append(
            TracedCall(
                number=number,
                at_ms=round(at),
                tokens=rng.randint(*ANSWER_TOKENS),
                budget_ms=rng.randint(*BUDGETS_MS),
                primary=scenario.primary.plan(number),
                fallback=FALLBACK.plan(number),
            )
        )
    return tuple(made)


def duration_ms(plan: ResponsePlan, tokens: int) -> float:
    """How long a call would take, if nobody cut it; `NO_ANSWER_MS` if it gets no answer."""
    last = list(reply_timeline(plan, tokens))[-1]
    return last.at_ms if last.end == "done" else NO_ANSWER_MS
