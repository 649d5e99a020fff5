"""The infrastructure of a docker compose project that is up, found through its published ports.

Only LocalStack, PostgreSQL and the simulators may run: a service would take the tests' messages. The workers of
pytest-xdist share nothing, so each has a project of its own, whose name ends in the worker's: `switchyard-gw0`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from docker import DockerClient
from docker.models.containers import Container

from tests.integration.infrastructure.in_docker import InDocker, engine

NAME = "switchyard"
"""The project's, unless COMPOSE_PROJECT_NAME says otherwise; docker-compose.yml sets it."""

SERVICE = "com.docker.compose.service"
NEEDED = {"postgres": 5432, "localstack": 4566}
"""The compose services and the ports that they publish."""

HARMLESS = {*NEEDED, "simulator", "ses-simulator", "warehouse"}
UP = "docker compose up --wait localstack postgres"


class NotUp(RuntimeError):
    """The compose project does not run what the tests need, or runs what would disturb them."""


@contextmanager
def compose_project() -> Iterator[InDocker]:
    """The project of this worker. Raises DockerMissing and NotUp."""
    with closing(engine()) as client:
        running = {each.labels[SERVICE]: each for each in containers_of(client, project()) if each.status == "running"}
        check(set(running))
        postgres, emulator = (running[name] for name in NEEDED)
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


def project(environ: Mapping[str, str] = os.environ) -> str:
    """The name of this worker's project."""
    name = environ.get("COMPOSE_PROJECT_NAME") or NAME
    worker = environ.get("PYTEST_XDIST_WORKER")
    return f"{name}-{worker}" if worker else name


def containers_of(client: DockerClient, name: str) -> list[Container]:
    """Every container of a project, stopped ones included."""
    found: list[Container] = client.containers.list(all=True, filters={"label": f"com.docker.compose.project={name}"})
    return found


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
