"""What containers have in common: how tests query, stop and restart them."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
from docker import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container

from switchyard.devstack.stack.endpoints import sdk_environment
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.devstack.supervisor.ports import LOOPBACK
from tests.integration.infrastructure import password, prepare

SERVICES = frozenset({"events", "kms", "s3", "secretsmanager", "sqs"})
"""What the tests need of LocalStack."""

_STOP_S = 20
_READY_S = 90.0
_ASK_S = 5.0


class DockerMissing(RuntimeError):
    """No Docker engine answers. Remedy: start one, or run `make test-integration`, which needs none."""


def engine() -> DockerClient:
    """The Docker engine of this machine's environment. Raises DockerMissing."""
    try:
        return DockerClient.from_env()
    except DockerException as error:
        raise DockerMissing(
            f"no Docker engine answers ({error}). Start one, or run `make test-integration`, which needs none"
        ) from error


@dataclass(frozen=True)
class InDocker:
    """LocalStack and PostgreSQL in containers with fixed ports of the loopback interface.

    Attributes:
        containers: `postgres` and `emulator`.
        owner: the user who owns the databases.
        owner_password: theirs; both are safe in a URL.
    """

    containers: dict[str, Container]
    postgres_port: int
    emulator_port: int
    owner: str
    owner_password: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes the AWS SDKs talk to LocalStack."""
        return sdk_environment(f"http://{LOOPBACK}:{self.emulator_port}")

    def owner_url(self, database: str = WORK_DATABASE) -> str:
        """A database as its owner."""
        return self._url(database, self.owner, self.owner_password)

    def role_url(self, role: str) -> str:
        """The work database as one consumer's role."""
        return self._url(WORK_DATABASE, role, password(role))

    async def stop(self, name: str) -> None:
        """Stop a container."""
        await asyncio.to_thread(self.containers[name].stop, timeout=_STOP_S)

    async def start(self, name: str) -> None:
        """Start it again. LocalStack comes back empty and is provisioned again."""
        await asyncio.to_thread(self.containers[name].start)
        await self.ready()
        if name == "emulator":
            await self.prepare()

    async def prepare(self) -> None:
        """Databases, bus and queues, where they are missing."""
        await self._create_database()
        await prepare(self.owner_url(), self.environment)

    async def ready(self) -> None:
        """Wait until both answer. Raises TimeoutError saying who does not."""
        await _until(self._postgres_answers, "PostgreSQL")
        await _until(self._emulator_answers, "LocalStack")

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self.owner_url("postgres"))
        try:
            if not await connection.fetchval("select true from pg_database where datname = $1", WORK_DATABASE):
                await connection.execute(f'create database "{WORK_DATABASE}"')
        finally:
            await connection.close()

    async def _postgres_answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.owner_url("postgres"), timeout=_ASK_S)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True

    async def _emulator_answers(self) -> bool:
        return await asyncio.to_thread(_runs, f"{self.environment['AWS_ENDPOINT_URL']}/_localstack/health")

    def _url(self, database: str, user: str, secret: str) -> str:
        return f"postgresql://{user}:{secret}@{LOOPBACK}:{self.postgres_port}/{database}"


def _runs(health: str) -> bool:
    try:
        with urllib.request.urlopen(health, timeout=_ASK_S) as answer:
            states = json.loads(answer.read())["services"]
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
    # `available` is loaded by the first request, `running` is loaded.
    return all(states.get(name) in {"available", "running"} for name in SERVICES)


async def _until(answers: Callable[[], Awaitable[bool]], who: str) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while not await answers():  # noqa: ASYNC110 - another process changes it without an event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimeoutError(f"{who} does not answer, {_READY_S:g} s after it was started") from None
