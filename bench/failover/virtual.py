"""Replays a whole trace in virtual time, against models that play the trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError, ModelUnavailableError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from bench.failover.contenders import CONTENDERS, ContenderGaveUp, FailoverContender, OurFailover
from bench.failover.score import LatencyFigures, ServedRequest, score_with_costs
from bench.failover.trace import NO_ANSWER_MS, PROMPT_TOKENS, Scenario, TracedCall, build_trace
from latency_failover.virtual_time import VirtualClock, VirtualTimeLoop
from switchyard.devstack.simulators.models.plan import ResponsePlan, reply_timeline


def replay_virtually(scenario: Scenario, name: str) -> LatencyFigures:
    """One contender over the scenario's trace."""
    calls = build_trace(scenario)
    served: list[ServedRequest] = []

    def make(role: str, settings: ModelSettings | None) -> Model[Any]:
        return _traced_model(role, calls, served, settings)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        found, contender = runner.run(replay(scenario, calls, lambda: CONTENDERS[name](make, VirtualClock())))
    reasons = contender.reasons if isinstance(contender, OurFailover) else []
    return score_with_costs(found, calls, served, reasons)


async def replay(
    scenario: Scenario, calls: Sequence[TracedCall], build: Callable[[], FailoverContender]
) -> tuple[list[float], FailoverContender]:
    """The latency of each call, in milliseconds by the running loop's clock, and the last process's contender."""
    loop, contender, tasks = asyncio.get_running_loop(), build(), []
    started = loop.time() - calls[0].at_ms / 1_000

    async def ask(contender: FailoverContender, call: TracedCall) -> float:
        asked = loop.time()
        try:
            await contender.ask(call)
        except ContenderGaveUp:
            return NO_ANSWER_MS
        return 1_000 * (loop.time() - asked)

    for index, call in enumerate(calls):
        await asyncio.sleep(started + call.at_ms / 1_000 - loop.time())
        if scenario.restart_every and index and index % scenario.restart_every == 0:
            before, contender = contender, build()
            if isinstance(before, OurFailover) and isinstance(contender, OurFailover):
                contender = before.restarted(contender, round(1_000 * loop.time()))
        tasks.append(asyncio.create_task(ask(contender, call)))
    return await asyncio.gather(*tasks), contender


def _traced_model(
    role: str, calls: Sequence[TracedCall], log: list[ServedRequest], settings: ModelSettings | None
) -> FunctionModel:
    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        call = calls[int(str(getattr(messages[-1].parts[-1], "content", "")).split()[1])]
        served = ServedRequest(call.number, role)
        log.append(served)
        async for count in _play_tokens(call, call.primary if role == "primary" else call.fallback, served):
            yield "word" * count

    async def whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        text = "".join([part async for part in stream(messages, info)])
        usage = RequestUsage(input_tokens=PROMPT_TOKENS, output_tokens=len(text) // len("word"))
        return ModelResponse([TextPart(text)], usage=usage)

    return FunctionModel(whole, stream_function=stream, model_name=role, settings=settings)


async def _play_tokens(call: TracedCall, plan: ResponsePlan, served: ServedRequest) -> AsyncIterator[int]:
    """The tokens of a call as they come. Raises what the plan's service would answer."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for step in reply_timeline(plan, call.tokens):
        await asyncio.sleep(started + step.at_ms / 1_000 - clock())
        served.tokens += step.tokens
        if step.tokens:
            yield step.tokens
        if step.end == "failure":
            served.rejected = not served.tokens
            raise _build_error(plan, served.role)
        if step.end == "stall":
            await asyncio.sleep(plan.stall_seconds)
            raise ConnectionError("the stream broke off")
    served.finished = True


def _build_error(plan: ResponsePlan, role: str) -> ModelHTTPError:
    status = plan.failure.status if plan.failure else 500
    kind = ModelRateLimitError if status == 429 else ModelUnavailableError
    error = ModelHTTPError.for_category(kind, status_code=status, model_name=role)
    if plan.failure is not None and plan.failure.retry_after_s is not None:
        error.retry_after = plan.failure.retry_after_s
    return error
