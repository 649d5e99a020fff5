"""Runs processes side by side: starts a group together, stops it together, and answers for each by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict
from typing import Any

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.home import Home
from switchyard.devstack.supervisor.managed_process import ManagedProcess
from switchyard.devstack.supervisor.process import ProcessSpec, ProcessStatus


class Supervisor:
    """The keepers of all processes. `changed` is called after each change of any process's state."""

    def __init__(self, home: Home, lock: int, changed: Callable[[], None]) -> None:
        self._home = home
        self._lock = lock
        self._changed = changed
        self._managed: dict[str, ManagedProcess] = {}

    async def start(self, processes: Iterable[ProcessSpec]) -> None:
        """Start all of them at once and wait until all are ready. Raises StartFailed for the first that fails."""
        group = [self._add(process) for process in processes]
        await run_concurrently(*(managed.start() for managed in group))

    async def stop(self, names: Iterable[str]) -> None:
        """Stop these at once; returns when the last has ended."""
        await asyncio.gather(*(self[name].stop() for name in names))

    def force(self) -> None:
        """SIGKILL for every process."""
        for managed in self._managed.values():
            managed.force()

    def abandon(self) -> None:
        """Leave what still runs to the guards, which stop it within seconds."""
        for managed in self._managed.values():
            managed.abandon()

    def names(self) -> list[str]:
        """The names of all processes, in the order in which they were started."""
        return list(self._managed)

    def __getitem__(self, name: str) -> ManagedProcess:
        """The keeper of one process. Raises StackError for a name that is not there."""
        if name not in self._managed:
            raise StackError(f"there is no process {name!r} in this stack; there are {', '.join(self._managed)}")
        return self._managed[name]

    def status(self) -> list[ProcessStatus]:
        """All processes as they are now."""
        return [managed.status() for managed in self._managed.values()]

    def to_json(self) -> list[dict[str, Any]]:
        """The rows of the state file; with each pid's start time, because pids are reused."""
        return [{**asdict(managed.status()), "pid_started": managed.pid_started} for managed in self._managed.values()]

    def _add(self, process: ProcessSpec) -> ManagedProcess:
        if process.name in self._managed:
            raise StackError(f"two processes of this stack are called {process.name!r}; give each its own name")
        managed = ManagedProcess(process, self._home.new_log(process.name), self._lock, self._changed)
        self._managed[process.name] = managed
        return managed


async def run_concurrently(*work: Coroutine[Any, Any, None]) -> None:
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
