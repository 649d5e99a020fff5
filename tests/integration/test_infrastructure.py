"""Stopping and starting a part of the infrastructure, wherever it runs: same address, same data or made again."""

from __future__ import annotations

import asyncpg
import pytest
from aiobotocore.session import AioSession
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from switchyard.protocol.topology import BUS
from tests.integration.infrastructure import Infrastructure
from tests.reference import consumers

pytestmark = pytest.mark.integration


async def test_postgres_restarts_on_its_port_with_its_data(infrastructure: Infrastructure) -> None:
    url = infrastructure.owner_url("postgres")
    before = await asyncpg.connect(url)
    await before.execute("create table kept as select 'kept' as text")
    await before.close()
    await infrastructure.stop("postgres")
    try:
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await asyncpg.connect(url, timeout=2)
    finally:
        await infrastructure.start("postgres")
    assert infrastructure.owner_url("postgres") == url
    after = await asyncpg.connect(url)
    assert await after.fetchval("select text from kept") == "kept"
    await after.execute("drop table kept")
    await after.close()


async def test_emulator_returns_at_its_address_with_bus_queues_and_rules(
    infrastructure: Infrastructure, aws: None, aws_session: AioSession
) -> None:
    address = infrastructure.environment["AWS_ENDPOINT_URL"]
    await infrastructure.stop("emulator")
    try:
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=2)
        async with aws_session.create_client("sqs", config=once) as sqs:
            with pytest.raises(EndpointConnectionError):
                await sqs.list_queues()
    finally:
        await infrastructure.start("emulator")
    assert infrastructure.environment["AWS_ENDPOINT_URL"] == address
    async with aws_session.create_client("events") as events, aws_session.create_client("sqs") as sqs:
        for consumer in consumers():
            for queue in (consumer.queue, *consumer.lanes):
                await sqs.get_queue_url(QueueName=queue)
            for rule in consumer.rules:
                assert (await events.list_targets_by_rule(Rule=rule.name, EventBusName=BUS))["Targets"]
