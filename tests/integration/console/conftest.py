"""A console over PostgreSQL, with a log of its own that holds some cases of each kind."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from services.app import APP
from switchyard.app.console_process import CONSOLE
from switchyard.audit.records.figures import refresh_figures
from switchyard.audit.records.roles import READER, SCHEMA, WRITER
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.console.app import ConsoleApp
from switchyard.console.views import Views
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from switchyard.processes.console import READ_ONLY, ConsoleParts, build_views
from switchyard.processes.databases import migrate_audit
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Database, connect_pool
from switchyard.runtime.storage.locked_objects import LockedObjects
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.audit.proof import SIGNER, mac_keys
from tests.integration.cloud import Cloud
from tests.integration.console.served import (
    SECRET_TEXT,
    VAULT_KEY,
    KnownCase,
    approval_case,
    console_settings,
    failed_case,
    hostile_case,
    sealed_case,
)
from tests.integration.infrastructure import Infrastructure, password
from tests.unit.audit import cases

BROWSER_VARIABLE = "SWITCHYARD_TEST_BROWSER"
"""The path of Chromium; `make test-browser` sets it."""

collect_ignore = [] if BROWSER_VARIABLE in os.environ else ["browser"]
DATABASE = "audit_console"
NewApproval = Callable[..., Awaitable[dict[str, Any]]]
Deciding = Callable[[], AbstractAsyncContextManager[None]]
ANSWERED = range(500, 560)
FAILED = range(600, 612)


@dataclass(frozen=True)
class Log:
    """The log's database and its cases by kind."""

    url: Callable[[str], str]
    answered: list[KnownCase]
    failed: list[KnownCase]
    sealed: KnownCase
    hostile: KnownCase
    waiting: KnownCase
    approval: dict[str, Any]
    refused: int
    """The number of a message that audit refused."""

    async def record(self, bodies: list[str], *, index: bool = True) -> None:
        """Record what reached audit, and give it its log indexes."""
        pool = await connect_pool(self.url(WRITER), schema=SCHEMA)
        try:
            keys = mac_keys(pool)
            await AuditStore(pool, CATALOGUE, keys).record(bodies)
            if index:
                async with TransparencyLog.open(pool, keys) as log:
                    await log.index_rows(10_000)
                await refresh_figures(pool)
        finally:
            await pool.close()


@pytest.fixture(scope="module")
def console_log(infrastructure: Infrastructure) -> Log:
    """Recorded once a module, whose tests only add to it; tests of others empty the work database."""
    return asyncio.run(_make_log(infrastructure))


async def _make_log(infrastructure: Infrastructure) -> Log:
    admin = await asyncpg.connect(infrastructure.owner_url("postgres"))
    await admin.execute(f"drop database if exists {DATABASE} with (force)")
    await admin.execute(f"create database {DATABASE}")
    await admin.close()
    await migrate_audit(infrastructure.owner_url(DATABASE), password_for=password)
    _, _, place = infrastructure.owner_url(DATABASE).partition("@")
    fresh = uuid.uuid4().int % 10**9  # the work database keeps what the last module's cases have there
    waiting, approval = approval_case(fresh)
    owner = await asyncpg.connect(infrastructure.owner_url(DATABASE))
    refused = await owner.fetchval(
        """insert into audit.integrity_alarm (kind, reason, body, body_sha256)
           values ('malformed', 'no JSON', $1, sha256('x')) returning alarm_id""",
        SECRET_TEXT,
    )
    await owner.close()
    log = Log(
        refused=refused,
        url=lambda role: f"postgresql://{role}:{password(role)}@{place}",
        answered=[KnownCase(cases.answered(number, tenant="acme")) for number in ANSWERED],
        failed=[failed_case(number) for number in FAILED],
        sealed=sealed_case(fresh + 1),
        hostile=hostile_case(fresh + 2),
        waiting=waiting,
        approval=approval,
    )
    every = [*log.answered, *log.failed, log.sealed, log.hostile, log.waiting]
    await log.record([text for case in every for text in cases.bodies(case.events)])
    owner = await asyncpg.connect(infrastructure.owner_url())
    await ask_for_approval(owner, approval)
    await owner.close()
    return log


async def ask_for_approval(owner: Any, row: dict[str, Any], requested_by: str = "somebody") -> None:
    """Write what the case manager writes when the router asks for an approval."""
    await owner.execute(
        """insert into case_manager.approval
             (approval_id, case_id, tenant, playbook, content_sha256, pack, reason, requested_by, asked_at, decide_by)
           values ($1, $2, 'acme', 'assist', $3, '2026.05', 'first_contact', $6, $4, $5)""",
        *(row["approval_id"], row["case_id"], row["content"], row["asked_at"], row["decide_by"]),
        requested_by,
    )
    await owner.execute(
        """insert into case_manager.pending_command (task_id, case_id, kind, playbook, command, due_at)
           values ($1, $2, 'approval', 'assist', $3, $4)""",
        *(row["approval_id"], row["case_id"], json.dumps(row["command"]), row["decide_by"]),
    )


@pytest.fixture
async def deciding(infrastructure: Infrastructure) -> AsyncIterator[Deciding]:
    """The case manager's own part that decides, at work as long as a test needs it: not on what other tests signed."""
    owner = await asyncpg.connect(infrastructure.owner_url())
    await owner.execute(
        "update case_manager.operator_command set decided_at = now(), result = 'another test' where decided_at is null"
    )
    await owner.close()
    pool = await connect_pool(infrastructure.role_url("case_manager"), schema="case_manager")
    settings = console_settings()
    pending = PendingCommands(Database(pool, "the work database"), SystemClock(), CATALOGUE)
    commands = OperatorCommands(pending.database, CATALOGUE, settings.operator_keys(), SystemClock())
    service = ApprovalService(pending, settings.approver_keys(), settings.four_eyes(), timedelta(hours=24))

    async def run() -> None:
        while True:
            await service.apply_decisions()
            await commands.apply()
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def work() -> AsyncIterator[None]:
        running = asyncio.create_task(run())
        yield
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    yield work
    await pool.close()


@dataclass(frozen=True)
class Console:
    """The running application."""

    app: Any
    views: Views
    log: Log
    parts: ConsoleParts
    checkpoint_log: str
    """The log's name in its checkpoints."""


@pytest.fixture
async def console(infrastructure: Infrastructure, console_log: Log, cloud: Cloud) -> AsyncIterator[Console]:
    """As its process makes it, in the test's own loop."""
    audit = await connect_pool(console_log.url(READER), schema=SCHEMA, server_settings=READ_ONLY)
    work = await connect_pool(infrastructure.role_url(CONSOLE), schema=CONSOLE)
    http = aiohttp.ClientSession()
    parts = ConsoleParts(
        audit=audit,
        work=work,
        objects=S3Objects(cloud.s3, "switchyard-objects"),
        checkpoints=LockedObjects(cloud.s3, CHECKPOINT_BUCKET),
        keys=LocalKeyWrapper(VAULT_KEY),
        http=http,
        clock=SystemClock(),
    )
    settings = console_settings(
        checkpoint_log=f"console-{uuid.uuid4().hex[:8]}",
        checkpoint_public_keys=base64.b64encode(SIGNER.public).decode(),
    )
    views = build_views(APP, settings, parts)
    app = ConsoleApp(views.pages, views.handlers(), views.open_handlers(), settings.console_url, views.guard).build()
    yield Console(app, views, console_log, parts, settings.checkpoint_log)
    await http.close()
    await work.close()
    await audit.close()


@pytest.fixture
async def new_approval(infrastructure: Infrastructure, console_log: Log) -> NewApproval:
    """Another approval that waits."""

    async def make(requested_by: str = "somebody") -> dict[str, Any]:
        case, row = approval_case(uuid.uuid4().int % 10**9)
        await console_log.record(cases.bodies(case.events))
        owner = await asyncpg.connect(infrastructure.owner_url())
        await ask_for_approval(owner, row, requested_by)
        await owner.close()
        return row

    return make
