"""Replays a sample of a trace over real sockets: boto3, the OpenAI client and LiteLLM's own, against the simulator."""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx2
from botocore.config import Config
from openai import AsyncOpenAI
from pydantic_ai.models import Model
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from bench.failover.contenders import CONTENDERS, OURS_WITHOUT_SNAPSHOT, FailoverContender, LiteLLMRouter
from bench.failover.score import LatencyFigures, score_latencies
from bench.failover.trace import FALLBACK, NO_ANSWER_MS, SCENARIOS, Scenario, TracedCall, build_trace
from bench.failover.virtual import replay
from latency_failover import SystemMonotonicClock

SAMPLE_SIZE = 120
SIMULATOR_SCRIPT = Path(__file__).with_name("simulators.yaml")
READ_TIMEOUT_S = NO_ANSWER_MS / 1_000
LITELLM = "LiteLLM Router"


def sample_calls(scenario: Scenario) -> tuple[TracedCall, ...]:
    """The calls that are asked over real sockets."""
    return build_trace(scenario)[scenario.sample_from : scenario.sample_from + SAMPLE_SIZE]


def run_over_sockets() -> dict[str, dict[str, LatencyFigures]]:
    """Every contender over the scenarios' samples: figures by contender and scenario.

    Each contender is a process of its own: one that keeps its event loop busy must not slow another down.
    """
    names = [LITELLM, *(name for name in CONTENDERS if name != OURS_WITHOUT_SNAPSHOT)]
    with ProcessPoolExecutor(len(names), multiprocessing.get_context("spawn")) as pool:
        return dict(zip(names, pool.map(_run_contender, names), strict=True))


def _run_contender(name: str) -> dict[str, LatencyFigures]:
    return {scenario.name: _run_sample(name, scenario) for scenario in SCENARIOS}


def _run_sample(name: str, scenario: Scenario) -> LatencyFigures:
    calls = sample_calls(scenario)
    with _run_simulator(scenario) as url:
        took, _ = asyncio.run(replay(scenario, calls, lambda: _build_contender(name, url)))
        extra = max(0, _count_served(url) - sum(each < NO_ANSWER_MS for each in took))
    return score_latencies(took, calls).model_copy(update={"extra_calls": round(100 * extra / len(calls), 2)})


def _build_contender(name: str, url: str) -> FailoverContender:
    if name == LITELLM:
        return LiteLLMRouter(url)

    def make(role: str, settings: ModelSettings | None) -> Model[Any]:
        if role == "fallback":
            openai = AsyncOpenAI(base_url=f"{url}/v1", api_key="test", max_retries=0, timeout=READ_TIMEOUT_S)
            return OpenAIChatModel(role, provider=OpenAIProvider(openai_client=openai), settings=settings)
        bedrock = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=READ_TIMEOUT_S, max_pool_connections=64),
        )
        return BedrockConverseModel(role, provider=BedrockProvider(bedrock_client=bedrock), settings=settings)

    return CONTENDERS[name](make, SystemMonotonicClock())


@contextmanager
def _run_simulator(scenario: Scenario) -> Iterator[str]:
    """The URL of a simulator process that plays the scenario; each contender has one, so that its calls are its own."""
    command = [sys.executable, "-m", "switchyard.devstack.simulators.models", "--script", str(SIMULATOR_SCRIPT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split(" on ")[1].split()[0]
            for model, behaviour in (("primary", scenario.primary), ("fallback", FALLBACK)):
                plan = behaviour.model_dump(mode="json")
                fault = {"model": model, "distribution": plan, "numbered_by": r"call (\d+)"}
                httpx2.post(f"{url}/sim/faults", json=fault).raise_for_status()
            yield url
        finally:
            process.terminate()


def _count_served(url: str) -> int:
    """All calls but those that the simulator rejected."""
    report = httpx2.get(f"{url}/sim/calls").raise_for_status().json()
    assert not report["unscripted"], "the simulator did not understand a prompt"
    ended = ("active", "completed", "aborted", "expired")
    return sum(report[kind][each] for kind in ("whole", "streams") for each in ended)
