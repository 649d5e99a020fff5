"""Real clients over real sockets: what is abandoned is really closed, promptly, and no thread stays behind.

Bedrock's client blocks in worker threads, so these tests watch the simulator's own books (which calls the client left)
and this process's threads (which of them still sit in a socket read).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from pydantic_ai import Agent
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from latency_failover import AllModelsFailed, FailoverDecision, FailoverModel, FailoverPolicy, LatencyBudget
from tests.integration.simulator.running import BEDROCK_MODEL, OPENAI_MODEL, RULES, Running, start

pytestmark = pytest.mark.integration

TTFT_MS = 1_200
"""Long enough for a busy machine to have sent its request before the attempt is abandoned."""

POLICY = FailoverPolicy(cold_ttft_ms=TTFT_MS, cold_reserve_ms=5_000, stall_ms=500, hedge=False)
READ_TIMEOUT_S = 60
PROMPTLY_S = 3


@pytest.fixture(scope="module")
def process() -> Iterator[Running]:
    started, url = start("--script", str(RULES))
    with started:
        yield Running(url)
        started.terminate()


@pytest.fixture
def simulator(process: Running) -> Running:
    process.send("POST", "/sim/reset")
    return process


@pytest.fixture(scope="module")
def bedrock(process: Running) -> Iterator[BedrockConverseModel]:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=process.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=READ_TIMEOUT_S),
    )
    yield BedrockConverseModel(BEDROCK_MODEL, provider=BedrockProvider(bedrock_client=client))
    client.close()


@pytest.fixture
async def model(simulator: Running, bedrock: BedrockConverseModel) -> AsyncIterator[FailoverModel]:
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="test", timeout=20) as client:
        fallback = OpenAIChatModel(OPENAI_MODEL, provider=OpenAIProvider(openai_client=client))
        yield FailoverModel(bedrock, fallback, policy=POLICY)


async def story(model: FailoverModel) -> tuple[str, FailoverDecision]:
    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        result = await Agent(model).run("tell me a story")
    (decision,) = record.decisions
    return result.output, decision


def stack(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def threads_in_botocore() -> int:
    """How many threads are inside a Bedrock call or a read of its stream right now."""
    frames: dict[int, Any] = sys._current_frames()
    return sum(any("botocore" in name for name in stack(frame)) for frame in frames.values())


async def promptly(reached: Callable[[], bool]) -> None:
    """Wait for something that happens on another thread or in another process."""
    deadline = time.monotonic() + PROMPTLY_S
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {PROMPTLY_S} s"
        await asyncio.sleep(0.02)


async def test_healthy_bedrock_answers_over_the_real_wire(model: FailoverModel, simulator: Running) -> None:
    text, decision = await story(model)
    assert text.startswith("Once there was a pump")
    assert (decision.reason, decision.vendor, decision.attempts[0].tokens_source) == ("primary", "bedrock", "reported")
    assert decision.ttft_ms is not None


async def test_bedrock_without_headers_falls_back_and_ends_thread(model: FailoverModel, simulator: Running) -> None:
    simulator.inject(wire="bedrock", stall=True)
    text, decision = await story(model)
    assert text.startswith("Once there was a pump")
    assert (decision.reason, decision.vendor) == ("ttft", "openai")
    assert decision.latency_ms < TTFT_MS + PROMPTLY_S * 1_000
    await promptly(lambda: threads_in_botocore() == 0)
    await promptly(lambda: simulator.streams()["aborted"] == 1)


async def test_bedrock_stalled_mid_stream_falls_back_and_ends_thread(model: FailoverModel, simulator: Running) -> None:
    simulator.inject(wire="bedrock", stall_after_tokens=5)
    text, decision = await story(model)
    assert text.startswith("Once there was a pump")
    assert (decision.reason, decision.vendor) == ("projected", "openai")
    left = decision.attempts[0]
    assert (left.outcome, left.tokens_source) == ("abandoned", "estimated")
    assert 0 < left.output_tokens <= 10
    await promptly(lambda: threads_in_botocore() == 0)
    await promptly(lambda: simulator.streams()["aborted"] == 1)


@pytest.mark.parametrize("stall", [{"stall": True}, {"stall_after_tokens": 5}], ids=["headers", "mid-stream"])
async def test_cancelled_caller_frees_the_thread_and_the_connection(
    model: FailoverModel, simulator: Running, stall: dict[str, Any]
) -> None:
    simulator.inject(**stall)
    policy = POLICY.model_copy(update={"cold_ttft_ms": 30_000, "stall_ms": 30_000})
    patient = FailoverModel(model.models[0], model.models[1], policy=policy)
    caller = asyncio.create_task(story(patient))
    await promptly(lambda: simulator.streams()["active"] == 1)
    started = time.monotonic()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert time.monotonic() - started < PROMPTLY_S
    await promptly(lambda: threads_in_botocore() == 0)
    await promptly(lambda: simulator.streams()["aborted"] == 1)


async def test_bedrock_connection_cut_leaves_later_calls_undisturbed(model: FailoverModel, simulator: Running) -> None:
    simulator.inject(wire="bedrock", stall=True, times=2)
    reasons = [(await story(model))[1].reason for _ in range(4)]
    assert reasons == ["ttft", "ttft", "primary", "primary"]


async def test_throttled_bedrock_is_abandoned_at_once(model: FailoverModel, simulator: Running) -> None:
    simulator.inject(wire="bedrock", throttle=True)
    _, decision = await story(model)
    assert (decision.reason, decision.vendor) == ("throttled", "openai")
    assert decision.attempts[0].error_code == "ModelRateLimitError/429/ThrottlingException"


async def test_failing_vendors_lead_to_one_openai_call_without_retry(model: FailoverModel, simulator: Running) -> None:
    simulator.inject(error=503)
    with pytest.raises(AllModelsFailed) as raised:
        await story(model)
    assert [a.outcome for a in raised.value.decision.attempts] == ["error", "error"]
    assert sum(simulator.get("/sim/calls")[kind]["failed"] for kind in ("whole", "streams")) == 2


async def test_concurrent_calls_to_a_silent_bedrock_leave_no_threads(model: FailoverModel, simulator: Running) -> None:
    simulator.inject(wire="bedrock", stall=True)
    stories = await asyncio.gather(*(story(model) for _ in range(8)))
    assert {decision.reason for _, decision in stories} == {"ttft"}
    await promptly(lambda: threads_in_botocore() == 0)
    await promptly(lambda: simulator.streams()["active"] == 0)
    # On a busy machine a call may be abandoned before it was sent; the simulator never hears of that one.
    heard = [call["outcome"] for call in simulator.get("/sim/calls")["recent"] if call["wire"] == "bedrock"]
    assert heard
    assert set(heard) == {"aborted"}
