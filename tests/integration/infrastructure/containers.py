"""The infrastructure in containers of this session's own: LocalStack and PostgreSQL with pgvector, by testcontainers.

They end with the session, also when it is interrupted. After kill -9 testcontainers' reaper removes them, unless
TESTCONTAINERS_RYUK_DISABLED is set.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from testcontainers.community.localstack import LocalStackContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from switchyard.devstack.stack.endpoints import EMULATOR_REGION
from switchyard.devstack.stack.postgres import OWNER_ROLE, WORK_DATABASE
from switchyard.devstack.supervisor.ports import LOOPBACK, PortAllocator
from tests.integration.infrastructure.in_docker import SERVICES, InDocker, engine

LOCALSTACK = "localstack/localstack:4.14.0"
"""The last release that needs no token."""

POSTGRES = "pgvector/pgvector:pg18"
LABEL = "switchyard.test-session"
"""On each container; its value is the session's id, the same in all its workers."""

SESSION = "SWITCHYARD_TEST_SESSION"


def session_id() -> str:
    """This session's; the first process to ask creates it for the workers."""
    return os.environ.setdefault(SESSION, secrets.token_hex(8))


@contextmanager
def started_containers() -> Iterator[InDocker]:
    """Start both, and remove them with their data at the end. Raises DockerMissing."""
    engine().close()
    ports = PortAllocator()
    database = PostgresContainer(
        POSTGRES, username=OWNER_ROLE, password=secrets.token_hex(16), dbname=WORK_DATABASE, driver=None
    )
    aws = LocalStackContainer(LOCALSTACK, region_name=EMULATOR_REGION).with_services(*sorted(SERVICES))
    aws.with_envs(
        EAGER_SERVICE_LOADING="1",
        LOCALSTACK_HOST=f"{LOOPBACK}:{ports.allocate('emulator')}",  # queue URLs name it
        DISABLE_EVENTS="1",  # it sends usage statistics otherwise
        SKIP_SSL_CERT_DOWNLOAD="1",
        DNS_ADDRESS="0",
    )
    _publish(database, 5432, ports.allocate("postgres"))
    _publish(aws, 4566, ports.allocate("emulator"))
    with ExitStack() as running, ThreadPoolExecutor(2) as together:
        for container in (database, aws):
            running.callback(container.stop)
        for started in [together.submit(container.start) for container in (database, aws)]:
            started.result()
        infrastructure = InDocker(
            containers={"postgres": database.get_wrapped_container(), "emulator": aws.get_wrapped_container()},
            postgres_port=ports.allocate("postgres"),
            emulator_port=ports.allocate("emulator"),
            owner=OWNER_ROLE,
            owner_password=database.password,
        )
        asyncio.run(_prepared(infrastructure))
        yield infrastructure


def remove_leftovers() -> None:
    """Remove what this session's workers have left behind, because they were killed before they could."""
    client = engine()
    try:
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}={session_id()}"}):
            container.remove(force=True, v=True)
    finally:
        client.close()


async def _prepared(infrastructure: InDocker) -> None:
    await infrastructure.ready()
    await infrastructure.prepare()


def _publish(container: DockerContainer, port: int, at: int) -> None:
    # A port that Docker chooses is another one after a restart. with_bind_ports would publish to every interface;
    # docker-py, which gets this dictionary as it is, takes an address beside the port.
    container.ports.clear()
    container.ports[f"{port}/tcp"] = (LOOPBACK, at)  # type: ignore[assignment]
    container.with_kwargs(labels={LABEL: session_id()})
