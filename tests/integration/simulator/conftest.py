"""One simulator process per module, and the vendors' own clients pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config

from tests.integration.simulator.running import RULES, Running, start


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
def bedrock_client(process: Running) -> Iterator[Any]:
    """Shared, because boto3 takes a good part of a second to read its service model."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=process.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )
    yield client
    client.close()


@pytest.fixture
def bedrock(simulator: Running, bedrock_client: Any) -> Any:
    return bedrock_client


@pytest.fixture
def chat(simulator: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="test", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def async_chat(simulator: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="test", max_retries=0, timeout=20) as client:
        yield client
