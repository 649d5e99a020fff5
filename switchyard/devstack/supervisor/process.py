"""What the supervisor runs: a process, declared as data."""

from __future__ import annotations

import asyncio
import http.client
import re
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from switchyard.devstack.supervisor.ports import LOOPBACK

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_PROBE_TIMEOUT = 2.0  # seconds


class ProcessState(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"  # it runs and is not ready yet
    READY = "ready"
    RESTARTING = "restarting"  # it ended by itself; the next start waits for the back-off
    STOPPED = "stopped"  # on request
    FAILED = "failed"  # it could not be started; it is not tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A command that is ready once GET `health` answers 200 on `port`, or once `probe` says so.

    The stack allots `port`; it arrives as SWITCHYARD_HEALTH_PORT, and `{port}` in an argument is replaced by it.
    `env` is all that it gets beside where programs are. `account` is the (uid, gid) to run under, None for one's own.
    `stop_signal` asks it to end, SIGKILL follows after `grace` seconds. `on_restart` runs each time before it is ready
    again after it ended unasked. Times are in seconds.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health/ready"
    port: int = 0
    start_timeout: float = 120.0
    grace: float = 15.0
    probe: Callable[[], Awaitable[bool]] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    account: tuple[int, int] | None = None
    cwd: Path | None = None
    on_restart: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the process name {self.name!r} must be lower-case letters, digits, '.', '_' and '-'")

    def on_port(self, port: int, base: Mapping[str, str]) -> Self:
        """The same on an allotted port, with a base environment below its own."""
        argv = tuple(argument.replace("{port}", str(port)) for argument in self.argv)
        return replace(self, port=port, argv=argv, env={**base, **self.env, "SWITCHYARD_HEALTH_PORT": str(port)})

    async def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        return await (self.probe() if self.probe is not None else asyncio.to_thread(self._answers))

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_PROBE_TIMEOUT)
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process as it is now. `since` is Unix time in seconds: when it entered this state."""

    name: str
    pid: int | None
    state: ProcessState
    restarts: int
    port: int
    since: float

    def uptime(self, now: float) -> float | None:
        """Seconds it has been ready at the Unix time `now`; None unless it is ready."""
        return max(0.0, now - self.since) if self.state is ProcessState.READY else None

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> ProcessStatus:
        """The status in a row of the state file."""
        return cls(**row | {"state": ProcessState(row["state"])})
