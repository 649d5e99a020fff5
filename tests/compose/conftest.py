"""The running docker compose stack, from outside: its containers, its published ports, its log.

`make compose-test` starts it in a project of its own; COMPOSE_PROJECT_NAME is that project.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import Container

from switchyard.devstack.stack.compose import compose_exports
from tests.deployed import Deployed
from tests.integration.infrastructure.compose import SERVICE, containers_of, project
from tests.integration.infrastructure.in_docker import engine

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "How many wells are there in each basin?"
"""A question of the simulator's script."""

HEALTHY_S = 120.0


class ComposeStack(Deployed):
    """The stack, and the handles to its containers."""

    def __init__(self, client: DockerClient) -> None:
        super().__init__(compose_exports())
        self._client = client

    def containers(self, service: str | None = None) -> list[Container]:
        """The containers of one service or of all, including stopped ones."""
        found = containers_of(self._client, project())
        return [each for each in found if service in {None, each.labels[SERVICE]}]

    def container(self, service: str) -> Container:
        """The only one of a service."""
        [only] = self.containers(service)
        return only

    async def kill_and_replace(self, service: str) -> None:
        """Kill the only container of a service and start it again: Docker does not restart a container after
        `docker kill`."""
        container = self.container(service)
        await asyncio.to_thread(container.kill)
        await asyncio.to_thread(container.start)

    async def healthy(self, service: str) -> None:
        """Wait until every container of a service is healthy."""

        async def all_healthy() -> bool | None:
            states = [each.attrs["State"]["Health"]["Status"] for each in self.containers(service)]
            return True if set(states) == {"healthy"} else None

        await self.until(all_healthy, seconds=HEALTHY_S, what=f"{service} healthy")

    def scale(self, service: str, replicas: int) -> None:
        """`docker compose up --scale`; returns when all are healthy."""
        up = ["docker", "compose", "up", "--wait", "--no-deps", "--no-recreate"]
        subprocess.run(
            [*up, "--scale", f"{service}={replicas}", service],
            cwd=ROOT, check=True, capture_output=True, timeout=HEALTHY_S,
        )  # fmt: skip

    def lines(self, container: Container) -> list[dict[str, Any]]:
        """The log lines of a container."""
        logged = container.logs().decode().splitlines()
        return [json.loads(line) for line in logged if line.startswith("{")]


@pytest.fixture(scope="session")
def stack() -> Iterator[ComposeStack]:
    """The running stack; if it is missing, the error says how to start it."""
    with closing(engine()) as client:
        yield ComposeStack(client)
