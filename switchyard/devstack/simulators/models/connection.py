"""Notices that a client left while the simulator waits on its behalf."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive

from switchyard.devstack.simulators.models.calls import CallOutcome


class ClientDisconnected(Exception):
    """Nobody waits for the rest of this response any more: the client left, or the simulator is being stopped."""

    def __init__(self, outcome: CallOutcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class ClientConnection:
    """The connection of one request."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._closed: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
        self._watcher: asyncio.Task[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Let time pass. Raises `ClientDisconnected` at once if the line closes."""
        if self._watcher is None:
            # Only a call that waits pays for a watcher: most calls are answered before anybody could leave.
            self._watcher = asyncio.create_task(self._watch())
        await asyncio.wait((self._closed,), timeout=seconds)
        if self._closed.done():
            raise ClientDisconnected(self._closed.result())

    def close(self, outcome: CallOutcome) -> None:
        """End every wait, now and later."""
        if not self._closed.done():
            self._closed.set_result(outcome)

    def release(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.close("aborted")


class OpenConnections:
    """All lines in use, so that stopping the simulator does not wait for a stall to end."""

    def __init__(self) -> None:
        self._lines: set[ClientConnection] = set()
        self._stopping = False

    @contextmanager
    def line(self, receive: Receive) -> Iterator[ClientConnection]:
        """The line of one request while it is answered."""
        line = ClientConnection(receive)
        if self._stopping:
            line.close("dropped")
        self._lines.add(line)
        try:
            yield line
        finally:
            line.release()
            self._lines.discard(line)

    def stop(self) -> None:
        """Close every line, and every one still to come."""
        self._stopping = True
        for line in self._lines:
            line.close("dropped")
