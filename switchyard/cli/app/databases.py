"""Every owner's migrations and rights, for `switchyard migrate`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg

from switchyard.app.application import load_app
from switchyard.audit.records.roles import READER, RETENTION, WRITER, audit_owner, grant_audit_rights
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.database.login import DatabaseLogin, PasswordLogin
from switchyard.runtime.database.migrate import SchemaOwner, apply_migrations, ensure_role, grant_work, migration_lock

ENGINE = Path(__file__).resolve().parents[2]
INBOX_MIGRATIONS = ENGINE / "runtime" / "messaging" / "migrations" / "inbox"
MODEL_MIGRATIONS = ENGINE / "runtime" / "models" / "migrations"
REPUBLISH_MIGRATIONS = ENGINE / "runtime" / "messaging" / "migrations" / "republish"
VAULT_MIGRATIONS = ENGINE / "runtime" / "crypto" / "migrations"
CASE_MANAGER_TABLES = ENGINE / "case_manager" / "migrations"

OPERATOR_ROLE = "operator"
"""The role of the people who run the system."""

RECONCILER_ROLE = "reconciler"
"""The role that sees what was published, not the events, and may ask for it again."""

PasswordForRole = Callable[[str], str | None]
"""The password of a role; None where roles log in with IAM."""


def resource_path(reference: str) -> Path:
    """What a `package:path` names, wherever the package is installed."""
    package, _, path = reference.partition(":")
    return Path(str(files(package))) / path


def list_work_owners() -> tuple[SchemaOwner, ...]:
    """The schemas of the work database: the case manager's, one for each agent, and the vault."""
    app = load_app()
    agents = tuple(
        SchemaOwner(
            node,
            (
                INBOX_MIGRATIONS,
                REPUBLISH_MIGRATIONS,
                *((MODEL_MIGRATIONS,) if card.vendors else ()),
                *(resource_path(each) for each in app.process(node).migrations),
            ),
            node,
        )
        for node, card in app.cards.items()
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
            for node in (CASE_MANAGER, *load_app().cards, OPERATOR_ROLE, ERASER_ROLE, RECONCILER_ROLE):
                await ensure_role(connection, node, password=password_for(node), iam=iam)
            applied = await apply_migrations(connection, list_work_owners())
            for owner in list_work_owners():
                if owner.schema != "vault":
                    await grant_work(connection, owner)
            await _grant_vault(connection)
            await _grant_operator(connection)
            for process in load_app().processes:
                for grants in process.grants:
                    await connection.execute(resource_path(grants).read_text())
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
    for card in load_app().cards.values():
        # A card that no longer opens anything loses the right with the next migration.
        await connection.execute(f'revoke all on vault.subject_key from "{card.name}"')
        await connection.execute(f'revoke all on schema vault from "{card.name}"')
        if card.decrypts:
            await connection.execute(f'grant usage on schema vault to "{card.name}"')
            await connection.execute(f'grant select on vault.subject_key to "{card.name}"')


async def _grant_reconciler(connection: asyncpg.Connection[Any]) -> None:
    """Ids and digests of what was published, and the table in which it is asked for again."""
    for node in (CASE_MANAGER, *load_app().cards):
        await connection.execute(f'grant usage on schema "{node}" to {RECONCILER_ROLE}')
        columns = "event_id, case_id, digest, opened_on, type, node_to, stored_at"
        await connection.execute(f'grant select ({columns}) on "{node}".published to {RECONCILER_ROLE}')
        await connection.execute(f'grant select, insert (event_id, case_id) on "{node}".republish to {RECONCILER_ROLE}')
        asked_again = "requested_at, answered_at, found"
        await connection.execute(f'grant update ({asked_again}) on "{node}".republish to {RECONCILER_ROLE}')


async def _grant_operator(connection: asyncpg.Connection[Any]) -> None:
    """A few functions and views: halting, cancelling and deciding, and nothing else."""
    await connection.execute(f"grant usage on schema {CASE_MANAGER} to {OPERATOR_ROLE}")
    await connection.execute(f"grant select on {CASE_MANAGER}.approval_queue, {CASE_MANAGER}.halted to {OPERATOR_ROLE}")
    for function in ("halt", "resume", "cancel", "decide", "decided"):
        await connection.execute(f"grant execute on function {CASE_MANAGER}.{function} to {OPERATOR_ROLE}")
    asked = "request_id, case_id, request"
    await connection.execute(f"grant select, insert ({asked}) on {CASE_MANAGER}.retry_request to {OPERATOR_ROLE}")


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
