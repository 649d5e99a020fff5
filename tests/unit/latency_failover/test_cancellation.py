import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic_ai.models import StreamedResponse

from latency_failover import AllModelsFailed, FailoverModel, FailoverPolicy, LatencyBudget, LatencyStats
from latency_failover.connections import AttemptConnections, ConnectionCut
from latency_failover.statistics import LatencySample
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers, silent
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time


def hedging() -> tuple[FailoverModel, ScriptedModel, ScriptedModel]:
    primary, fallback = ScriptedModel("a", silent()), ScriptedModel("b", silent())
    policy = FailoverPolicy(hedge_share_bp=10_000, ttft_floor_ms=50_000)
    model = FailoverModel(primary, fallback, policy=policy, stats=LatencyStats(), clock=VirtualClock())
    for _ in range(8):
        model.stats.observe("scripted:a", 10, LatencySample(ttft_ms=500), now_ms=1_000_000)
    return model, primary, fallback


@virtual_time
async def test_cancelled_caller_closes_both_calls() -> None:
    model, primary, fallback = hedging()
    with model.budget(LatencyBudget(total_ms=60_000)) as record:
        caller = asyncio.create_task(model.request(PROMPT, None, NO_TOOLS))
        await asyncio.sleep(2)
        assert (primary.running, fallback.running) == (1, 1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert (primary.running, fallback.running) == (0, 0)
    (decision,) = record.decisions
    assert (decision.result, decision.latency_ms) == ("cancelled", 2_000)
    assert [a.outcome for a in decision.attempts] == ["cancelled", "cancelled"]


@virtual_time
async def test_cancelled_stream_caller_closes_both_calls() -> None:
    model, primary, fallback = hedging()

    async def read() -> None:
        async with model.request_stream(PROMPT, None, NO_TOOLS):
            raise AssertionError("no model ever answers")

    with model.budget(LatencyBudget(total_ms=60_000)) as record:
        caller = asyncio.create_task(read())
        await asyncio.sleep(2)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert (primary.running, fallback.running) == (0, 0)
    assert record.decisions[0].result == "cancelled"


@virtual_time
async def test_callers_timeout_ends_the_call_as_a_cancellation() -> None:
    model, primary, _ = hedging()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await model.request(PROMPT, None, NO_TOOLS)
    assert primary.running == 0


@virtual_time
async def test_callers_timeout_does_not_count_against_the_models() -> None:
    model, _, _ = hedging()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await model.request(PROMPT, None, NO_TOOLS)
    assert model.breakers["primary"].state(model._now_ms()) == "closed"


class SlowToClose(ScriptedModel):
    """Needs five seconds to close, as a thread does that has to be woken."""

    @asynccontextmanager
    async def request_stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamedResponse]:
        try:
            async with super().request_stream(*args, **kwargs) as stream:
                yield stream
        finally:
            self.running += 1
            await asyncio.sleep(5)
            self.running -= 1


@virtual_time
async def test_caller_skips_loser_close_and_model_exit_waits_for_it() -> None:
    primary, fallback = SlowToClose("a", silent()), ScriptedModel("b", answers(first_after=0.1))
    policy = FailoverPolicy(cold_ttft_ms=1_000, close_grace_ms=10_000)
    clock = VirtualClock()
    started = clock.monotonic()
    async with FailoverModel(primary, fallback, policy=policy, clock=clock) as model:
        await model.request(PROMPT, None, NO_TOOLS)
        assert clock.monotonic() - started == pytest.approx(1.19)
        assert primary.running == 1
    assert primary.running == 0


@virtual_time
async def test_cancelled_caller_waits_for_connection_close_within_grace() -> None:
    primary = SlowToClose("a", silent())
    model = FailoverModel(primary, None, policy=FailoverPolicy(close_grace_ms=2_000), clock=VirtualClock())
    started = VirtualClock().monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await model.request(PROMPT, None, NO_TOOLS)
    assert VirtualClock().monotonic() - started == pytest.approx(3)


def test_cut_wire_refuses_further_connections() -> None:
    cuts: list[str] = []
    wire = AttemptConnections(limit_s=60)
    wire.attach(lambda: cuts.append("first"))
    wire.cut()
    wire.cut()
    assert cuts == ["first"]
    with pytest.raises(ConnectionCut):
        wire.attach(lambda: cuts.append("second"))


def test_released_wire_cuts_nothing() -> None:
    wire = AttemptConnections(limit_s=60)
    wire.attach(lambda: pytest.fail("the connection belongs to another call by now"))
    wire.release()
    wire.cut()


def test_wire_timeout_is_never_zero() -> None:
    assert AttemptConnections(limit_s=0).remaining_s() > 0
    assert 59 < AttemptConnections(limit_s=60).remaining_s() <= 60


@virtual_time
async def test_exhausted_budget_opens_no_connection() -> None:
    model, primary, _ = hedging()
    with model.budget(LatencyBudget(total_ms=1)):
        await asyncio.sleep(1)
        with pytest.raises(AllModelsFailed):
            await model.request(PROMPT, None, NO_TOOLS)
    assert primary.calls == 0
