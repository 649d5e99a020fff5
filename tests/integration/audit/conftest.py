"""A real PostgreSQL for the session, and for each test a database of its own with the audit schema in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from local.child import guard_command
from local.home import Home, temporary_home
from local.ports import LOOPBACK, Ports
from local.postgres import OWNER, Postgres
from runtime.database import Pool, connect_pool
from runtime.migrate import ensure_role, migrate
from services.audit.owner import READER, SCHEMA, WRITER, audit_owner, grant
from services.audit.reader import AuditReader
from services.audit.store import AuditStore

TEMPLATE = "audit_template"
PASSWORD = "only-for-tests"


class Server:
    """The embedded PostgreSQL under its guard. It can be stopped and started again on the same data and port."""

    def __init__(self, folder: Path) -> None:
        self._home = Home(folder)
        self._home.prepare()
        self._lock = self._home.lock()
        self._postgres = Postgres(self._home, Ports().take("postgres"))
        self._guard: subprocess.Popen[bytes] | None = None
        asyncio.run(self._postgres.prepare(self._lock))

    def url(self, database: str, user: str = OWNER) -> str:
        password = self._postgres.password if user == OWNER else PASSWORD
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self._postgres.port}/{database}"

    def start(self) -> None:
        process = self._postgres.process()
        with self._home.new_log("postgres").open("ab") as log:
            self._guard = subprocess.Popen(
                guard_command(process, self._lock),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(process.env),
                pass_fds=(self._lock,),
                start_new_session=True,
            )
        asyncio.run(self._until_ready(process.probe))

    def stop(self) -> None:
        if self._guard is not None:
            self._guard.communicate(b"t")
            self._guard = None

    def close(self) -> None:
        self.stop()
        os.close(self._lock)

    async def _until_ready(self, probe: Any) -> None:
        async with asyncio.timeout(30):
            while not await probe():  # noqa: ASYNC110 - another process cannot set an event of ours
                await asyncio.sleep(0.05)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(url, server_settings={"search_path": SCHEMA})
    try:
        yield connection
    finally:
        await connection.close()


async def _make_template(server: Server) -> None:
    async with connected(server.url("postgres")) as admin:
        await admin.execute(f"create database {TEMPLATE}")
        for role in (WRITER, READER):
            await ensure_role(admin, role, password=PASSWORD)
    async with connected(server.url(TEMPLATE)) as owner:
        await migrate(owner, [audit_owner()])
        await grant(owner)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with temporary_home() as folder:
        started = Server(folder)
        try:
            started.start()
            asyncio.run(_make_template(started))
            yield started
        finally:
            started.close()


@pytest.fixture
async def database(server: Server) -> AsyncIterator[str]:
    """The name of a database with the audit schema, dropped afterwards."""
    name = f"audit_{os.urandom(6).hex()}"
    async with connected(server.url("postgres")) as admin:
        await admin.execute(f"create database {name} template {TEMPLATE}")
    yield name
    async with connected(server.url("postgres")) as admin:
        await admin.execute(f"drop database {name} with (force)")


@pytest.fixture
async def owner(server: Server, database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The database's owner: the one who may do everything, and whom verification is for."""
    async with connected(server.url(database)) as connection:
        yield connection


@pytest.fixture
async def writer(server: Server, database: str) -> AsyncIterator[Pool]:
    """The service's own pool."""
    pool = await connect_pool(server.url(database, WRITER), schema=SCHEMA)
    yield pool
    await pool.close()


@pytest.fixture
async def store(writer: Pool) -> AuditStore:
    return AuditStore(writer)


@pytest.fixture
async def reader(server: Server, database: str) -> AsyncIterator[AuditReader]:
    """What the command line uses, under the reviewer's role."""
    pool = await connect_pool(server.url(database, READER), schema=SCHEMA)
    yield AuditReader(pool)
    await pool.close()
