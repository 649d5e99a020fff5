"""Every owner's migrations and rights, for `switchyard migrate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from contracts.cards import AGENT_CARDS, COMPLIANCE_CARD, EMAIL_SENDER_CARD
from contracts.catalogue import CASE_MANAGER
from services.audit.database import AUDIT_VIEWS, OUTCOME_CLASSES, RETENTION_POLICIES
from switchyard.audit.records.roles import READER, RETENTION, WRITER, audit_owner, grant_audit_rights, seed_audit
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.database.login import DatabaseLogin, PasswordLogin
from switchyard.runtime.database.migrate import SchemaOwner, apply_migrations, ensure_role, grant_work, migration_lock

REPOSITORY_ROOT = Path(__file__).resolve().parents[3]
ENGINE = REPOSITORY_ROOT / "switchyard"
INBOX_MIGRATIONS = ENGINE / "runtime" / "messaging" / "migrations" / "inbox"
MODEL_MIGRATIONS = ENGINE / "runtime" / "models" / "migrations"
REPUBLISH_MIGRATIONS = ENGINE / "runtime" / "messaging" / "migrations" / "republish"
VAULT_MIGRATIONS = ENGINE / "runtime" / "crypto" / "migrations"
CASE_MANAGER_TABLES = ENGINE / "case_manager" / "migrations"
COMPLIANCE_MIGRATIONS = REPOSITORY_ROOT / "services" / "specialists" / "compliance" / "migrations"
EMAIL_SENDER_TABLES = REPOSITORY_ROOT / "services" / "specialists" / "email_sender" / "migrations"

OPERATOR_ROLE = "operator"
"""The role of the people who run the system."""

AGENT_MIGRATIONS = {COMPLIANCE_CARD.name: (COMPLIANCE_MIGRATIONS,), EMAIL_SENDER_CARD.name: (EMAIL_SENDER_TABLES,)}
"""Folders of the agents that keep tables beside their inbox."""

RECONCILER_ROLE = "reconciler"
"""The role that sees what was published, not the events, and may ask for it again."""

PasswordForRole = Callable[[str], str | None]
"""The password of a role; None where roles log in with IAM."""


def list_work_owners() -> tuple[SchemaOwner, ...]:
    """The schemas of the work database: the case manager's, one for each agent, and the vault."""
    agents = tuple(
        SchemaOwner(
            node,
            (
                INBOX_MIGRATIONS,
                REPUBLISH_MIGRATIONS,
                *((MODEL_MIGRATIONS,) if card.vendors else ()),
                *AGENT_MIGRATIONS.get(node, ()),
            ),
            node,
        )
        for node, card in AGENT_CARDS.items()
    )
    return (
        SchemaOwner(CASE_MANAGER, (CASE_MANAGER_TABLES, REPUBLISH_MIGRATIONS), CASE_MANAGER),
        *agents,
        SchemaOwner("vault", (VAULT_MIGRATIONS,), CASE_MANAGER),
    )


async def migrate_work(
    url: str, *, password_for: PasswordForRole, iam: bool = False, login: DatabaseLogin | None = None
) -> list[str]:
    """Bring the work database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    connection = await asyncpg.connect(**(login or PasswordLogin()).options(url))
    try:
        async with migration_lock(connection):
            for node in (CASE_MANAGER, *AGENT_CARDS, OPERATOR_ROLE, ERASER_ROLE, RECONCILER_ROLE):
                await ensure_role(connection, node, password=password_for(node), iam=iam)
            applied = await apply_migrations(connection, list_work_owners())
            for owner in list_work_owners():
                if owner.schema != "vault":
                    await grant_work(connection, owner)
            await _grant_vault(connection)
            await _grant_operator(connection)
            await _grant_sending(connection)
            await _grant_reconciler(connection)
            return applied
    finally:
        await connection.close()


async def _grant_vault(connection: asyncpg.Connection[Any]) -> None:
    """Only the case manager makes keys; only agents whose card opens something read them; nobody changes one."""
    await connection.execute("grant usage on schema vault to case_manager")
    await connection.execute("grant select, insert, update (tenant) on vault.subject_key to case_manager")
    # Who may destroy a key can neither read nor make one.
    await connection.execute(f"grant usage on schema vault to {ERASER_ROLE}")
    await connection.execute(f"grant select (subject, tenant), delete on vault.subject_key to {ERASER_ROLE}")
    await connection.execute(f"grant select on vault.erased_subject to {ERASER_ROLE}")
    await connection.execute(
        f"grant insert (subject, tenant, erased_by, reason) on vault.erased_subject to {ERASER_ROLE}"
    )
    for card in AGENT_CARDS.values():
        # A card that no longer opens anything loses the right with the next migration.
        await connection.execute(f'revoke all on vault.subject_key from "{card.name}"')
        await connection.execute(f'revoke all on schema vault from "{card.name}"')
        if card.decrypts:
            await connection.execute(f'grant usage on schema vault to "{card.name}"')
            await connection.execute(f'grant select on vault.subject_key to "{card.name}"')


async def _grant_reconciler(connection: asyncpg.Connection[Any]) -> None:
    """Ids and digests of what was published, and the table in which it is asked for again."""
    for node in (CASE_MANAGER, *AGENT_CARDS):
        await connection.execute(f'grant usage on schema "{node}" to {RECONCILER_ROLE}')
        columns = "event_id, case_id, digest, opened_on, type, node_to, stored_at"
        await connection.execute(f'grant select ({columns}) on "{node}".published to {RECONCILER_ROLE}')
        await connection.execute(f'grant select, insert (event_id, case_id) on "{node}".republish to {RECONCILER_ROLE}')
        asked_again = "requested_at, answered_at, found"
        await connection.execute(f'grant update ({asked_again}) on "{node}".republish to {RECONCILER_ROLE}')


async def _grant_operator(connection: asyncpg.Connection[Any]) -> None:
    """A few functions and views: halting, cancelling, deciding, settling, and nothing else."""
    await connection.execute(f"grant usage on schema {CASE_MANAGER} to {OPERATOR_ROLE}")
    await connection.execute(f"grant select on {CASE_MANAGER}.approval_queue, {CASE_MANAGER}.halted to {OPERATOR_ROLE}")
    for function in ("halt", "resume", "cancel", "decide", "decided"):
        await connection.execute(f"grant execute on function {CASE_MANAGER}.{function} to {OPERATOR_ROLE}")
    asked = "request_id, case_id, request"
    await connection.execute(f"grant select, insert ({asked}) on {CASE_MANAGER}.retry_request to {OPERATOR_ROLE}")
    await connection.execute(f"grant usage on schema {EMAIL_SENDER_CARD.name} to {OPERATOR_ROLE}")
    await connection.execute(f"grant select on {EMAIL_SENDER_CARD.name}.unsettled to {OPERATOR_ROLE}")
    await connection.execute(
        f"grant execute on function {EMAIL_SENDER_CARD.name}.settle to {OPERATOR_ROLE}, {EMAIL_SENDER_CARD.name}"
    )


async def _grant_sending(connection: asyncpg.Connection[Any]) -> None:
    """The email sender reads what stops a sending, and takes part in the case manager's locks.

    It changes nothing of the case manager's.
    """
    await connection.execute(f'grant usage on schema case_manager to "{EMAIL_SENDER_CARD.name}"')
    await connection.execute(
        f'grant select on case_manager.sendable, case_manager.sendable_approval to "{EMAIL_SENDER_CARD.name}"'
    )
    await connection.execute(f'grant execute on function case_manager.lock_sending to "{EMAIL_SENDER_CARD.name}"')


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
            await grant_audit_rights(connection, AUDIT_VIEWS)
            await seed_audit(connection, outcome_classes=OUTCOME_CLASSES, retention_policies=RETENTION_POLICIES)
            return applied
    finally:
        await connection.close()
