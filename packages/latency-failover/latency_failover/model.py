"""`FailoverModel`: a pydantic-ai model over two others that answers within a budget."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from opentelemetry import trace
from pydantic_ai import RunContext
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings

from latency_failover.attempt import Request, RunningAttempt
from latency_failover.breaker import CircuitBreaker, HedgeBucket
from latency_failover.call_plan import ModelState, plan_call
from latency_failover.candidate import Candidate, build_candidate
from latency_failover.classify import Classify, classify
from latency_failover.clock import MonotonicClock, SystemMonotonicClock
from latency_failover.errors import AllModelsFailed, ModelNotPermitted
from latency_failover.meter import CallMeter, PlannedCall, PlannedModel
from latency_failover.outcome_learning import PlanningBasis, build_decision, record_statistics, update_breakers
from latency_failover.policy import FailoverPolicy, LatencyBudget, ModelPolicies, ModelPolicy
from latency_failover.race import NoWinner, Race, committed_attempt
from latency_failover.records import CallResult, FailoverDecision, ModelRole
from latency_failover.scope import BudgetRecord, current_scope, enter_scope
from latency_failover.snapshot import Snapshot, merge_snapshots, take_snapshot
from latency_failover.statistics import VERDICT_SERIES, Expectation, LatencyStats
from latency_failover.stream import RacedStream
from latency_failover.tokens import estimate_prompt_tokens


@dataclass
class _Call:
    """One model call: its race, the basis of its plan, where its decision is recorded, and the decision once made."""

    race: Race
    basis: PlanningBasis
    request: Request
    record: BudgetRecord | None
    meter: CallMeter | None
    decision: FailoverDecision | None = None


class FailoverModel(FallbackModel):
    """Calls the primary, and the fallback when the primary is, or will be, too late.

    A pydantic-ai `FallbackModel` that switches by time. `request` may abandon a slow stream until its last token;
    `request_stream` hands over the first model with a token, and after that only the end of the budget stops it.
    """

    def __init__(
        self,
        primary: Model[Any],
        fallback: Model[Any] | None,
        *,
        policy: FailoverPolicy | None = None,
        models: ModelPolicies | None = None,
        stats: LatencyStats | None = None,
        clock: MonotonicClock | None = None,
        classify: Classify = classify,
        primary_region: str | None = None,
        fallback_region: str | None = None,
    ) -> None:
        """Combine two models. Both are called with streaming, and without their SDKs' own retries.

        Args:
            models: The model policies; the labels of the budget scope choose one.
            stats: Latency statistics, shared by the models of a process.
            primary_region: The primary's region, if a model policy needs it and its client does not know it.
            fallback_region: The same for the fallback.

        Raises:
            RetryOwnerConflict: a Bedrock client retries by itself.
        """
        super().__init__(primary, *([] if fallback is None else [fallback]))
        self.policy = policy or FailoverPolicy()
        self.stats = stats or LatencyStats()
        self.breakers: dict[ModelRole, CircuitBreaker] = {
            "primary": CircuitBreaker(self.policy.breaker),
            "fallback": CircuitBreaker(self.policy.breaker),
        }
        self.hedges = HedgeBucket(self.policy.hedge_share_bp, self.policy.hedge_burst)
        self._models = models or ModelPolicies()
        self._clock = clock or SystemMonotonicClock()
        self._classify = classify
        self._candidates: dict[ModelRole, Candidate] = {
            "primary": build_candidate(primary, "primary", region=primary_region)
        }
        if fallback is not None:
            self._candidates["fallback"] = build_candidate(fallback, "fallback", region=fallback_region)
        self._asked_ms: dict[ModelRole, int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def budget(
        self, budget: LatencyBudget, *, labels: Mapping[str, str] | None = None, meter: CallMeter | None = None
    ) -> Iterator[BudgetRecord]:
        """Open a budget scope: calls inside it share the budget, and their decisions are added to the record.

        `labels` describe the data and select its model policy. `meter` admits each call.

        Scopes follow the context: concurrent tasks have their own, and a scope inside another replaces it.
        """
        with enter_scope(self, budget, self._models.applying(labels or {}), self._clock.monotonic(), meter) as record:
            yield record

    def configuration(self) -> dict[str, Any]:
        """What this model was made with: both models with their regions and settings, the policy, and who may see which
        data. No observation and no key."""
        models: dict[str, Any] = {
            role: {
                "vendor": known.vendor,
                "model_id": known.model_id,
                "region": known.region,
                # Headers may carry a key.
                "settings": {
                    name: value for name, value in (known.model.settings or {}).items() if name != "extra_headers"
                },
            }
            for role, known in self._candidates.items()
        }
        return {**models, "policy": self.policy.model_dump(), "model_policies": self._models.model_dump()}

    def snapshot(self, *, wall_ms: int) -> Snapshot:
        """This process's own observations, for processes that start later. `wall_ms`: the time, in Unix ms."""
        return take_snapshot(self.stats, wall_ms=wall_ms, now_ms=self._now_ms())

    def restore_history(self, snapshots: Sequence[Snapshot], *, wall_ms: int) -> None:
        """Start with other processes' observations, weighted by age. Call before the first request."""
        points = merge_snapshots(snapshots, wall_ms=wall_ms)
        now_ms = self._now_ms()
        self.stats.restore_history(points, now_ms=now_ms)
        for role, known in self._candidates.items():
            verdicts = points.get((known.name, None, VERDICT_SERIES), ())
            self.breakers[role].restore_history(now_ms, [value == 1 for value in verdicts])

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Answer within the budget.

        Raises:
            AllModelsFailed: no model answered in time.
            ModelNotPermitted: no model may see the data.
            ModelAPIError: the vendor rejected the request itself.
        """
        call = self._call(messages, model_settings, model_request_parameters, None, commit_early=False)
        winner = await self._drive(call)
        assert winner.response is not None  # noqa: S101 (a winner has answered)
        self._set_span_attributes(winner.candidate.model, model_request_parameters)
        return winner.response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Hand over the stream of the first model with a token. Raises as `request` does, also mid-stream."""
        call = self._call(messages, model_settings, model_request_parameters, run_context, commit_early=True)
        supervisor = asyncio.create_task(self._drive(call), name="failover supervisor")
        try:
            attempt = await committed_attempt(call.race, supervisor)
            assert attempt.stream is not None  # noqa: S101 (it has spoken)
            self._set_span_attributes(attempt.candidate.model, model_request_parameters)
            yield RacedStream(model_request_parameters, attempt, attempt.stream, supervisor)
        finally:
            supervisor.cancel()
            await asyncio.wait({supervisor})
            if not supervisor.cancelled():
                supervisor.exception()  # the stream has raised it, or the caller has left before

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        """Close both models after every cut connection is closed."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=self.policy.close_grace_ms / 1000)
        return await super().__aexit__(exc_type, exc_val, exc_tb)

    def _call(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None,
        *,
        commit_early: bool,
    ) -> _Call:
        if messages and isinstance(messages[-1], ModelResponse) and messages[-1].state == "suspended":
            raise UserError("background responses are not supported: they have no latency to decide on")
        scope = current_scope(self)
        started = self._clock.monotonic()
        budget = scope.budget if scope else LatencyBudget(total_ms=self.policy.default_total_ms)
        models = scope.models if scope else self._models.applying({})
        allowed, refused = self._allowed(models)
        tokens, now_ms = estimate_prompt_tokens(messages, parameters), round(started * 1000)
        expected = {role: self._expect(role, tokens, now_ms) for role in _ROLES}
        sides = {role: self._side(role, expected[role], now_ms) if role in allowed else None for role in _ROLES}
        plan = plan_call(
            self.policy,
            budget,
            spent_ms=round((started - scope.started) * 1000) if scope else 0,
            primary=sides["primary"],
            fallback=sides["fallback"],
        )
        self.hedges.earn()
        request = Request(messages, settings, parameters, run_context, tokens, started)
        race = Race(
            allowed,
            request,
            plan,
            self.policy,
            expected=expected,
            expected_tokens=budget.expected_output_tokens,
            hedges=self.hedges if self._may_hedge(parameters, now_ms) else None,
            admit=self._admit,
            classify=self._classify,
            clock=self._clock,
            commit_early=commit_early,
        )
        breaker = self.breakers["primary"].state(now_ms)
        basis = PlanningBasis(plan, expected, tokens, breaker, budget, models.name, refused)
        return _Call(race, basis, request, scope.record if scope else None, scope.meter if scope else None)

    def _allowed(self, models: ModelPolicy) -> tuple[dict[ModelRole, Candidate], tuple[str, ...]]:
        denials = {role: known.denial_reason(models) for role, known in self._candidates.items()}
        allowed = {role: known for role, known in self._candidates.items() if denials[role] is None}
        refused = tuple(reason for reason in denials.values() if reason is not None)
        if not allowed:
            raise ModelNotPermitted(models.name, refused)
        return allowed, refused

    def _expect(self, role: ModelRole, tokens: int, now_ms: int) -> Expectation:
        known = self._candidates.get(role)
        return Expectation() if known is None else self.stats.expect(known.name, tokens, now_ms=now_ms)

    def _side(self, role: ModelRole, expected: Expectation, now_ms: int) -> ModelState:
        asked = self._asked_ms.get(role)
        return ModelState(expected, self.breakers[role].state(now_ms), None if asked is None else now_ms - asked)

    def _may_hedge(self, parameters: ModelRequestParameters, now_ms: int) -> bool:
        # A vendor's own tools (search, code) may have effects; other output is text.
        return not parameters.native_tools and self.breakers["fallback"].state(now_ms) == "closed"

    def _admit(self, role: ModelRole) -> bool:
        now_ms = self._now_ms()
        self._asked_ms[role] = now_ms
        return self.breakers[role].admit(now_ms)

    async def _drive(self, call: _Call) -> RunningAttempt:
        if call.meter is None:
            return await self._run_race(call)
        close = await call.meter.open_call(self._planned(call))
        try:
            return await self._run_race(call)
        finally:
            await close(call.decision or self._conclude(call, "failed"))

    def _planned(self, call: _Call) -> PlannedCall:
        first = call.basis.plan.first
        roles = sorted(call.race.roles, key=lambda role: role != first)
        models = [
            PlannedModel(known.vendor, known.model_id, known.max_tokens(call.request.settings))
            for known in map(call.race.candidate_for, roles)
        ]
        return PlannedCall(tuple(models), call.request.prompt_tokens)

    async def _run_race(self, call: _Call) -> RunningAttempt:
        race = call.race
        try:
            winner = await race.run()
        except NoWinner as error:
            decision = self._conclude(call, "failed")
            raise AllModelsFailed(decision, race.causes, retryable=race.retryable) from error.__cause__
        except asyncio.CancelledError:
            await race.closed(self.policy.close_grace_ms)
            self._conclude(call, "cancelled")
            raise
        except Exception:
            self._conclude(call, "failed")
            raise
        interrupted = winner.response is not None and winner.response.state == "interrupted"
        self._conclude(call, "cancelled" if interrupted else "answered")
        return winner

    def _conclude(self, call: _Call, result: CallResult) -> FailoverDecision:
        now_ms = self._now_ms()
        latency_ms = round((self._clock.monotonic() - call.request.started) * 1000)
        record_statistics(call.race, self.stats, call.request.prompt_tokens, now_ms=now_ms)
        update_breakers(call.race, self.breakers, self.stats, call.basis, now_ms=now_ms)
        decision = build_decision(call.race, call.basis, self.policy, result=result, latency_ms=latency_ms)
        call.decision = decision
        if call.record is not None:
            call.record.decisions.append(decision)
        for attempt in call.race.attempts:
            if not attempt.task.done():  # a reference, because the event loop holds tasks only weakly
                self._closing.add(attempt.task)
                attempt.task.add_done_callback(self._closing.discard)
        _annotate(decision)
        return decision

    def _now_ms(self) -> int:
        return round(self._clock.monotonic() * 1000)


_ROLES: tuple[ModelRole, ...] = ("primary", "fallback")


def _annotate(decision: FailoverDecision) -> None:
    """Set the decision's attributes on the span of the request."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(
            {
                "failover.reason": decision.reason,
                "failover.role": decision.role,
                "failover.result": decision.result,
                "failover.budget_ms": decision.budget_ms,
                "failover.attempts": len(decision.attempts),
                "failover.loser_tokens": decision.loser_tokens,
            }
        )
