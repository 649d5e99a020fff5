"""Runs processes side by side: starts a group together, stops it together, and answers for each by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict
from typing import Any

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.home import Home
from switchyard.devstack.supervisor.managed_process import Keeper
from switchyard.devstack.supervisor.process import Process, ProcessStatus


class Supervisor:
    """The keepers of all processes. `changed` is called after each change of any process's state."""

    def __init__(self, home: Home, lock: int, changed: Callable[[], None]) -> None:
        self._home = home
        self._lock = lock
        self._changed = changed
        self._keepers: dict[str, Keeper] = {}

    async def start(self, processes: Iterable[Process]) -> None:
        """Start all of them at once and wait until all are ready. Raises StartFailed for the first that fails."""
        group = [self._add(process) for process in processes]
        await together(*(keeper.start() for keeper in group))

    async def stop(self, names: Iterable[str]) -> None:
        """Stop these at once; returns when the last has ended."""
        await asyncio.gather(*(self[name].stop() for name in names))

    def force(self) -> None:
        """SIGKILL for every process."""
        for keeper in self._keepers.values():
            keeper.force()

    def abandon(self) -> None:
        """Leave what still runs to the guards, which stop it within seconds."""
        for keeper in self._keepers.values():
            keeper.abandon()

    def names(self) -> list[str]:
        """The names of all processes, in the order in which they were started."""
        return list(self._keepers)

    def __getitem__(self, name: str) -> Keeper:
        """The keeper of one process. Raises StackError for a name that is not there."""
        if name not in self._keepers:
            raise StackError(f"there is no process {name!r} in this stack; there are {', '.join(self._keepers)}")
        return self._keepers[name]

    def status(self) -> list[ProcessStatus]:
        """All processes as they are now."""
        return [keeper.status() for keeper in self._keepers.values()]

    def to_json(self) -> list[dict[str, Any]]:
        """The rows of the state file; with each pid's start time, because pids are reused."""
        return [{**asdict(keeper.status()), "pid_started": keeper.pid_started} for keeper in self._keepers.values()]

    def _add(self, process: Process) -> Keeper:
        if process.name in self._keepers:
            raise StackError(f"two processes of this stack are called {process.name!r}; give each its own name")
        keeper = Keeper(process, self._home.new_log(process.name), self._lock, self._changed)
        self._keepers[process.name] = keeper
        return keeper


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once. The first failure cancels the rest and is raised as it is, not in an ExceptionGroup."""
    tasks = [asyncio.create_task(part) for part in work]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
