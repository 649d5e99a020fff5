"""Every owner's migrations and rights, for `switchyard migrate`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from switchyard.app.application import App, ProcessDescriptor, load_app, load_reference, resource_path
from switchyard.audit.records.roles import (
    CALLERS,
    READER,
    RETENTION,
    WRITER,
    audit_owner,
    grant_audit_rights,
    seed_audit,
)
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.database.login import DatabaseLogin, PasswordLogin
from switchyard.runtime.database.migrate import (
    ROW_SECURITY,
    SCOPE_MIGRATIONS,
    WORK_GRANTS,
    RoleLimits,
    SchemaOwner,
    apply_grants,
    apply_migrations,
    close_database,
    ensure_role,
    migration_lock,
)
from switchyard.runtime.database.owner_login import record_owner_statements

ENGINE = Path(__file__).resolve().parents[1]
MESSAGING = ENGINE / "runtime" / "messaging"
OUTBOX_MIGRATIONS = MESSAGING / "migrations" / "outbox"
INBOX_MIGRATIONS = MESSAGING / "migrations" / "inbox"

OPERATOR_ROLE = "operator"
"""The role of the people who run the system."""

REVIEWER_ROLE = "reviewer"
"""The role that reads what an approver decides on: pending approvals, and the keys of the people they are about."""

RECONCILER_ROLE = "reconciler"
"""The role that sees what was published, not the events, and may ask for it again."""

PEOPLE_ROLES = (OPERATOR_ROLE, REVIEWER_ROLE, ERASER_ROLE, RECONCILER_ROLE)
PEOPLE = RoleLimits(share=0.1, statement_s=60)
AUDIT_LIMITS = RoleLimits(share=0.7, statement_s=3_600, idle_in_transaction_s=600)
"""Verification and retention read a whole log in one statement, and check it while they read."""

PasswordForRole = Callable[[str], str | None]
"""The password of a role; None where roles log in with IAM."""


def list_work_owners() -> tuple[SchemaOwner, ...]:
    """The schemas of the work database: the case manager's, one for each agent, those of other processes, the money
    ledger, and the vault."""
    shared = (WORK_GRANTS, MESSAGING / "grants.sql")
    case_manager, vault = ENGINE / "case_manager", ENGINE / "runtime" / "crypto"
    owners = [
        SchemaOwner(
            CASE_MANAGER,
            (SCOPE_MIGRATIONS, OUTBOX_MIGRATIONS, case_manager / "migrations"),
            CASE_MANAGER,
            (*shared, case_manager / "grants.sql"),
        )
    ]
    app = load_app()
    for node, card in app.cards.items():
        process = app.process(node)
        migrations, grants = [SCOPE_MIGRATIONS, OUTBOX_MIGRATIONS, INBOX_MIGRATIONS], [ROW_SECURITY, *shared]
        if card.vendors:
            migrations.append(ENGINE / "runtime" / "models" / "migrations")
        migrations += map(resource_path, process.migrations)
        grants += map(resource_path, process.grants)
        owners.append(SchemaOwner(node, tuple(migrations), node, tuple(grants)))
    for process in _own_schemas(app):
        folders, files = tuple(map(resource_path, process.migrations)), tuple(map(resource_path, process.grants))
        owners.append(SchemaOwner(process.node, folders, process.node, (WORK_GRANTS, *files)))
    budget = ENGINE / "runtime" / "budget"
    owners.append(SchemaOwner("budget", (budget / "migrations",), CASE_MANAGER, (budget / "grants.sql",)))
    owners.append(SchemaOwner("vault", (vault / "migrations",), CASE_MANAGER, (vault / "grants.sql",)))
    return tuple(owners)


def _own_schemas(app: App) -> list[ProcessDescriptor]:
    """The processes that are no agents and have a schema: it may name functions of those of agents."""
    return [process for process in app.processes if process.database]


async def migrate_work(
    url: str, *, password_for: PasswordForRole, iam: bool = False, login: DatabaseLogin | None = None
) -> list[str]:
    """Bring the work database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    app = load_app()
    async with _locked_connection(url, login) as connection:
        await close_database(connection)
        own = (process.node for process in _own_schemas(app))
        for role in (CASE_MANAGER, *app.cards, *own, OPERATOR_ROLE, REVIEWER_ROLE, ERASER_ROLE, RECONCILER_ROLE):
            limits = PEOPLE if role in PEOPLE_ROLES else RoleLimits()
            await ensure_role(connection, role, password=password_for(role), iam=iam, limits=limits)
        applied = await apply_migrations(connection, list_work_owners())
        await apply_grants(connection, list_work_owners(), work_grant_settings(app))
        return applied


def work_grant_settings(app: App) -> dict[str, str]:
    """What the files of grants need to know of the application."""
    cards = [
        {
            "node": card.name,
            "decrypts": card.decrypts,
            "playbooks": app.playbooks_of(card.name),
            "models": bool(card.vendors),
            "observes": card.name in app.catalogue.observers,
        }
        for card in app.cards.values()
    ]
    return {
        "switchyard.agents": ",".join(app.cards),
        "switchyard.cards": json.dumps(cards),
        "switchyard.answer_readers": ",".join(app.answer_readers),
    }


async def migrate_audit(
    url: str, *, password_for: PasswordForRole, iam: bool = False, login: DatabaseLogin | None = None
) -> list[str]:
    """Bring the audit database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    async with _locked_connection(url, login) as connection:
        await close_database(connection)
        for role in (WRITER, READER, CALLERS, RETENTION):
            await ensure_role(connection, role, password=password_for(role), iam=iam, limits=AUDIT_LIMITS)
        applied = await apply_migrations(connection, (audit_owner(),))
        app = load_app()
        await grant_audit_rights(connection, [resource_path(each) for each in app.audit_views])
        policies = load_reference(app.retention_policies) if app.retention_policies else ()
        await seed_audit(connection, outcome_classes=app.all_outcomes, retention_policies=policies)
        return applied


@asynccontextmanager
async def _locked_connection(url: str, login: DatabaseLogin | None) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(**(login or PasswordLogin()).options(url))
    try:
        async with migration_lock(connection):
            await record_owner_statements(connection)
            yield connection
    finally:
        await connection.close()
