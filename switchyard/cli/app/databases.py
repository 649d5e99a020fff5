"""Every owner's migrations and rights, for `switchyard migrate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import asyncpg

from contracts.cards import AGENT_CARDS, COMPLIANCE_CARD, EMAIL_SENDER_CARD
from contracts.catalogue import CASE_MANAGER
from switchyard.audit.records.roles import READER, RETENTION, WRITER, audit_owner, grant_audit_rights
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.database.login import DatabaseLogin, PasswordLogin
from switchyard.runtime.database.migrate import (
    WORK_GRANTS,
    SchemaOwner,
    apply_grants,
    apply_migrations,
    ensure_role,
    migration_lock,
)

REPOSITORY_ROOT = Path(__file__).resolve().parents[3]
ENGINE = REPOSITORY_ROOT / "switchyard"
MESSAGING = ENGINE / "runtime" / "messaging"
SPECIALISTS = REPOSITORY_ROOT / "services" / "specialists"
OUTBOX_MIGRATIONS = MESSAGING / "migrations" / "outbox"
INBOX_MIGRATIONS = MESSAGING / "migrations" / "inbox"

AGENT_FOLDERS = {
    COMPLIANCE_CARD.name: SPECIALISTS / "compliance",
    EMAIL_SENDER_CARD.name: SPECIALISTS / "email_sender",
}
"""Folders of the agents that keep tables beside their inbox."""

OPERATOR_ROLE = "operator"
"""The role of the people who run the system."""

REVIEWER_ROLE = "reviewer"
"""The role that reads what an approver decides on: pending approvals, and the keys of the people they are about."""

RECONCILER_ROLE = "reconciler"
"""The role that sees what was published, not the events, and may ask for it again."""

WORK_ROLES = (CASE_MANAGER, *AGENT_CARDS, OPERATOR_ROLE, REVIEWER_ROLE, ERASER_ROLE, RECONCILER_ROLE)

PasswordForRole = Callable[[str], str | None]
"""The password of a role; None where roles log in with IAM."""


def list_work_owners() -> tuple[SchemaOwner, ...]:
    """The schemas of the work database: the case manager's, one for each agent, and the vault."""
    shared = (WORK_GRANTS, MESSAGING / "grants.sql")
    case_manager, vault = ENGINE / "case_manager", ENGINE / "runtime" / "crypto"
    owners = [
        SchemaOwner(
            CASE_MANAGER,
            (OUTBOX_MIGRATIONS, case_manager / "migrations"),
            CASE_MANAGER,
            (*shared, case_manager / "grants.sql"),
        )
    ]
    for node, card in AGENT_CARDS.items():
        migrations, grants = [OUTBOX_MIGRATIONS, INBOX_MIGRATIONS], list(shared)
        if card.vendors:
            migrations.append(ENGINE / "runtime" / "models" / "migrations")
        if (folder := AGENT_FOLDERS.get(node)) is not None:
            migrations.append(folder / "migrations")
            grants += [folder / "grants.sql"] if (folder / "grants.sql").exists() else []
        owners.append(SchemaOwner(node, tuple(migrations), node, tuple(grants)))
    owners.append(SchemaOwner("vault", (vault / "migrations",), CASE_MANAGER, (vault / "grants.sql",)))
    return tuple(owners)


async def migrate_work(
    url: str, *, password_for: PasswordForRole, iam: bool = False, login: DatabaseLogin | None = None
) -> list[str]:
    """Bring the work database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    connection = await asyncpg.connect(**(login or PasswordLogin()).options(url))
    settings = {
        "switchyard.agents": ",".join(AGENT_CARDS),
        "switchyard.decrypting_agents": ",".join(card.name for card in AGENT_CARDS.values() if card.decrypts),
    }
    try:
        async with migration_lock(connection):
            for role in WORK_ROLES:
                await ensure_role(connection, role, password=password_for(role), iam=iam)
            applied = await apply_migrations(connection, list_work_owners())
            await apply_grants(connection, list_work_owners(), settings)
            return applied
    finally:
        await connection.close()


async def migrate_audit(
    url: str, *, password_for: PasswordForRole, iam: bool = False, login: DatabaseLogin | None = None
) -> list[str]:
    """Bring the audit database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    connection = await asyncpg.connect(**(login or PasswordLogin()).options(url))
    try:
        async with migration_lock(connection):
            for role in (WRITER, READER, RETENTION):
                await ensure_role(connection, role, password=password_for(role), iam=iam)
            applied = await apply_migrations(connection, (audit_owner(),))
            await grant_audit_rights(connection)
            return applied
    finally:
        await connection.close()
