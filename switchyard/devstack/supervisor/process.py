"""What the supervisor runs: a process, declared as data."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from switchyard.devstack.supervisor.ports import LOOPBACK

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_PROBE_TIMEOUT = 2.0  # seconds

ReadinessProbe = Callable[[], Awaitable[bool]]


class ProcessState(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"  # it runs and is not ready yet
    READY = "ready"
    RESTARTING = "restarting"  # it ended by itself; the next start waits for the back-off
    STOPPED = "stopped"  # on request
    FAILED = "failed"  # it could not be started; it is not tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A service: a command that answers GET `health` with 200 on a port of its own when it is ready.

    The port arrives as SWITCHYARD_HEALTH_PORT; `{port}` in an argument is replaced by it. `env` is all that it gets
    beside where programs are. Times are in seconds.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health/ready"
    start_timeout: float = 120.0
    grace: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A command with everything it takes to run it. `env` is its whole environment.

    `account` is the (uid, gid) to run under, None for one's own. `stop_signal` asks it to end, SIGKILL follows after
    `grace` seconds. `on_restart` runs each time it is ready again after it ended unasked.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    probe: ReadinessProbe
    port: int
    start_timeout: float = 120.0
    grace: float = 15.0
    stop_signal: signal.Signals = signal.SIGTERM
    account: tuple[int, int] | None = None
    cwd: Path | None = None
    on_restart: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the process name {self.name!r} must be lower-case letters, digits, '.', '_' and '-'")


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


def spec_for_service(service: ServiceSpec, port: int, env: Mapping[str, str]) -> ProcessSpec:
    """The process for a service, on the port allotted to it."""
    return ProcessSpec(
        name=service.name,
        argv=tuple(argument.replace("{port}", str(port)) for argument in service.argv),
        env={**env, **service.env, "SWITCHYARD_HEALTH_PORT": str(port)},
        probe=http_probe(port, service.health),
        port=port,
        start_timeout=service.start_timeout,
        grace=service.grace,
    )


def http_probe(port: int, path: str) -> ReadinessProbe:
    """A probe that is true once GET `path` on the loopback port answers 200."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                reader, writer = await asyncio.open_connection(LOOPBACK, port)
                try:
                    writer.write(
                        f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode()
                    )
                    return (await reader.readline()).split(b" ")[1:2] == [b"200"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    return probe
