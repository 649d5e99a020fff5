"""Embeddings on the wire: as whom, and where, memory asks Bedrock for them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from contracts.catalogue import CATALOGUE
from services.memory.embeddings import DIMENSIONS, open_titan
from switchyard.runtime.core.settings import ProcessSettings
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.process import ServiceProcess

TITAN = "amazon.titan-embed-text-v2:0"
EMULATOR = {"AWS_ACCESS_KEY_ID": "EMULATOR", "AWS_SECRET_ACCESS_KEY": "emulator", "AWS_SESSION_TOKEN": "emulator-token"}


@dataclass
class Wire:
    """What answers as Bedrock, and who asked it."""

    url: str = ""
    heads: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    body: bytes = json.dumps({"embedding": [1.0] + [0.0] * (DIMENSIONS - 1), "inputTextTokenCount": 3}).encode()
    missing: int = 0
    """How many bytes the answer's head says that never come."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.heads.append((request.path, dict(request.headers)))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(self.body) + self.missing
        await response.prepare(request)
        await response.write(self.body)
        if self.missing and request.transport is not None:
            request.transport.close()
        return response

    @property
    def signed_as(self) -> list[str]:
        """Key, region and service of each signature."""
        return [
            re.sub(r".*Credential=([^/]+)/\d+/([^/]+)/([^/]+)/.*", r"\1 \2 \3", headers["Authorization"])
            for _, headers in self.heads
        ]


@pytest.fixture(autouse=True)
def _logs_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process configures the logs of its interpreter for good: this one is inside the tests' own."""
    monkeypatch.setattr("switchyard.runtime.process.process.configure_logs", lambda node, level: None)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    found = Wire()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = site.name
    yield found
    await runner.cleanup()


async def embed(models: ModelSettings) -> list[float] | None:
    settings = ProcessSettings(region="us-east-2", endpoint_url="http://127.0.0.1:9")
    async with ServiceProcess(CATALOGUE, "memory", settings) as process:
        return await (await open_titan(process, models, TITAN)).embed("metric units")


async def test_embeddings_of_a_real_bedrock_are_asked_with_its_own_credentials(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under `stack up --model bedrock:ID`: the SDK's own credentials and region are the emulator's."""
    for name, value in EMULATOR.items():
        monkeypatch.setenv(name, value)
    own: dict[str, Any] = {
        "bedrock_access_key_id": "OWN",
        "bedrock_secret_access_key": "secret",
        "bedrock_session_token": "own-token",
    }
    models = ModelSettings(bedrock_region="eu-west-1", bedrock_endpoint_url=wire.url, **own)
    vector = await embed(models)
    assert vector is not None
    assert len(vector) == DIMENSIONS
    [(path, headers)] = wire.heads
    assert path == f"/model/{TITAN}/invoke"
    assert wire.signed_as == ["OWN eu-west-1 bedrock"]
    assert headers["X-Amz-Security-Token"] == "own-token"


async def test_embeddings_of_the_simulator_need_no_credentials_of_ones_own(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in EMULATOR.items():
        monkeypatch.setenv(name, value)
    assert await embed(ModelSettings(bedrock_region="us-east-1", bedrock_endpoint_url=wire.url)) is not None
    assert wire.signed_as == ["EMULATOR us-east-1 bedrock"]


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (b"", 0), (b"<html>", 0), (b"null", 0), (b"[" * 5_000, 0), (b'{"embedding": "' + b"1" * DIMENSIONS + b'"', 0),
        (json.dumps({"embedding": [None] * DIMENSIONS}).encode(), 0),
        (json.dumps({"embedding": [[1.0]] * DIMENSIONS}).encode(), 0),
        (json.dumps({"embedding": [float("nan")] * DIMENSIONS}).encode(), 0),
        (json.dumps({"embedding": [float("inf")] + [0.0] * (DIMENSIONS - 1)}).encode(), 0),
        (json.dumps({"embedding": [10**400] * DIMENSIONS}).encode(), 0),
        (json.dumps({"embedding": [1.0] * (DIMENSIONS - 1)}).encode(), 0), (b'{"embedding": [1.0', 500),
    ],
)  # fmt: skip
async def test_answer_that_is_no_vector_leaves_memory_to_words(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, body: bytes, missing: int
) -> None:
    for name, value in EMULATOR.items():
        monkeypatch.setenv(name, value)
    wire.body, wire.missing = body, missing
    assert await embed(ModelSettings(bedrock_region="us-east-1", bedrock_endpoint_url=wire.url)) is None
