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

from bench.failover.trace import PROMPT_TOKENS, Call
from switchyard.devstack.simulators.models.plan import Plan, timeline

FILLER = " word" * PROMPT_TOKENS


@dataclass
class Served:
    """One request to a model: when it ended, how much it streamed, and how it went."""

    call: int
    role: str
    refused: bool = False
    finished: bool = False
    tokens: int = 0


@dataclass
class Books:
    """Every request that reached a model."""

    served: list[Served] = field(default_factory=list)


def prompt_of(call: Call) -> str:
    """The prompt that names the call, so that whoever is asked knows which it is, and how long the answer is to be."""
    return f"call {call.number} <say>{' word' * call.tokens}</say>{FILLER}"


def number_in(messages: list[ModelMessage]) -> int:
    """The number of the call that a prompt names."""
    text = str(getattr(messages[-1].parts[-1], "content", ""))
    return int(text.split()[1])


def playing(role: str, calls: Mapping[int, Call], books: Books, settings: ModelSettings | None = None) -> FunctionModel:
    """The model in the role `primary` or `fallback`."""

    def opened(messages: list[ModelMessage]) -> tuple[Call, Plan, Served]:
        call = calls[number_in(messages)]
        served = Served(call.number, role)
        books.served.append(served)
        return call, call.primary if role == "primary" else call.fallback, served

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        async for count in _played(*opened(messages)):
            yield "word" * count

    async def whole(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        call, plan, served = opened(messages)
        async for _count in _played(call, plan, served):
            pass
        text = "word" * served.tokens
        return ModelResponse(
            [TextPart(text)], usage=RequestUsage(input_tokens=PROMPT_TOKENS, output_tokens=served.tokens)
        )

    return FunctionModel(whole, stream_function=stream, model_name=role, settings=settings)


async def _played(call: Call, plan: Plan, served: Served) -> AsyncIterator[int]:
    """The tokens of a call as they come. Raises what the plan's service would answer."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for step in timeline(plan, call.tokens):
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


def _refusal(plan: Plan, role: str) -> ModelHTTPError:
    status = plan.failure.status if plan.failure else 500
    kind = ModelRateLimitError if status == 429 else ModelUnavailableError
    error = ModelHTTPError.for_category(kind, status_code=status, model_name=role)
    if plan.failure is not None and plan.failure.retry_after_s is not None:
        error.retry_after = plan.failure.retry_after_s
    return error
