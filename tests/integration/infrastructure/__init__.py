"""PostgreSQL and the AWS emulator for a whole test session, migrated and provisioned, without a service.

Where they run is one choice (tests/where.py), and each place has a module here behind the same small interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import asyncpg

from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.devstack.stack.provision import provision_emulator
from switchyard.processes.databases import migrate_work
from tests.where import Where

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection to the work database as its owner."""

QUEUE_VISIBILITY_S = 2.0


class Infrastructure(Protocol):
    """What runs, and the handles to stop and start its parts."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes the AWS SDKs talk to the emulator."""

    def owner_url(self, database: str = WORK_DATABASE) -> str:
        """A database as its owner, who may do everything."""

    def role_url(self, role: str) -> str:
        """The work database as one consumer's role."""

    async def stop(self, name: str) -> None:
        """Stop `postgres` or `emulator`; every test that does must start it again."""

    async def start(self, name: str) -> None:
        """Start it again on the same port and, for PostgreSQL, the same data; returns when it is ready."""


@contextmanager
def running_infrastructure(where: Where) -> Iterator[Infrastructure]:
    """Start it, or find it, and make it ready for tests; what was started is stopped at the end."""
    running: Infrastructure
    match where:
        case Where.EMBEDDED:
            from tests.integration.infrastructure.embedded import embedded

            with embedded() as running:
                yield running
        case Where.CONTAINERS:
            from tests.integration.infrastructure.containers import started_containers

            with started_containers() as running:
                yield running
        case Where.COMPOSE:
            from tests.integration.infrastructure.compose import compose_project

            with compose_project() as running:
                yield running


def password(role: str) -> str:
    """The password of a database role; known, so that a test can log in as anyone."""
    return f"{role}-password"


async def prepare(work_url: str, environment: Mapping[str, str]) -> None:
    """The work database's schemas and roles; bus, queues, rules and buckets. May be repeated."""
    await migrate_work(work_url, password_for=password)
    await provision_emulator(environment, visibility_s=QUEUE_VISIBILITY_S)
