"""Replay a sample of a trace over real sockets: boto3, the OpenAI client and LiteLLM's own, against the simulator.

Time runs `speed` times as fast: the simulator's latencies are divided by it, and so are everybody's timeouts; ours are
scaled by its clock. Each contender has a simulator process of its own, so that its books are its own.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config
from openai import AsyncOpenAI
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from bench.failover.contenders import (
    FIXED_S,
    ContenderGaveUp,
    FailoverContender,
    FixedTimeout,
    OurFailover,
    PrimaryOnly,
    PydanticFallback,
)
from bench.failover.litellm_router import LiteLLMRouter
from bench.failover.score import LatencyFigures, score_latencies
from bench.failover.trace import FALLBACK, NO_ANSWER_MS, Scenario, TracedCall, build_trace, scenarios
from bench.failover.virtual import OUR_CONTENDER, restart_contender
from latency_failover import SystemMonotonicClock
from switchyard.devstack.simulators.models.plan import Behaviour

SAMPLE_SIZE = 120
CLOCK_SPEED = 1.0
SIMULATOR_SCRIPT = Path(__file__).with_name("simulators.yaml")
SOCKET_READ_TIMEOUT_S = NO_ANSWER_MS / 1_000


class FastClock(SystemMonotonicClock):
    """Seconds that pass `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def monotonic(self) -> float:
        """Scaled seconds."""
        return time.monotonic() * self._speed

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Wait for scaled time."""
        try:
            async with asyncio.timeout(
                None if math.isinf(until) else max(0.0, (until - self.monotonic()) / self._speed)
            ):
                await event.wait()
        except TimeoutError:
            return


def scale_behaviour(behaviour: Behaviour, speed: float) -> dict[str, Any]:
    """The behaviour's parameters for a faster clock, as the simulator takes them."""
    found = behaviour.model_dump(mode="json")
    for name, value in found.items():
        if name.endswith(("_ms", "_seconds", "_after_s")):
            found[name] = value / speed
        elif name.endswith("tokens_per_second"):
            found[name] = value * speed
    return found


class SimulatorProcess:
    """A simulator process with the scenario's weather."""

    def __init__(self, scenario: Scenario, speed: float) -> None:
        command = [sys.executable, "-m", "switchyard.devstack.simulators.models", "--script", str(SIMULATOR_SCRIPT)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        self.url = line.split(" on ")[1].split()[0]
        for model, behaviour in (("primary", scenario.primary), ("fallback", FALLBACK)):
            fault = {"model": model, "distribution": scale_behaviour(behaviour, speed), "numbered_by": r"call (\d+)"}
            urlopen(Request(f"{self.url}/sim/faults", json.dumps(fault).encode(), method="POST"), timeout=10).close()  # noqa: S310

    def served(self) -> int:
        """How many calls it has served: all but those it refused."""
        with urlopen(f"{self.url}/sim/calls", timeout=10) as response:  # noqa: S310 (our own simulator)
            report = json.load(response)
        assert not report["unscripted"], "the simulator did not understand a prompt"
        kinds = (report["whole"], report["streams"])
        return sum(kind[ended] for kind in kinds for ended in ("active", "completed", "aborted", "expired"))

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(10)


def socket_builders(speed: float) -> dict[str, Callable[[str], FailoverContender]]:
    """Every contender, made for the simulator at a URL."""

    def bedrock(url: str, settings: ModelSettings | None = None) -> BedrockConverseModel:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=SOCKET_READ_TIMEOUT_S / speed, max_pool_connections=64
            ),
        )
        return BedrockConverseModel("primary", provider=BedrockProvider(bedrock_client=client), settings=settings)

    def openai(url: str) -> OpenAIChatModel:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key="test", max_retries=0, timeout=SOCKET_READ_TIMEOUT_S / speed)
        return OpenAIChatModel("fallback", provider=OpenAIProvider(openai_client=client))

    return {
        "primary only": lambda url: PrimaryOnly(bedrock(url)),
        "fixed 2 s": lambda url: FixedTimeout(bedrock(url), openai(url), speed=speed),
        "LiteLLM Router": lambda url: LiteLLMRouter(url, f"{url}/v1", speed=speed),
        "pydantic-ai FallbackModel": lambda url: PydanticFallback(
            bedrock(url, cast("ModelSettings", {"request_timeout": FIXED_S / speed})), openai(url)
        ),
        OUR_CONTENDER: lambda url: OurFailover(bedrock(url), openai(url), clock=FastClock(speed)),
    }


def sample_calls(scenario: Scenario) -> tuple[TracedCall, ...]:
    """The calls that are asked over real sockets."""
    return build_trace(scenario)[scenario.sample_from : scenario.sample_from + SAMPLE_SIZE]


def run_over_sockets(chosen: Sequence[Scenario], contenders: Sequence[str]) -> dict[str, dict[str, LatencyFigures]]:
    """Every contender over the scenarios' samples: figures by scenario and contender.

    Each contender is a process of its own: one that keeps its event loop busy must not slow another down.
    """
    children = {}
    for name in contenders:
        command = [sys.executable, "-m", "bench.failover.sockets", name, *(scenario.name for scenario in chosen)]
        children[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, LatencyFigures]] = {scenario.name: {} for scenario in chosen}
    for name, child in children.items():
        told, _ = child.communicate()
        if child.returncode:
            raise RuntimeError(f"{name} ended with {child.returncode}; its traceback is above")
        for line in told.splitlines():
            if line.startswith("{"):
                answer = json.loads(line)
                found[answer["scenario"]][name] = LatencyFigures.model_validate(answer["figures"])
    return found


def run_contender(name: str, scenario: Scenario, *, speed: float = CLOCK_SPEED) -> LatencyFigures:
    """One contender over one scenario's sample, in this process."""
    calls = sample_calls(scenario)
    simulator = SimulatorProcess(scenario, speed)
    try:
        took = asyncio.run(_replay(scenario, calls, socket_builders(speed)[name], simulator.url, speed))
        extra = simulator.served() - sum(each < NO_ANSWER_MS for each in took)
    finally:
        simulator.close()
    return score_latencies(took, calls).model_copy(update={"extra_calls": round(100 * max(0, extra) / len(calls), 2)})


async def _replay(
    scenario: Scenario, calls: Sequence[TracedCall], build: Callable[[str], FailoverContender], url: str, speed: float
) -> list[float]:
    contender = build(url)
    started, first = time.monotonic(), calls[0].at_ms
    tasks = []

    async def one(contender: FailoverContender, call: TracedCall) -> float:
        asked = time.monotonic()
        try:
            await contender.ask(call)
        except ContenderGaveUp:
            return NO_ANSWER_MS
        return 1_000 * speed * (time.monotonic() - asked)

    for index, call in enumerate(calls):
        await asyncio.sleep(max(0.0, started + (call.at_ms - first) / 1_000 / speed - time.monotonic()))
        if scenario.restart_every and index and index % scenario.restart_every == 0:
            contender = restart_contender(contender, build(url), round(1_000 * speed * time.monotonic()))
        tasks.append(asyncio.create_task(one(contender, call)))
    return await asyncio.gather(*tasks)


if __name__ == "__main__":
    known = {each.name: each for each in scenarios()}
    for asked in sys.argv[2:]:
        figures = run_contender(sys.argv[1], known[asked])
        print(json.dumps({"scenario": asked, "figures": figures.model_dump()}), flush=True)
