"""For each test an audit database of its own, migrated as `switchyard migrate` does it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeAlias

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import READER, SCHEMA, WRITER
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from switchyard.processes.databases import migrate_audit
from switchyard.runtime.database.connections import Pool, connect_pool
from switchyard.runtime.storage.locked_objects import LockedObjects
from tests.integration.audit.proof import Proof, mac_keys
from tests.integration.cloud import Cloud
from tests.integration.infrastructure import Infrastructure, password

Owner: TypeAlias = "asyncpg.Connection[Any]"
UrlFor = Callable[[str], str]
Counts = Callable[[], Awaitable[SimpleNamespace]]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Owner]:
    connection = await asyncpg.connect(url, server_settings={"search_path": SCHEMA})
    try:
        yield connection
    finally:
        await connection.close()


async def _make_template(infrastructure: Infrastructure, name: str) -> None:
    async with _connected(infrastructure.owner_url("postgres")) as admin:
        # A server that outlives the session has it from the last one.
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.execute(f"create database {name}")
    await migrate_audit(infrastructure.owner_url(name), password_for=password)


@pytest.fixture(scope="session")
def template(infrastructure: Infrastructure) -> str:
    """A migrated database to copy."""
    asyncio.run(_make_template(infrastructure, "audit_template"))
    return "audit_template"


@pytest.fixture
async def database(infrastructure: Infrastructure, template: str) -> AsyncIterator[str]:
    """The name of a fresh audit database, dropped afterwards."""
    name = f"audit_{uuid.uuid4().hex[:12]}"
    async with _connected(infrastructure.owner_url("postgres")) as admin:
        await admin.execute(f"create database {name} template {template}")
    yield name
    async with _connected(infrastructure.owner_url("postgres")) as admin:
        await admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def url_for(infrastructure: Infrastructure, database: str) -> UrlFor:
    """The address of the test's database for a role."""
    _, _, place = infrastructure.owner_url(database).partition("@")
    return lambda role: f"postgresql://{role}:{password(role)}@{place}"


@pytest.fixture
async def owner(infrastructure: Infrastructure, database: str) -> AsyncIterator[Owner]:
    """The database's owner: the one who may do everything, and whom verification is for."""
    async with _connected(infrastructure.owner_url(database)) as connection:
        yield connection


@pytest.fixture
async def writer(url_for: UrlFor) -> AsyncIterator[Pool]:
    """The service's own pool."""
    pool = await connect_pool(url_for(WRITER), schema=SCHEMA)
    yield pool
    await pool.close()


@pytest.fixture
def row_keys(writer: Pool) -> MacKeys:
    """The keys of the rows' MACs, as the service has them."""
    return mac_keys(writer)


@pytest.fixture
async def store(writer: Pool, row_keys: MacKeys) -> AuditStore:
    """The log, as the service writes it."""
    return AuditStore(writer, CATALOGUE, row_keys)


@pytest.fixture
def counts(owner: Owner) -> Counts:
    """The log in numbers: rows, events, cases, rows in the default partition, outcomes and alarms."""

    async def count() -> SimpleNamespace:
        totals = await owner.fetchrow(
            """select count(*) as transitions, count(distinct event_id) as events, count(distinct case_id) as cases,
                 count(*) filter (where tableoid = 'transition_default'::regclass) as unplanned
               from transition"""
        )
        outcomes = await owner.fetch("select outcome, count(*) from transition where terminal group by 1")
        alarms = await owner.fetch("select kind, count(*) from integrity_alarm group by 1")
        assert totals is not None
        return SimpleNamespace(**totals, outcomes=dict(map(tuple, outcomes)), alarms=dict(map(tuple, alarms)))

    return count


@pytest.fixture
def locked_objects(cloud: Cloud) -> LockedObjects:
    """The store outside the database, as the service writes to it."""
    return LockedObjects(cloud.s3, CHECKPOINT_BUCKET)


@pytest.fixture
async def proof(
    url_for: UrlFor, locked_objects: LockedObjects, writer: Pool, row_keys: MacKeys, database: str
) -> AsyncIterator[Proof]:
    """The log's checkpoints, in the test's hands."""
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    async with TransparencyLog.open(writer, row_keys) as transparency_log:
        yield Proof(transparency_log, locked_objects, pool, database.replace("_", "-"))
    await pool.close()


@pytest.fixture
async def reader(url_for: UrlFor) -> AsyncIterator[AuditReader]:
    """The log, as the command line and a reviewer read it."""
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    yield AuditReader(pool, CATALOGUE)
    await pool.close()
