import asyncio

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, PartEndEvent, PartStartEvent, TextPart

from latency_failover import AllModelsFailed, FailoverModel, FailoverPolicy, LatencyBudget
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, Script, ScriptedModel, answers, silent, stalls
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time

POLICY = FailoverPolicy(cold_ttft_ms=1_000, cold_reserve_ms=1_000)


def over(primary: ScriptedModel, fallback: ScriptedModel) -> FailoverModel:
    return FailoverModel(primary, fallback, policy=POLICY, clock=VirtualClock())


async def read_through(model: FailoverModel) -> None:
    async with model.request_stream(PROMPT, None, NO_TOOLS) as stream:
        async for _ in stream:
            pass


@virtual_time
async def test_caller_gets_each_event_as_it_arrives() -> None:
    model = over(
        ScriptedModel("a", Script([(0.5, "one "), (1.0, "two "), (1.0, "three")])), ScriptedModel("b", silent())
    )
    clock = VirtualClock()
    started = clock.monotonic()
    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        async with model.request_stream(PROMPT, None, NO_TOOLS) as stream:
            assert stream.model_name == "a"
            seen = [(round(clock.monotonic() - started, 3), type(event).__name__) async for event in stream]
    assert seen == [
        (0.5, "PartStartEvent"),
        (0.5, "FinalResultEvent"),
        (1.5, "PartDeltaEvent"),
        (2.5, "PartDeltaEvent"),
        (2.5, "PartEndEvent"),
    ]
    assert stream.get().parts == [TextPart("one two three")]
    assert stream.get().state == "complete"
    assert record.decisions[0].result == "answered"


@virtual_time
async def test_fallback_stream_is_delivered_if_the_primary_stays_silent() -> None:
    model = over(ScriptedModel("a", silent()), ScriptedModel("b", answers(first_after=0.2)))
    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        async with model.request_stream(PROMPT, None, NO_TOOLS) as stream:
            assert stream.model_name == "b"
            kinds = [type(event) async for event in stream]
    assert kinds[0] is PartStartEvent
    assert kinds[-1] is PartEndEvent
    assert record.decisions[0].reason == "ttft"


@virtual_time
async def test_streaming_agent_gets_each_word_once() -> None:
    model = over(
        ScriptedModel("a", Script([(0.1, "one "), (0.0, "two "), (0.0, "three")])), ScriptedModel("b", silent())
    )
    async with Agent(model).run_stream("count") as result:
        text = [word async for word in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(text) == "one two three"


@virtual_time
async def test_delivered_stream_is_not_replaced_and_ends_with_the_budget() -> None:
    primary, fallback = (
        ScriptedModel("a", stalls(first_after=0.1, tokens=3)),
        ScriptedModel("b", answers(first_after=0.1)),
    )
    model = over(primary, fallback)
    with model.budget(LatencyBudget(total_ms=9_000)) as record, pytest.raises(AllModelsFailed) as raised:
        await read_through(model)
    assert (raised.value.decision.latency_ms, fallback.calls, primary.running) == (9_000, 0, 0)
    assert record.decisions == [raised.value.decision]


@virtual_time
async def test_error_after_the_hand_over_is_raised_with_its_cause() -> None:
    error = ConnectionResetError("gone")
    model = over(ScriptedModel("a", Script([(0.1, "one"), (0.1, "two")], error=error)), ScriptedModel("b", silent()))
    with pytest.raises(AllModelsFailed) as raised:
        await read_through(model)
    assert raised.value.causes == (error,)


@virtual_time
async def test_caller_leaving_early_closes_the_stream() -> None:
    primary = ScriptedModel("a", answers(first_after=0.1, tokens=100, every=1.0))
    model = over(primary, ScriptedModel("b", silent()))
    with model.budget(LatencyBudget(total_ms=200_000)) as record:
        async with model.request_stream(PROMPT, None, NO_TOOLS) as stream:
            async for _ in stream:
                break
        assert primary.running == 0
    assert record.decisions[0].result == "cancelled"
    assert record.decisions[0].attempts[0].outcome == "cancelled"


@virtual_time
async def test_stream_cancelled_by_the_caller_is_recorded_as_cancelled() -> None:
    primary = ScriptedModel("a", answers(first_after=0.1, tokens=100, every=1.0))
    model = over(primary, ScriptedModel("b", silent()))
    with model.budget(LatencyBudget(total_ms=200_000)) as record:
        async with model.request_stream(PROMPT, None, NO_TOOLS) as stream:
            async for _ in stream:
                await stream.cancel()
    assert stream.get().state == "interrupted"
    assert record.decisions[0].result == "cancelled"
    assert primary.running == 0


@virtual_time
async def test_partial_response_has_only_the_delivered_events() -> None:
    model = over(ScriptedModel("a", answers(first_after=0.1, tokens=5)), ScriptedModel("b", silent()))
    async with model.request_stream(PROMPT, None, NO_TOOLS) as stream:
        await asyncio.sleep(5)
        response = stream.get()
        assert isinstance(response, ModelResponse)
        assert (response.parts, response.state) == ([], "incomplete")
        async for _ in stream:
            pass
    assert stream.get().parts == [TextPart("word" * 5)]
