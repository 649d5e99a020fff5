"""Runs processes side by side: starts a group together, stops it together, and answers for each by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from local.errors import StackError
from local.home import Home
from local.keeper import Keeper
from local.pids import ProcessId
from local.process import Process, State


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process as it is now. `since` is Unix time in seconds: when it entered this state."""

    name: str
    pid: int | None
    state: State
    restarts: int
    port: int
    since: float

    def uptime(self, now: float) -> float | None:
        """Seconds it has been ready at the Unix time `now`; None unless it is ready."""
        return max(0.0, now - self.since) if self.state is State.READY else None

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> ProcessStatus:
        """Read a row of the state file."""
        return cls(row["name"], row["pid"], State(row["state"]), row["restarts"], row["port"], row["since"])


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
        starts = [asyncio.create_task(keeper.start()) for keeper in group]
        if not starts:
            return
        try:
            await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for start in starts:
                start.cancel()
            outcomes = await asyncio.gather(*starts, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise failures[0]

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
        return [
            ProcessStatus(name, keeper.pid, keeper.state, keeper.restarts, keeper.process.port, keeper.since)
            for name, keeper in self._keepers.items()
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """The rows of the state file: the status, and each pid's start time (pids are reused)."""
        return [
            {
                "name": row.name, "pid": row.pid, "state": row.state, "restarts": row.restarts, "port": row.port,
                "since": row.since, "pid_started": _started(row.pid),
            }
            for row in self.status()
        ]  # fmt: skip

    def _add(self, process: Process) -> Keeper:
        if process.name in self._keepers:
            raise StackError(f"two processes of this stack are called {process.name!r}; give each its own name")
        keeper = Keeper(process, self._home.new_log(process.name), self._lock, self._changed)
        self._keepers[process.name] = keeper
        return keeper


def _started(pid: int | None) -> str | None:
    identity = None if pid is None else ProcessId.of(pid)
    return None if identity is None else identity.started
