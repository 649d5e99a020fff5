"""A meter admits each call before a model is asked, and learns what it used, however the call ended."""

import asyncio

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.usage import RequestUsage

from latency_failover import (
    AllModelsFailed,
    CloseCall,
    FailoverDecision,
    FailoverModel,
    FailoverPolicy,
    LatencyBudget,
    PlannedCall,
)
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers, fails, silent
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time


class Meter:
    """Remembers what it admitted and what was closed; denies with `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.opened: list[PlannedCall] = []
        self.closed: list[FailoverDecision] = []
        self._error = error

    async def open_call(self, call: PlannedCall) -> CloseCall:
        if self._error is not None:
            raise self._error
        self.opened.append(call)

        async def close(decision: FailoverDecision) -> None:
            self.closed.append(decision)

        return close


def pair(primary: ScriptedModel, fallback: ScriptedModel) -> FailoverModel:
    return FailoverModel(primary, fallback, policy=FailoverPolicy(cold_ttft_ms=60_000), clock=VirtualClock())


@virtual_time
async def test_denied_call_asks_no_model() -> None:
    primary, fallback = (ScriptedModel(name, answers(first_after=0.1)) for name in "ab")
    model, meter = pair(primary, fallback), Meter(PermissionError("no money"))
    with pytest.raises(PermissionError), model.budget(LatencyBudget(total_ms=5_000), meter=meter):
        await model.request(PROMPT, None, NO_TOOLS)
    assert (primary.calls, fallback.calls) == (0, 0)


@virtual_time
async def test_denied_stream_asks_no_model() -> None:
    primary, fallback = (ScriptedModel(name, answers(first_after=0.1)) for name in "ab")
    model, meter = pair(primary, fallback), Meter(PermissionError("no money"))
    with pytest.raises(PermissionError), model.budget(LatencyBudget(total_ms=5_000), meter=meter):
        async with model.request_stream(PROMPT, None, NO_TOOLS):
            raise AssertionError("nothing was to be streamed")
    assert (primary.calls, fallback.calls) == (0, 0)


@virtual_time
async def test_each_call_is_opened_with_its_models_and_closed_with_its_decision() -> None:
    used = RequestUsage(input_tokens=7, output_tokens=3)
    primary, fallback = ScriptedModel("a", answers(first_after=0.1, usage=used)), ScriptedModel("b", silent())
    model, meter = pair(primary, fallback), Meter()
    with model.budget(LatencyBudget(total_ms=5_000), meter=meter):
        await asyncio.gather(*(model.request(PROMPT, {"max_tokens": 99}, NO_TOOLS) for _ in range(2)))
    assert [[(each.model_id, each.max_tokens) for each in call.models] for call in meter.opened] == [
        [("a", 99), ("b", 99)]
    ] * 2
    assert [(each.input_tokens, each.output_tokens) for each in meter.closed] == [(7, 3)] * 2


@virtual_time
async def test_failed_call_is_closed_with_what_its_attempts_used() -> None:
    error = ModelHTTPError(503, "a")
    model, meter = pair(ScriptedModel("a", fails(error)), ScriptedModel("b", fails(error))), Meter()
    with pytest.raises(AllModelsFailed), model.budget(LatencyBudget(total_ms=5_000), meter=meter):
        await model.request(PROMPT, None, NO_TOOLS)
    [decision] = meter.closed
    assert (decision.result, len(decision.attempts), decision.loser_tokens) == ("failed", 2, 0)


@virtual_time
async def test_cancelled_call_is_closed() -> None:
    model, meter = pair(ScriptedModel("a", silent()), ScriptedModel("b", silent())), Meter()
    with model.budget(LatencyBudget(total_ms=50_000), meter=meter), pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await model.request(PROMPT, None, NO_TOOLS)
    assert [decision.result for decision in meter.closed] == ["cancelled"]
