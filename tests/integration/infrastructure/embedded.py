"""The infrastructure without Docker: the embedded PostgreSQL and ministack, as processes of this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.devstack.stack.stack import EmbeddedStack
from tests.integration.infrastructure import password, prepare

T = TypeVar("T")

START_TIMEOUT_S = 90.0


class Embedded:
    """The stack lives in a thread of its own, because the tests' event loops come and go."""

    def __init__(self, stack: EmbeddedStack, loop: asyncio.AbstractEventLoop) -> None:
        self._stack = stack
        self._loop = loop

    @property
    def environment(self) -> dict[str, str]:
        """What makes the AWS SDKs talk to the emulator."""
        return self._stack.endpoints.environment()

    def owner_url(self, database: str = WORK_DATABASE) -> str:
        """A database as its owner."""
        return self._stack.endpoints.dsn(database)

    def role_url(self, role: str) -> str:
        """The work database as one consumer's role."""
        return self._stack.endpoints.dsn(WORK_DATABASE, role, password(role))

    async def stop(self, name: str) -> None:
        """Stop a process."""
        await self._run(self._stack[name].stop())

    async def start(self, name: str) -> None:
        """Start it again."""
        await self._run(self._stack[name].start())

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


@contextmanager
def embedded() -> Iterator[Embedded]:
    """Start everything in a temporary home and stop it at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="infrastructure", daemon=True)
    thread.start()

    def wait_for(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(START_TIMEOUT_S)

    with temporary_home() as home:
        stack = EmbeddedStack(home, prepare=_prepare)
        try:
            wait_for(stack.__aenter__())
            yield Embedded(stack, loop)
        finally:
            wait_for(stack.close())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _prepare(endpoints: Endpoints) -> Mapping[str, str]:
    await prepare(endpoints.dsn(WORK_DATABASE), endpoints.environment())
    return {}
