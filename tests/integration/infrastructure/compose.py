"""The infrastructure of the docker compose project that is up, found through its published ports.

Only LocalStack, PostgreSQL and the simulators may run: a service would take the tests' messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from docker.models.containers import Container
from testcontainers.compose import DockerCompose

from tests.integration.infrastructure.in_docker import InDocker, engine

ROOT = Path(__file__).resolve().parents[3]
NEEDED = {"postgres": 5432, "localstack": 4566}
"""The compose services and the ports that they publish."""

HARMLESS = {*NEEDED, "simulator", "mailbox", "warehouse"}
UP = "docker compose up --wait localstack postgres"


class NotUp(RuntimeError):
    """The compose project does not run what the tests need, or runs what would disturb them."""


@contextmanager
def compose_project() -> Iterator[InDocker]:
    """The project that `docker compose` finds from the repository's root. Raises DockerMissing and NotUp."""
    with closing(engine()) as client:
        running = {str(each.Service): str(each.ID) for each in DockerCompose(ROOT).get_containers()}
        check(set(running))
        postgres, emulator = (client.containers.get(running[name]) for name in NEEDED)
        settings = dict(line.partition("=")[::2] for line in postgres.attrs["Config"]["Env"])
        infrastructure = InDocker(
            containers={"postgres": postgres, "emulator": emulator},
            postgres_port=_published(postgres, NEEDED["postgres"]),
            emulator_port=_published(emulator, NEEDED["localstack"]),
            owner=settings.get("POSTGRES_USER", "postgres"),
            owner_password=settings["POSTGRES_PASSWORD"],
        )
        asyncio.run(infrastructure.prepare())
        yield infrastructure


def check(running: set[str]) -> None:
    """Raise NotUp unless exactly what is needed and harmless runs."""
    if missing := sorted(NEEDED.keys() - running):
        raise NotUp(f"the compose project runs no {' and no '.join(missing)}. Remedy: {UP}")
    if others := sorted(running - HARMLESS):
        raise NotUp(
            f"{', '.join(others)} would take the tests' messages. Remedy: docker compose stop {' '.join(others)}"
        )


def _published(container: Container, port: int) -> int:
    found: list[dict[str, Any]] = container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp") or []
    if not found:
        raise NotUp(f"{container.name} publishes no port {port}. Remedy: {UP}")
    return int(found[0]["HostPort"])
