"""Which model a run uses: the scripted simulator, an OpenAI-compatible server, or any model that pydantic-ai knows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from switchyard.runtime.models.clients import ModelSettings

SIMULATOR_MODEL = "simulator"
VENDORS = ("openai", "bedrock")
Vendor = Literal["openai", "bedrock"]


@contextmanager
def open_model(
    name: str, base_url: str | None, scripts: Sequence[Path], *, vendor: Vendor = "openai"
) -> Iterator[Model[Any]]:
    """The model, for as long as the block runs. The simulator is started with `scripts`, asked on `vendor`'s wire, and
    stopped afterwards."""
    if name == SIMULATOR_MODEL:
        with open_simulator(scripts) as url:
            yield openai_chat_model("gpt-5.2", f"{url}/v1") if vendor == "openai" else _bedrock(url)
    elif base_url is not None:
        yield openai_chat_model(name.removeprefix("openai:"), base_url)
    else:
        yield infer_model(name)


def openai_chat_model(name: str, base_url: str) -> OpenAIChatModel:
    """A model of a server that speaks OpenAI's API."""
    # Local servers want no key, but the client insists on one.
    key = os.environ.get("OPENAI_API_KEY") or "none"
    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=base_url, api_key=key))


def _bedrock(url: str) -> Model[Any]:
    import boto3

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="simulator",
        aws_secret_access_key="simulator",  # noqa: S106 - the simulator reads no credential
    )
    return BedrockConverseModel(ModelSettings().bedrock_id, provider=BedrockProvider(bedrock_client=client))


@contextmanager
def open_simulator(scripts: Sequence[Path]) -> Iterator[str]:
    """The address of a simulator with these scripts, for as long as the block runs."""
    options = [part for script in scripts for part in ("--script", str(script))]
    command = [sys.executable, "-m", "switchyard.devstack.simulators.models", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    try:
        line = process.stdout.readline() if process.stdout else ""
        url = next((word for word in line.split() if word.startswith("http://")), None)
        if url is None:
            raise RuntimeError(f"the simulator did not start: it said {line!r}; see its message above")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout:
            process.stdout.close()
