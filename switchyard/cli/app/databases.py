"""Every owner's migrations and rights, for `switchyard migrate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from contracts.cards import CARDS, COMPLIANCE, COURIER
from contracts.catalogue import DESK
from switchyard.audit.records.roles import READER, RETENTION, WRITER, audit_owner, grant
from switchyard.runtime.crypto.erasure import ERASER
from switchyard.runtime.database.login import Login, PasswordLogin
from switchyard.runtime.database.migrate import Owner, ensure_role, grant_work, migrate, migrating

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ROOT / "switchyard"
INBOX = ENGINE / "runtime" / "messaging" / "migrations" / "inbox"
MODELS = ENGINE / "runtime" / "models" / "migrations"
REPUBLISH = ENGINE / "runtime" / "messaging" / "migrations" / "republish"
VAULT = ENGINE / "runtime" / "crypto" / "migrations"
DESK_TABLES = ENGINE / "case_manager" / "migrations"
COMPLIANCE_TABLES = ROOT / "services" / "specialists" / "compliance" / "migrations"
COURIER_TABLES = ROOT / "services" / "specialists" / "email_sender" / "migrations"

OPERATOR = "operator"
"""The role of the people who run the system."""

AGENT_TABLES = {COMPLIANCE.name: (COMPLIANCE_TABLES,), COURIER.name: (COURIER_TABLES,)}
"""Folders of the agents that keep tables beside their inbox."""

RECONCILER = "reconciler"
"""The role that sees what was published, not the events, and may ask for it again."""

Password = Callable[[str], str | None]
"""The password of a role; None where roles log in with IAM."""


def work_owners() -> tuple[Owner, ...]:
    """The schemas of the work database: the desk's, one for each agent, and the vault."""
    agents = tuple(
        Owner(node, (INBOX, REPUBLISH, *((MODELS,) if card.vendors else ()), *AGENT_TABLES.get(node, ())), node)
        for node, card in CARDS.items()
    )
    return (Owner(DESK, (DESK_TABLES, REPUBLISH), DESK), *agents, Owner("vault", (VAULT,), DESK))


async def migrate_work(url: str, *, password_for: Password, iam: bool = False, login: Login | None = None) -> list[str]:
    """Bring the work database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    connection = await asyncpg.connect(**(login or PasswordLogin()).options(url))
    try:
        async with migrating(connection):
            for node in (DESK, *CARDS, OPERATOR, ERASER, RECONCILER):
                await ensure_role(connection, node, password=password_for(node), iam=iam)
            applied = await migrate(connection, work_owners())
            for owner in work_owners():
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
    """Only the desk makes keys; only agents whose card opens something read them; nobody changes one."""
    await connection.execute("grant usage on schema vault to desk")
    await connection.execute("grant select, insert, update (tenant) on vault.subject_key to desk")
    # Who may destroy a key can neither read nor make one.
    await connection.execute(f"grant usage on schema vault to {ERASER}")
    await connection.execute(f"grant select (subject, tenant), delete on vault.subject_key to {ERASER}")
    await connection.execute(f"grant select on vault.erased_subject to {ERASER}")
    await connection.execute(f"grant insert (subject, tenant, erased_by, reason) on vault.erased_subject to {ERASER}")
    for card in CARDS.values():
        # A card that no longer opens anything loses the right with the next migration.
        await connection.execute(f'revoke all on vault.subject_key from "{card.name}"')
        await connection.execute(f'revoke all on schema vault from "{card.name}"')
        if card.opens:
            await connection.execute(f'grant usage on schema vault to "{card.name}"')
            await connection.execute(f'grant select on vault.subject_key to "{card.name}"')


async def _grant_reconciler(connection: asyncpg.Connection[Any]) -> None:
    """Ids and digests of what was published, and the table in which it is asked for again."""
    for node in (DESK, *CARDS):
        await connection.execute(f'grant usage on schema "{node}" to {RECONCILER}')
        columns = "event_id, case_id, digest, opened_on, type, node_to, stored_at"
        await connection.execute(f'grant select ({columns}) on "{node}".published to {RECONCILER}')
        await connection.execute(f'grant select, insert (event_id, case_id) on "{node}".republish to {RECONCILER}')
        asked_again = "requested_at, answered_at, found"
        await connection.execute(f'grant update ({asked_again}) on "{node}".republish to {RECONCILER}')


async def _grant_operator(connection: asyncpg.Connection[Any]) -> None:
    """A few functions and views: halting, cancelling, deciding, settling, and nothing else."""
    await connection.execute(f"grant usage on schema {DESK} to {OPERATOR}")
    await connection.execute(f"grant select on {DESK}.approval_queue, {DESK}.halted to {OPERATOR}")
    for function in ("halt", "resume", "cancel", "decide", "decided"):
        await connection.execute(f"grant execute on function {DESK}.{function} to {OPERATOR}")
    asked = "request_id, case_id, request"
    await connection.execute(f"grant select, insert ({asked}) on {DESK}.retry_request to {OPERATOR}")
    await connection.execute(f"grant usage on schema {COURIER.name} to {OPERATOR}")
    await connection.execute(f"grant select on {COURIER.name}.unsettled to {OPERATOR}")
    await connection.execute(f"grant execute on function {COURIER.name}.settle to {OPERATOR}, {COURIER.name}")


async def _grant_sending(connection: asyncpg.Connection[Any]) -> None:
    """The courier reads what stops a sending, and takes part in the desk's locks; it changes nothing of the desk's."""
    await connection.execute(f'grant usage on schema desk to "{COURIER.name}"')
    await connection.execute(f'grant select on desk.sendable, desk.sendable_approval to "{COURIER.name}"')
    await connection.execute(f'grant execute on function desk.lock_sending to "{COURIER.name}"')


async def migrate_audit(
    url: str, *, password_for: Password, iam: bool = False, login: Login | None = None
) -> list[str]:
    """Bring the audit database up to date; return what was applied. `url` is its owner's, who logs in by `login`."""
    connection = await asyncpg.connect(**(login or PasswordLogin()).options(url))
    try:
        async with migrating(connection):
            for role in (WRITER, READER, RETENTION):
                await ensure_role(connection, role, password=password_for(role), iam=iam)
            applied = await migrate(connection, (audit_owner(),))
            await grant(connection)
            return applied
    finally:
        await connection.close()
