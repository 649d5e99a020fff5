"""The provisioner of docker compose, on a stack that is neither migrated nor provisioned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from aiobotocore.session import get_session

import switchyard.devstack.stack.provisioner
from switchyard.devstack.stack.postgres import AUDIT_DATABASE, WORK_DATABASE
from switchyard.devstack.stack.provision import client_options
from switchyard.devstack.stack.provisioner import Provisioner, ProvisionerSettings
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.protocol.topology import queue_name
from switchyard.runtime.core.aws import create_aws_client
from tests.integration.serving import free_port
from tests.reference import consumers

pytestmark = pytest.mark.integration
LOOK_EVERY_S = 0.1


@pytest.fixture
async def stack(used_home: Path) -> AsyncIterator[EmbeddedStack]:
    """PostgreSQL and the emulator, empty."""
    async with EmbeddedStack(used_home) as running:
        yield running


def settings_for(stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch, **more: str) -> ProvisionerSettings:
    """As docker compose gives them: in the environment."""
    given = {
        **stack.endpoints.environment(),
        "SWITCHYARD_WORK_DB_OWNER_URL": stack.endpoints.dsn(WORK_DATABASE),
        "SWITCHYARD_AUDIT_DB_OWNER_URL": stack.endpoints.dsn(AUDIT_DATABASE),
        "SWITCHYARD_ROLE_PASSWORD": "development",
        **more,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return ProvisionerSettings()


async def queues(stack: EmbeddedStack) -> set[str]:
    async with create_aws_client(get_session(), "sqs", **client_options(stack.endpoints.environment())) as sqs:
        answer = await sqs.list_queues(QueueNamePrefix="switchyard-")
        return {url.rsplit("/", 1)[1] for url in answer.get("QueueUrls", ())}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.05)


async def test_emulator_without_its_state_is_provisioned_again(
    stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioner = Provisioner(settings_for(stack, monkeypatch), stack.endpoints.environment())
    provisioning = asyncio.create_task(provisioner.run(check_every_s=LOOK_EVERY_S))
    wanted = {queue for consumer in consumers() for queue in (consumer.queue, *consumer.lanes)}

    async def provisioned() -> bool:
        return wanted <= await queues(stack)

    try:
        await until(provisioned)
        case_manager = await asyncpg.connect(stack.endpoints.dsn(WORK_DATABASE, "case_manager", "development"))
        assert await case_manager.fetchval("select count(*) from case_manager.submission") == 0
        await case_manager.close()

        await stack["emulator"].kill()  # it saves its state on a clean stop only
        await stack["emulator"].ready(restarts=1)
        await until(provisioned)
    finally:
        provisioning.cancel()
        await asyncio.gather(provisioning, return_exceptions=True)


async def test_provisioner_is_unready_while_a_server_is_down_and_recovers(
    stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    settings_for(stack, monkeypatch, SWITCHYARD_HEALTH_PORT=str(port))
    monkeypatch.setattr(switchyard.devstack.stack.provisioner, "PROVISION_RETRY_S", LOOK_EVERY_S)
    await stack["emulator"].stop()
    serving = asyncio.create_task(switchyard.devstack.stack.provisioner.serve_provisioner())

    async def answer() -> tuple[int, list[str]]:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{port}/health/ready") as response:
                    return response.status, (await response.json())["failing"]
            except aiohttp.ClientConnectionError:
                return 0, []

    async def migrated_only() -> bool:
        return await answer() == (503, ["bus"])

    async def ready() -> bool:
        return await answer() == (200, [])

    try:
        await until(migrated_only)
        await stack["emulator"].start()
        await until(ready)
        assert queue_name("router") in await queues(stack)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
