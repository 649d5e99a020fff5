"""The infrastructure of the integration tests: real servers, started once a session, when a test first asks."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session

from switchyard.runtime.database.connections import Pool, connect_pool
from tests.emulators import Emulator, identify
from tests.integration.cloud import Cloud, Tap
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.manual_clock import ManualClock

PoolFor = Callable[[str], Awaitable[Pool]]
LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def emulator(infrastructure: Infrastructure) -> Emulator:
    """What answers as AWS, and where it differs from AWS."""
    return identify(infrastructure.environment["AWS_ENDPOINT_URL"])


@pytest.fixture(scope="session")
def aws_session() -> AioSession:
    """Keeps botocore's service models, which take longer to read than most tests to run."""
    return get_session()


@pytest.fixture
def aws(infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's environment as a service of the stack has it."""
    for name, value in infrastructure.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def cloud(aws: None, aws_session: AioSession) -> AsyncIterator[Cloud]:
    """The bus, the queues and the bucket."""
    config = AioConfig(s3={"addressing_style": "path"})
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(aws_session.create_client(service, config=config))
            for service in ("events", "sqs", "s3")
        ]
        yield Cloud(*clients)


@pytest.fixture
async def tap(cloud: Cloud, emulator: Emulator) -> AsyncIterator[Tap]:
    """All that is published while the test runs."""
    opened = await Tap.open(cloud, late=not emulator.delivers_at_once)
    yield opened
    await opened.close()


@pytest.fixture
async def pool_for(infrastructure: Infrastructure) -> AsyncIterator[PoolFor]:
    """Connects to the work database as a consumer's role, in its schema."""
    async with AsyncExitStack() as stack:

        async def connect(role: str) -> Pool:
            pool = await connect_pool(infrastructure.role_url(role), schema=role)
            stack.push_async_callback(pool.close)
            return pool

        yield connect


@pytest.fixture
def borrowed_logs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process configures the logs of its interpreter; a test that runs one inside its own only lends them. No logger
    keeps this configuration: later tests could not capture what it logs."""
    configure = structlog.configure
    monkeypatch.setattr(
        structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False})
    )
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> LogLines:
    """What processes inside the test's own have logged since the last call."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    return read


@pytest.fixture
def clock() -> ManualClock:
    """Time, in the hands of the test."""
    return ManualClock()


@pytest.fixture
async def owner(infrastructure: Infrastructure) -> AsyncIterator[Owner]:
    """The work database as its owner, to look behind the code's back."""
    connection = await asyncpg.connect(infrastructure.owner_url())
    yield connection
    await connection.close()
