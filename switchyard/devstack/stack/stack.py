"""The embedded stack: PostgreSQL, the AWS emulator, the model simulator and the services, each its own OS process.

async with EmbeddedStack(home, services=[...], prepare=migrate_and_provision) as stack:
    await stack["router"].kill()  # kill -9; it is restarted
    await stack["router"].ready(restarts=1)
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from switchyard.devstack.errors import AlreadyRunning
from switchyard.devstack.stack.endpoints import EMULATOR_REGION, Endpoints, inherited_environment
from switchyard.devstack.stack.home import Home
from switchyard.devstack.stack.postgres import PostgresServer
from switchyard.devstack.supervisor.managed_process import ManagedProcess
from switchyard.devstack.supervisor.ports import LOOPBACK, PortAllocator
from switchyard.devstack.supervisor.process import ProcessSpec, ProcessStatus, ServiceSpec, http_probe, spec_for_service
from switchyard.devstack.supervisor.supervisor import Supervisor, run_concurrently

log = logging.getLogger(__name__)
_PORT_OF = re.compile(r"\{port:([a-z0-9_.-]+)\}")

INFRASTRUCTURE_NAMES = ("simulator", "emulator", "postgres")
LEFTOVER_GRACE = 20.0  # seconds to wait for a dead supervisor's watchdogs to stop their processes

ServiceSource = Sequence[ServiceSpec] | Callable[[Endpoints], Sequence[ServiceSpec]]
# Migrations and provisioning. It runs before the services start, and again when the emulator had to be restarted, so it
# must be safe to repeat. What it returns is added to every service's environment.
PrepareStack = Callable[[Endpoints], Awaitable[Mapping[str, str] | None]]


class EmbeddedStack:
    """One stack on one home folder (default: SWITCHYARD_HOME or `.switchyard`).

    `services` may be a function of the endpoints, called after `prepare`. Entering raises AlreadyRunning when the home
    is in use and StartFailed when a process does not become ready; everything is stopped then.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        services: ServiceSource = (),
        prepare: PrepareStack | None = None,
        simulator: ServiceSpec | None = None,
    ) -> None:
        self.home = Home(home)
        self._services, self._prepare, self._simulator = services, prepare, simulator
        self._lock: int | None = None
        self._started_at = time.time()
        self._log_handler: logging.Handler | None = None
        self._supervisor: Supervisor | None = None
        self._endpoints: Endpoints | None = None
        self._exports: dict[str, str] = {}
        self._ports = PortAllocator()

    async def __aenter__(self) -> Self:
        self.home.prepare()
        self._lock = await self._take_lock()
        try:
            self._open_log()
            await self._start(self._lock)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop everything in reverse order: the services first, with time to drain. Interrupted, it leaves the rest to
        the watchdogs, which stop it within seconds."""
        processes = self._supervisor.processes if self._supervisor is not None else {}
        try:
            if self._supervisor is not None:
                log.info("stack.stopping home=%s", self.home.folder)
                await self._supervisor.stop(name for name in processes if name not in INFRASTRUCTURE_NAMES)
                await self._supervisor.stop(name for name in processes if name in INFRASTRUCTURE_NAMES)
        finally:
            for process in processes.values():
                process.abandon()
            self._close_log()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def force(self) -> None:
        """SIGKILL for every process, also while `close` waits for them to drain."""
        if self._supervisor is not None:
            for process in self._supervisor.processes.values():
                process.force()

    @property
    def endpoints(self) -> Endpoints:
        """Where the parts answer."""
        if self._endpoints is None:
            raise RuntimeError("the stack has not been started")
        return self._endpoints

    @property
    def exports(self) -> dict[str, str]:
        """The variables to export to reach this stack: the endpoints and what `prepare` returned."""
        return dict(self._exports)

    def __getitem__(self, name: str) -> ManagedProcess:
        """One process, to kill, to stop, to start again or to wait for. Raises StackError for an unknown name."""
        return self._running()[name]

    def ports(self) -> dict[str, int]:
        """Every port of the stack, by the name that the plan gives it."""
        return self._ports.taken()

    def status(self) -> list[ProcessStatus]:
        """All processes as they are now."""
        return self._running().status()

    async def _start(self, lock: int) -> None:
        base, simulator = inherited_environment(), self._simulator
        self._ports = PortAllocator((self.home.read_state() or {}).get("ports", {}))
        postgres = PostgresServer(self.home, self._ports.allocate("postgres"))
        self._endpoints = Endpoints(
            postgres_port=postgres.port,
            emulator_port=self._ports.allocate("emulator"),
            simulator_port=None if simulator is None else self._ports.allocate("simulator"),
            password=postgres.password,
        )
        self._exports = self._endpoints.environment()
        self._supervisor = Supervisor(self.home, lock, self._write_state)
        emulators = [_emulator_process(self.home, self._ports.allocate("emulator"), base, self._provision_again)]
        if simulator is not None:
            emulators.append(spec_for_service(simulator, self._ports.allocate("simulator"), base))
        await run_concurrently(self._start_postgres(postgres, lock), self._supervisor.start(emulators))
        await self._run_prepare()
        services = self._services(self._endpoints) if callable(self._services) else self._services
        await self._supervisor.start([self._process(service) for service in services])
        log.info("stack.ready home=%s processes=%d", self.home.folder, len(self._supervisor.processes))

    async def _start_postgres(self, postgres: PostgresServer, lock: int) -> None:
        await postgres.prepare(lock)
        await self._running().start([postgres.process()])
        await postgres.create_databases()

    def _process(self, service: ServiceSpec) -> ProcessSpec:
        """`{port:NAME}` in a variable is the port of that process."""
        env = {
            name: _PORT_OF.sub(lambda found: str(self._ports.allocate(found[1])), value)
            for name, value in service.env.items()
        }
        base = {**inherited_environment(), **self._exports}
        return spec_for_service(replace(service, env=env), self._ports.allocate(service.name), base)

    async def _run_prepare(self) -> None:
        if self._prepare is not None:
            self._exports |= await self._prepare(self.endpoints) or {}

    async def _provision_again(self) -> None:
        log.warning("stack.emulator.restarted: messages in its queues since the last clean stop are lost")
        await self._run_prepare()

    async def _take_lock(self) -> int:
        """The home's lock; waits for the processes of a dead supervisor to be stopped by their watchdogs."""
        deadline = time.monotonic() + LEFTOVER_GRACE
        while True:
            try:
                return self.home.lock()
            except AlreadyRunning:
                if self.home.supervisor() is not None or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack has not been started")
        return self._supervisor

    def _write_state(self) -> None:
        self.home.write_state(
            {
                "supervisor": os.getpid(),
                "started_at": self._started_at,
                "ports": self._ports.taken(),
                "endpoints": asdict(self.endpoints),
                "exports": self._exports,
                "processes": [asdict(status) for status in self.status()],
            }
        )

    def _open_log(self) -> None:
        self._log_handler = logging.FileHandler(self.home.log("stack"), encoding="utf-8")
        self._log_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("switchyard.devstack")
        logger.addHandler(self._log_handler)
        logger.setLevel(logging.INFO)

    def _close_log(self) -> None:
        if self._log_handler is not None:
            logging.getLogger("switchyard.devstack").removeHandler(self._log_handler)
            self._log_handler.close()
            self._log_handler = None


def _emulator_process(
    home: Home, port: int, env: Mapping[str, str], on_restart: Callable[[], Awaitable[None]]
) -> ProcessSpec:
    """The emulator's process. It keeps its state in memory and saves it when it is stopped, so a restart after kill -9
    begins with what the last stop had saved: `on_restart` must provision it again."""
    folder = home.folder / "emulator"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    return ProcessSpec(
        name="emulator",
        argv=(sys.executable, "-m", "ministack"),
        env={
            **env,
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": LOOPBACK,  # queue URLs name it
            "MINISTACK_REGION": EMULATOR_REGION,
            "IOT_MTLS_ENABLED": "0",  # its MQTT listener would open a second port
            "DOCKER_HOST": f"unix://{folder}/no-docker",  # it removes its containers from any Docker that it finds
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "TMPDIR": str(folder / "tmp"),
        },
        probe=http_probe(port, "/_ministack/ready"),
        port=port,
        on_restart=on_restart,
    )
