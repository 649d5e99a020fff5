"""The next step of a race: wait, hedge, settle or abandon. Pure: observations and time in, a step out."""

from collections.abc import Sequence
from dataclasses import dataclass

from latency_failover.call_plan import CallPlan
from latency_failover.policy import FailoverPolicy
from latency_failover.records import FailoverReason, ModelRole
from latency_failover.statistics import Expectation


@dataclass(frozen=True)
class AttemptProgress:
    """A running attempt. All times are milliseconds after the start of the call.

    `us_per_token` is the recent pace, `None` while the stream is too young to have one.
    """

    role: ModelRole
    started_ms: int
    first_token_ms: int | None = None
    last_token_ms: int | None = None
    tokens: int = 0
    us_per_token: int | None = None


@dataclass(frozen=True)
class RaceView:
    """The input of a step. `second_available`: the second model can still be called."""

    now_ms: int
    running: Sequence[AttemptProgress]
    second_available: bool
    hedge_available: bool
    committed: bool
    expected: dict[ModelRole, Expectation]
    expected_tokens: int | None = None


@dataclass(frozen=True)
class KeepWaiting:
    """Do nothing before `until_ms`, unless an attempt changes."""

    until_ms: int


@dataclass(frozen=True)
class StartHedge:
    """Start the second model while the first is running."""


@dataclass(frozen=True)
class SettleOnWinner:
    """Two attempts are running and `winner` is ahead: cut the other."""

    winner: ModelRole


@dataclass(frozen=True)
class AbandonAttempt:
    """Cut the first model and rely on the second."""

    role: ModelRole
    reason: FailoverReason


@dataclass(frozen=True)
class AbandonCall:
    """The time is over: cut every attempt."""


SteeringStep = KeepWaiting | StartHedge | SettleOnWinner | AbandonAttempt | AbandonCall


def next_step(policy: FailoverPolicy, plan: CallPlan, view: RaceView) -> SteeringStep:
    """Decide the next step. At least one attempt is running."""
    if view.now_ms >= plan.hard_ms:
        return AbandonCall()
    if view.committed:
        return KeepWaiting(plan.hard_ms)
    if len(view.running) > 1:
        return _between_two(policy, plan, view)
    (only,) = view.running
    if not view.second_available or only.role != plan.first:
        return KeepWaiting(plan.hard_ms)
    if only.first_token_ms is None:
        return _while_silent(plan, view, only)
    return _while_streaming(policy, plan, view, only)


def _between_two(policy: FailoverPolicy, plan: CallPlan, view: RaceView) -> SteeringStep:
    speaking = [attempt for attempt in view.running if attempt.first_token_ms is not None]
    if speaking:

        def promised(attempt: AttemptProgress) -> tuple[int, bool]:
            done = projected_ms(policy, view, attempt)
            return (plan.hard_ms + 1 if done is None else done, attempt.role != plan.first)

        return SettleOnWinner(min(speaking, key=promised).role)
    patience = plan.ttft_limit_ms if plan.patience_ms is None else plan.patience_ms
    if patience is not None and any(attempt.role == plan.first for attempt in view.running):
        if view.now_ms >= patience:
            return AbandonAttempt(plan.first, "ttft")
        return KeepWaiting(min(patience, plan.hard_ms))
    return KeepWaiting(plan.hard_ms)


def _while_silent(plan: CallPlan, view: RaceView, only: AttemptProgress) -> SteeringStep:
    moments = [plan.hard_ms]
    if plan.hedge_after_ms is not None and view.hedge_available:
        due = only.started_ms + plan.hedge_after_ms
        if view.now_ms >= due:
            return StartHedge()
        moments.append(due)
    if plan.ttft_limit_ms is not None and _switching_helps(plan, view, only.role, None):
        limit = only.started_ms + plan.ttft_limit_ms
        if view.now_ms >= limit:
            return AbandonAttempt(only.role, "ttft")
        moments.append(limit)
    return KeepWaiting(min(moments))


def _while_streaming(policy: FailoverPolicy, plan: CallPlan, view: RaceView, only: AttemptProgress) -> SteeringStep:
    done = projected_ms(policy, view, only)
    late = done is None or _is_late(plan, view, only.role, done)
    if late and plan.ttft_limit_ms is not None and _switching_helps(plan, view, only.role, done):
        return AbandonAttempt(only.role, "projected")
    return KeepWaiting(min(plan.hard_ms, view.now_ms + policy.check_every_ms))


def _is_late(plan: CallPlan, view: RaceView, role: ModelRole, done: int) -> bool:
    """Whether a stream will be late, with a quarter for the projection's error, or takes far longer than a new call."""
    usable = plan.due_ms if plan.usable_ms is None else plan.usable_ms
    left = done - view.now_ms
    anew = view.expected[_other(role)].total_p95_ms
    return done + left // 4 > usable or (anew is not None and left > 2 * anew)


def _other(role: ModelRole) -> ModelRole:
    return "fallback" if role == "primary" else "primary"


def _switching_helps(plan: CallPlan, view: RaceView, role: ModelRole, done: int | None) -> bool:
    """Whether the other model, started now, is expected to be done in time, and before this one (`None`: never)."""
    needed = view.expected[_other(role)].total_p50_ms
    if needed is None:
        needed = plan.reserve_ms
    if view.now_ms + needed > plan.hard_ms:
        return False
    return done is None or view.now_ms + needed < done


def stall_limit_ms(policy: FailoverPolicy, known: Expectation) -> int:
    """How long a stream may pause: a few times the longest pause that its model's streams usually have."""
    if known.gap_p95_ms is None:
        return policy.stall_ms
    return min(policy.stall_ms, max(policy.stall_floor_ms, policy.ttft_patience * known.gap_p95_ms))


def projected_ms(policy: FailoverPolicy, view: RaceView, attempt: AttemptProgress) -> int | None:
    """When the attempt will be done, in milliseconds after the start of the call; `None`: the stream is stalled.

    An answer longer than expected is assumed to be a long one (P95); beyond that, it is assumed to end at any moment,
    so that only a stall counts against it. The same holds while no length is known, unless the stream trickles.
    """
    if attempt.first_token_ms is None or attempt.last_token_ms is None:
        return None
    known = view.expected[attempt.role]
    if view.now_ms - attempt.last_token_ms >= stall_limit_ms(policy, known):
        return None
    pace = known.us_per_token_p50 if attempt.us_per_token is None else attempt.us_per_token
    if pace is None:
        return view.now_ms
    lengths = [view.expected_tokens, known.output_p50, known.output_p95]
    if not any(lengths):
        lengths = [policy.cold_output_tokens if pace >= policy.cold_us_per_token else None]
    total = next((length for length in lengths if length is not None and length > attempt.tokens), attempt.tokens)
    return view.now_ms + (total - attempt.tokens) * pace // 1000
