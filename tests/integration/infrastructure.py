"""PostgreSQL and the AWS emulator for a whole test session, migrated and provisioned, without a service."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import asyncpg

from cli.databases import migrate_work
from local.endpoints import Endpoints
from local.home import temporary_home
from local.postgres import WORK
from local.provision import provision
from local.stack import EmbeddedStack

T = TypeVar("T")
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection to the work database as its owner."""

QUEUE_VISIBILITY_S = 2.0
START_TIMEOUT_S = 90.0


def password(role: str) -> str:
    """The password of a database role; known, so that a test can log in as anyone."""
    return f"{role}-password"


async def prepare(endpoints: Endpoints) -> Mapping[str, str]:
    """The work database's schemas and roles; bus, queues, rules and bucket."""
    await migrate_work(endpoints.dsn(WORK), password_for=password)
    await provision(endpoints.environment(), visibility_s=QUEUE_VISIBILITY_S)
    return {}


class Infrastructure:
    """What runs, and the handles to stop and start its parts. The stack lives in a thread of its own, because the
    tests' event loops come and go."""

    def __init__(self, stack: EmbeddedStack, loop: asyncio.AbstractEventLoop) -> None:
        self._stack = stack
        self._loop = loop

    @property
    def environment(self) -> dict[str, str]:
        """What makes the AWS SDKs talk to the emulator."""
        return self._stack.endpoints.environment()

    def owner_url(self, database: str = WORK) -> str:
        """A database as its owner, who may do everything."""
        return self._stack.endpoints.dsn(database)

    def role_url(self, role: str) -> str:
        """The work database as one consumer's role."""
        return self._stack.endpoints.dsn(WORK, role, password(role))

    async def stop(self, name: str) -> None:
        """Stop `postgres` or `emulator`; every test that does must start it again."""
        await self._run(self._stack.stop(name))

    async def start(self, name: str) -> None:
        """Start it again on the same port and data; returns when it is ready."""
        await self._run(self._stack.start(name))

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


@contextmanager
def running_infrastructure() -> Iterator[Infrastructure]:
    """Start everything in a temporary home and stop it at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="infrastructure", daemon=True)
    thread.start()

    def wait_for(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(START_TIMEOUT_S)

    with temporary_home() as home:
        stack = EmbeddedStack(home, prepare=prepare, simulator=None)
        try:
            wait_for(stack.__aenter__())
            yield Infrastructure(stack, loop)
        finally:
            wait_for(stack.close())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
