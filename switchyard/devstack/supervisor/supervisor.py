"""Runs processes side by side: starts a group together, stops it together, and finds each by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.home import Home
from switchyard.devstack.supervisor.managed_process import ManagedProcess
from switchyard.devstack.supervisor.process import ProcessStatus, ServiceSpec


class Supervisor:
    """All managed processes of a home, in the order of their start. `changed` is called after each change of state.

    `lock` is the home's, which has to be taken before anything is started.
    """

    lock: int

    def __init__(self, home: Home, changed: Callable[[], None]) -> None:
        self._home = home
        self._changed = changed
        self.processes: dict[str, ManagedProcess] = {}

    def __getitem__(self, name: str) -> ManagedProcess:
        """One process. Raises StackError for an unknown name."""
        if name not in self.processes:
            raise StackError(f"there is no process {name!r} in this stack; there are {', '.join(self.processes)}")
        return self.processes[name]

    async def start(self, processes: Iterable[ServiceSpec]) -> None:
        """Start all of them at once and wait until all are ready. Raises StartFailed for the first that fails."""
        group = []
        for process in processes:
            if process.name in self.processes:
                raise StackError(f"two processes of this stack are called {process.name!r}; give each its own name")
            managed = ManagedProcess(process, self._home.new_log(process.name), self.lock, self._changed)
            group.append(self.processes.setdefault(process.name, managed))
        await run_concurrently(*(managed.start() for managed in group))

    async def stop(self, names: Iterable[str]) -> None:
        """Stop these at once; returns when the last has ended."""
        await asyncio.gather(*(self[name].stop() for name in names))

    def status(self) -> list[ProcessStatus]:
        """All processes as they are now."""
        return [managed.status() for managed in self.processes.values()]


async def run_concurrently(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once. The first failure cancels the rest and is raised as it is, not in an ExceptionGroup."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in work:
                group.create_task(part)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
