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
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from switchyard.devstack.errors import AlreadyRunning
from switchyard.devstack.stack.endpoints import EMULATOR_REGION, Endpoints, inherited_environment
from switchyard.devstack.stack.home import Home
from switchyard.devstack.stack.postgres import PostgresServer
from switchyard.devstack.supervisor.managed_process import ManagedProcess
from switchyard.devstack.supervisor.ports import LOOPBACK, PortAllocator
from switchyard.devstack.supervisor.process import ProcessStatus, ServiceSpec
from switchyard.devstack.supervisor.supervisor import Supervisor, run_concurrently

log = logging.getLogger(__name__)
_PORT_OF = re.compile(r"\{port:([a-z0-9_.-]+)\}")

INFRASTRUCTURE_NAMES = ("simulator", "emulator", "postgres")
LEFTOVER_GRACE = 20.0  # seconds to wait for a dead supervisor's watchdogs to stop their processes

ServiceSource = Sequence[ServiceSpec] | Callable[[Endpoints], Sequence[ServiceSpec]]
# Migrations and provisioning. It runs before the services start, and again when the emulator had to be restarted, so it
# must be safe to repeat. What it returns is exported, for people and not for services.
PrepareStack = Callable[[Endpoints], Awaitable[Mapping[str, str] | None]]


class EmbeddedStack:
    """One stack on one home folder (default: SWITCHYARD_HOME or `.switchyard`).

    `services` may be a function of the endpoints, called after `prepare`. Entering raises AlreadyRunning when the home
    is in use and StartFailed when a process does not become ready; everything is stopped then.
    """

    endpoints: Endpoints
    """Where the parts answer, once it is started."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        services: ServiceSource = (),
        prepare: PrepareStack | None = None,
        simulator: ServiceSpec | None = None,
        describe: Callable[[Endpoints], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self.home = Home(home)
        self.exports: dict[str, str] = {}
        """What people export to reach this stack: the endpoints and what `prepare` returned. No service has them."""
        self._services, self._prepare, self._simulator = services, prepare, simulator
        self._describe = describe
        self.in_use: Mapping[str, str] = {}
        """Which models and data it runs on, in words, as shown at the start and by `stack status`."""
        self._started_at = time.time()
        self._supervisor = Supervisor(self.home, self._write_state)
        self._ports = PortAllocator()
        self._on_close = ExitStack()

    async def __aenter__(self) -> Self:
        self.home.prepare()
        self._supervisor.lock = lock = await self._take_lock()
        self._on_close.callback(os.close, lock)
        try:
            self._on_close.enter_context(_log_to(self.home.log("stack")))
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop everything in reverse order: the services first, with time to drain. Interrupted, it leaves the rest to
        the watchdogs, which stop it within seconds."""
        processes = self._supervisor.processes
        try:
            log.info("stack.stopping home=%s", self.home.folder)
            await self._supervisor.stop(name for name in processes if name not in INFRASTRUCTURE_NAMES)
            await self._supervisor.stop(name for name in processes if name in INFRASTRUCTURE_NAMES)
        finally:
            for process in processes.values():
                process.abandon()
            self._on_close.close()

    def force(self) -> None:
        """SIGKILL for every process, also while `close` waits for them to drain."""
        for process in self._supervisor.processes.values():
            process.force()

    def __getitem__(self, name: str) -> ManagedProcess:
        """One process, to kill, to stop, to start again or to wait for. Raises StackError for an unknown name."""
        return self._supervisor[name]

    def ports(self) -> dict[str, int]:
        """Every port of the stack, by the name that the plan gives it."""
        return self._ports.taken()

    def status(self) -> list[ProcessStatus]:
        """All processes as they are now."""
        return self._supervisor.status()

    async def _start(self) -> None:
        simulator = self._simulator
        self._ports = PortAllocator((self.home.read_state() or {}).get("ports", {}))
        postgres = PostgresServer(self.home, self._ports.allocate("postgres"))
        self.endpoints = Endpoints(
            postgres_port=postgres.port,
            emulator_port=self._ports.allocate("emulator"),
            simulator_port=None if simulator is None else self._ports.allocate("simulator"),
            password=postgres.password,
            home=str(self.home.folder),
        )
        self.exports |= self.endpoints.environment()
        emulators = [self._process(_emulator(self.home, self.endpoints.emulator_port, self._provision_again))]
        if simulator is not None:
            emulators.append(self._process(simulator))
        await run_concurrently(self._start_postgres(postgres), self._supervisor.start(emulators))
        await self._run_prepare()
        self.in_use = self._describe(self.endpoints)
        services = self._services(self.endpoints) if callable(self._services) else self._services
        await self._supervisor.start([self._process(service) for service in services])
        log.info("stack.ready home=%s processes=%d", self.home.folder, len(self._supervisor.processes))

    async def _start_postgres(self, postgres: PostgresServer) -> None:
        await postgres.prepare(self._supervisor.lock)
        await self._supervisor.start([postgres.process()])
        await postgres.create_databases()

    def _process(self, service: ServiceSpec) -> ServiceSpec:
        """`{port:NAME}` in a variable or an argument is the port of that process."""
        env = {name: self._filled(value) for name, value in service.env.items()}
        argv = tuple(map(self._filled, service.argv))
        return replace(service, argv=argv, env=env).on_port(self._ports.allocate(service.name), inherited_environment())

    def _filled(self, text: str) -> str:
        return _PORT_OF.sub(lambda found: str(self._ports.allocate(found[1])), text)

    async def _run_prepare(self) -> None:
        if self._prepare is not None:
            exports = await self._prepare(self.endpoints) or {}
            self.exports |= {name: self._filled(value) for name, value in exports.items()}

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

    def _write_state(self) -> None:
        self.home.write_state(
            {
                "supervisor": os.getpid(),
                "started_at": self._started_at,
                "ports": self._ports.taken(),
                "endpoints": asdict(self.endpoints),
                "exports": self.exports,
                "in_use": dict(self.in_use),
                "processes": [asdict(status) for status in self.status()],
            }
        )


@contextmanager
def _log_to(file: Path) -> Iterator[None]:
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("switchyard.devstack")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _emulator(home: Home, port: int, on_restart: Callable[[], Awaitable[None]]) -> ServiceSpec:
    """The emulator's process. It keeps its state in memory and saves it when it is stopped, so a restart after kill -9
    begins with what the last stop had saved: `on_restart` must provision it again."""
    folder = home.folder / "emulator"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    return ServiceSpec(
        name="emulator",
        argv=(sys.executable, "-m", "ministack"),
        env={
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
        health="/_ministack/ready",
        on_restart=on_restart,
    )
