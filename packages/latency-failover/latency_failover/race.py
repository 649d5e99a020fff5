"""The race of a call: starts and cuts attempts as the race steps decide, until one has answered or none can."""

import asyncio
from collections.abc import Callable, Mapping

from latency_failover.attempt import Request, RunningAttempt
from latency_failover.breaker import HedgeBucket
from latency_failover.call_plan import CallPlan
from latency_failover.candidate import Candidate
from latency_failover.classify import ClassifiedFailure, Classify
from latency_failover.clock import MonotonicClock
from latency_failover.errors import AttemptAbandoned
from latency_failover.policy import FailoverPolicy
from latency_failover.race_steps import (
    AbandonAttempt,
    AbandonCall,
    KeepWaiting,
    RaceView,
    SettleOnWinner,
    StartHedge,
    next_step,
)
from latency_failover.records import AttemptOutcome, FailoverReason, ModelRole
from latency_failover.statistics import Expectation


class NoWinner(Exception):
    """The race is over without a winner."""


class Race:
    """One call over up to two models. Run it once; afterwards read `attempts`, `reason` and `winner`."""

    def __init__(
        self,
        candidates: Mapping[ModelRole, Candidate],
        request: Request,
        plan: CallPlan,
        policy: FailoverPolicy,
        *,
        expected: dict[ModelRole, Expectation],
        expected_tokens: int | None,
        hedges: HedgeBucket | None,
        admit: Callable[[ModelRole], bool],
        classify: Classify,
        clock: MonotonicClock,
        commit_early: bool,
    ) -> None:
        """`admit` is called at every start and returns whether it is a breaker's probe. `hedges` is `None` if this call
        must not be made twice. `commit_early`: the first token decides.
        """
        self.attempts: list[RunningAttempt] = []
        self.failures: dict[RunningAttempt, ClassifiedFailure] = {}
        self.reason: FailoverReason = plan.reason
        self.winner: RunningAttempt | None = None
        self.committed: asyncio.Future[RunningAttempt] = asyncio.get_running_loop().create_future()
        self._candidates = candidates
        self._request = request
        self._plan = plan
        self._policy = policy
        self._expected = expected
        self._expected_tokens = expected_tokens
        self._hedges = hedges
        self._admit = admit
        self._classify = classify
        self._clock = clock
        self._commit_early = commit_early
        self._changed = asyncio.Event()

    async def run(self) -> RunningAttempt:
        """Race until a model has answered; the other attempts are then cut.

        Raises:
            NoWinner: every attempt failed or ran out of time.
            Exception: the error of the first model, if it rejected the request itself.
        """
        try:
            if self._plan.hard_ms <= 0:
                raise NoWinner
            self._start(self._plan.first)
            while True:
                self._changed.clear()
                if (winner := self._collect()) is not None:
                    self.winner = winner
                    return winner
                await self._clock.wait(self._changed, self._take_step())
        finally:
            # Losers of the race, and attempts of a failed or cancelled call.
            self._cut_all("lost" if self.winner else "cancelled")
            self.committed.cancel()

    async def closed(self, grace_ms: int) -> None:
        """Wait until every connection is closed, but no longer than the grace."""
        tasks = [attempt.task for attempt in self.attempts]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_ms / 1000)

    def candidate_for(self, role: ModelRole) -> Candidate:
        """The model of a role."""
        return self._candidates[role]

    @property
    def roles(self) -> tuple[ModelRole, ...]:
        """The roles that may see the data."""
        return tuple(self._candidates)

    @property
    def retryable(self) -> bool:
        """Whether a failed call may succeed later: not if every model rejected the request itself."""
        kinds = [self.failures[a].kind if a in self.failures else "error" for a in self.attempts]
        return not kinds or any(kind != "rejected" for kind in kinds)

    @property
    def causes(self) -> tuple[Exception, ...]:
        """The error of each attempt, in order."""
        return tuple(
            attempt.error
            if attempt.error is not None
            else AttemptAbandoned(attempt.candidate.model_id, (attempt.ended_ms or 0) - attempt.started_ms)
            for attempt in self.attempts
        )

    def _start(self, role: ModelRole) -> None:
        limit_s = self._plan.hard_ms / 1000 - (self._clock.monotonic() - self._request.started)
        attempt = RunningAttempt(
            self._candidates[role],
            self._request,
            self._clock,
            self._changed,
            limit_s=max(0.0, limit_s),
            probe=self._admit(role),
        )
        self.attempts.append(attempt)

    def _running(self) -> list[RunningAttempt]:
        return [attempt for attempt in self.attempts if attempt.outcome is None]

    def _collect(self) -> RunningAttempt | None:
        """Handle attempts that ended: a winner ends the race, a failure moves the call to the other model."""
        ended = [attempt for attempt in self._running() if attempt.ended_ms is not None]
        for attempt in ended:
            if attempt.error is None and attempt.response is not None:
                attempt.outcome = "won"
                if attempt.candidate.role != self._plan.first and self._running():
                    self.reason = "hedge_win"  # it was complete before the first token of either side was examined
                return attempt
        for attempt in ended:
            self._record_failure(attempt)
        return None

    def _record_failure(self, attempt: RunningAttempt) -> None:
        error = attempt.error or ConnectionError("the stream was cancelled from outside")
        attempt.error = error
        failure = self._classify(error)
        self.failures[attempt] = failure
        attempt.outcome, attempt.error_code = failure.kind, failure.code
        if self.committed.done():
            raise NoWinner from error
        if attempt.candidate.role == self._plan.first:
            if failure.kind == "rejected":
                raise error
            self.reason = failure.kind
        if not self._running():
            self._turn_to_second(error)

    def _turn_to_second(self, cause: Exception | None) -> None:
        if not self._second_is_available():
            raise NoWinner from cause
        second = self._plan.second
        assert second is not None  # noqa: S101 (a free second exists)
        self._start(second)

    def _second_is_available(self) -> bool:
        """Whether the second model was not called yet, or only as a hedge that lost."""
        second = self._plan.second
        if second is None:
            return False
        asked = [attempt.outcome for attempt in self.attempts if attempt.candidate.role == second]
        return asked in ([], ["lost"])

    def _take_step(self) -> float:
        """Take the next step; returns when to check again, in clock seconds."""
        while True:
            running = self._running()
            view = RaceView(
                now_ms=self._now_ms(),
                running=[a.progress(self._policy.rate_window_ms, self._policy.min_stream_ms) for a in running],
                second_available=self._second_is_available(),
                # After a lost hedge, the second model is still available for a failover, but for no second hedge.
                hedge_available=len(self.attempts) == 1 and self._hedges is not None and self._hedges.available,
                committed=self.committed.done(),
                expected=self._expected,
                expected_tokens=self._expected_tokens,
            )
            match next_step(self._policy, self._plan, view):
                case KeepWaiting(until_ms):
                    self._commit(running)
                    return self._request.started + until_ms / 1000
                case StartHedge() if self._hedges is not None and self._plan.second is not None:
                    self._hedges.spend()
                    self._start(self._plan.second)
                case SettleOnWinner(winner):
                    self._cut_loser(running, winner)
                case AbandonAttempt(role, reason):
                    self._abandon(running, role, reason)
                case AbandonCall():
                    self._cut_all("abandoned")
                    raise NoWinner

    def _cut_loser(self, running: list[RunningAttempt], winner: ModelRole) -> None:
        for attempt in running:
            if attempt.candidate.role != winner:
                attempt.cut("lost")
        if winner != self._plan.first:
            self.reason = "hedge_win"

    def _abandon(self, running: list[RunningAttempt], role: ModelRole, reason: FailoverReason) -> None:
        for attempt in running:
            if attempt.candidate.role == role:
                attempt.cut("abandoned")
        self.reason = reason
        if not self._running():
            self._turn_to_second(None)

    def _commit(self, running: list[RunningAttempt]) -> None:
        if not self._commit_early or self.committed.done() or len(running) != 1:
            return
        if running[0].first_token_ms is not None:
            self.committed.set_result(running[0])

    def _cut_all(self, outcome: AttemptOutcome) -> None:
        for attempt in self._running():
            attempt.cut(outcome)

    def _now_ms(self) -> int:
        return round((self._clock.monotonic() - self._request.started) * 1000)


async def committed_attempt(race: Race, supervisor: "asyncio.Task[RunningAttempt]") -> RunningAttempt:
    """The attempt whose stream may be handed over: the first with a token, or with a complete answer.

    Raises:
        NoWinner: there is no such attempt.
    """
    await asyncio.wait({supervisor, race.committed}, return_when=asyncio.FIRST_COMPLETED)
    if race.committed.done() and not race.committed.cancelled():
        return race.committed.result()
    return await supervisor
