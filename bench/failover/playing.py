"""A pydantic-ai model that plays a trace in virtual time, and keeps the books of what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError, ModelUnavailableError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from bench.failover.trace import PROMPT_TOKENS, TracedCall
from switchyard.devstack.simulators.models.plan import ResponsePlan, reply_timeline

FILLER = " word" * PROMPT_TOKENS


@dataclass
class ServedRequest:
    """One request to a model: when it ended, how much it streamed, and how it went."""

    call: int
    role: str
    refused: bool = False
    finished: bool = False
    tokens: int = 0


@dataclass
class RequestLog:
    """Every request that reached a model."""

    served: list[ServedRequest] = field(default_factory=list)


def build_prompt(call: TracedCall) -> str:
    """The prompt that names the call, so that whoever is asked knows which it is, and how long the answer is to be."""
    return f"call {call.number} <say>{' word' * call.tokens}</say>{FILLER}"


def parse_call_number(messages: list[ModelMessage]) -> int:
    """The number of the call that a prompt names."""
    text = str(getattr(messages[-1].parts[-1], "content", ""))
    return int(text.split()[1])


def traced_model(
    role: str, calls: Mapping[int, TracedCall], books: RequestLog, settings: ModelSettings | None = None
) -> FunctionModel:
    """The model in the role `primary` or `fallback`."""

    def opened(messages: list[ModelMessage]) -> tuple[TracedCall, ResponsePlan, ServedRequest]:
        call = calls[parse_call_number(messages)]
        served = ServedRequest(call.number, role)
        books.served.append(served)
        return call, call.primary if role == "primary" else call.fallback, served

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        async for count in _play_tokens(*opened(messages)):
            yield "word" * count

    async def whole(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        call, plan, served = opened(messages)
        async for _count in _play_tokens(call, plan, served):
            pass
        text = "word" * served.tokens
        return ModelResponse(
            [TextPart(text)], usage=RequestUsage(input_tokens=PROMPT_TOKENS, output_tokens=served.tokens)
        )

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
            served.refused = not served.tokens
            raise _refusal(plan, served.role)
        if step.end == "stall":
            await asyncio.sleep(plan.stall_seconds)
            raise ConnectionError("the stream broke off")
    served.finished = True


def _refusal(plan: ResponsePlan, role: str) -> ModelHTTPError:
    status = plan.failure.status if plan.failure else 500
    kind = ModelRateLimitError if status == 429 else ModelUnavailableError
    error = ModelHTTPError.for_category(kind, status_code=status, model_name=role)
    if plan.failure is not None and plan.failure.retry_after_s is not None:
        error.retry_after = plan.failure.retry_after_s
    return error
