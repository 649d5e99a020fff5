"""The local stack as faults want it: a clock per process, proxies before the database and AWS, a small disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bench.chaos.plan import Kind
from bench.chaos.proxy import Proxy
from bench.chaos.small_disk import MountRefused, SmallDisk
from demo.clock import start_clock
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.local_stack import (
    CLOCK_VARIABLE,
    list_services,
    model_simulator_service,
    prepare_infrastructure,
)
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec

CLOCK_OF_PROCESS = "SWITCHYARD_CLOCK_FILE"
OTHERS = ("simulator", "ses_simulator", "warehouse", "work_orders", "identity_provider", "token_exchange")
"""Not among the services that are harmed: they stand for what others run. Nor is the emulator killed: it keeps queues,
and the mail provider its outbox, in memory, so that AWS would lose what it does not lose."""


class ChaosStack:
    """A stack on a home folder; `open` it before anything else is asked."""

    def __init__(self, home: Path, kinds: list[Kind]) -> None:
        self._kinds = kinds
        self._clocks = home / "clocks"
        self._clocks.mkdir(parents=True, exist_ok=True)
        os.environ[CLOCK_VARIABLE] = str(self._clock_file("base"))
        self.services: list[str] = []
        """What is killed, cut off and lied to: every process of ours."""
        self.ways: dict[tuple[str, str], Proxy] = {}
        """From a process to `database` or `aws`; none unless networks are to fail."""
        self.disk: SmallDisk | None = None
        self.without_disk = "not asked for"
        """Why there is no small disk."""
        self.stack = EmbeddedStack(
            home, services=self._list_services, prepare=self._prepare, simulator=model_simulator_service()
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[EmbeddedStack]:
        """Start it; at the end stop it and give back what it has mounted. Raises StackError."""
        try:
            async with self.stack as stack:
                yield stack
        finally:
            for proxy in self.ways.values():
                proxy.stop()
            if self.disk is not None:
                self.disk.take_away()

    def clock(self, process: str) -> Path:
        """The file that shifts the clock of one process."""
        return self._clocks / process

    def harm(self) -> dict[str, int]:
        """What met a fault: connections and requests by the proxy's mode, and statements by a full disk."""
        met = sum((proxy.harmed for proxy in self.ways.values()), Counter())
        lines = self.stack.home.log("postgres").read_text(encoding="utf-8", errors="replace").splitlines()
        met["statements without disk"] = sum("No space left on device" in line for line in lines)
        return dict(sorted(met.items()))

    def _clock_file(self, process: str) -> Path:
        start_clock(self.clock(process))
        return self.clock(process)

    async def _prepare(self, endpoints: Endpoints) -> Mapping[str, str]:
        if "disk" in self._kinds and self.disk is None:
            await self._put_small_disk()
        exports = await prepare_infrastructure(endpoints)
        if not self.ways and {"network", "aws"} & set(self._kinds):
            for service in list_services(endpoints):
                if service.name not in OTHERS:
                    for server, port in self._servers(endpoints).items():
                        proxy = self.ways[service.name, server] = Proxy(port)
                        await proxy.start()
        return exports

    async def _put_small_disk(self) -> None:
        postgres = self.stack["postgres"]
        if postgres.process.cwd is None:
            raise RuntimeError("PostgreSQL runs in no folder of its own")
        await postgres.stop()
        disk = SmallDisk(postgres.process.cwd)
        try:
            disk.put()
        except MountRefused as error:
            self.without_disk = str(error)
        else:
            self.disk = disk
        await postgres.start()

    @staticmethod
    def _servers(endpoints: Endpoints) -> dict[str, int]:
        return {"database": endpoints.postgres_port, "aws": endpoints.emulator_port}

    def _list_services(self, endpoints: Endpoints) -> list[ServiceSpec]:
        return [self._exposed(service, endpoints) for service in list_services(endpoints)]

    def _exposed(self, service: ServiceSpec, endpoints: Endpoints) -> ServiceSpec:
        if service.name in OTHERS:
            return service
        self.services.append(service.name)
        env = dict(service.env)
        if CLOCK_OF_PROCESS in env:
            env[CLOCK_OF_PROCESS] = str(self._clock_file(service.name))
        for server, port in self._servers(endpoints).items():
            if (proxy := self.ways.get((service.name, server))) is not None:
                near, far = f"{LOOPBACK}:{proxy.port}", f"{LOOPBACK}:{port}"
                env = {name: value.replace(far, near) for name, value in env.items()}
        return replace(service, env=env)
