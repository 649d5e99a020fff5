"""Forward-only migrations, numbered SQL files applied once each; and grants, run every time. One migrator at a time."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

_NAME = re.compile(r"^(\d{3})_[a-z0-9_]+\.sql$")
LOCK_POLL_S = 0.2
WORK_GRANTS = Path(__file__).with_name("grants.sql")
"""The rights of a schema's own role to its tables."""

SCOPE_MIGRATIONS = Path(__file__).with_name("migrations") / "scope"
ROW_SECURITY = Path(__file__).with_name("row_security.sql")
"""What an agent's handlers see of its tables; see `session_scope`."""


class MigrationEdited(Exception):
    """A migration that was already applied differs from the file. Remedy: restore the file and append a new one."""


@dataclass(frozen=True)
class SchemaOwner:
    """A schema, the folders of its migrations, and the role that works in it (not the role that owns it). `grants` are
    repeatable SQL files; they are run in the schema after every migration."""

    schema: str
    migrations: tuple[Path, ...]
    role: str
    grants: tuple[Path, ...] = ()


def load_migrations(folders: Sequence[Path]) -> dict[str, str]:
    """Migrations of some folders: SQL by name, in order. Raises `ValueError` unless a file is named `NNN_name.sql`."""
    migrations = {}
    for folder in folders:
        for path in sorted(folder.glob("*.sql")):
            if not _NAME.match(path.name):
                raise ValueError(f"{path}: a migration is named NNN_name.sql")
            migrations[f"{folder.name}/{path.name}"] = path.read_text(encoding="utf-8")
    return migrations


@asynccontextmanager
async def migration_lock(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Let one migrator at a time into a database; the others wait. It may be entered again inside. Roles and rights
    belong inside, too: PostgreSQL refuses concurrent changes of the same one.

    The lock is a row of the owner's that names the session which holds it, and is free when that session has ended. An
    advisory lock could be taken by every role that can log in.
    """
    # Another migrator may be creating it now.
    with suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
        await connection.execute(_LOCK_TABLE)
    while (taken := await connection.fetchval(_TAKE_LOCK)) is None:  # noqa: ASYNC110 - another process holds it
        await asyncio.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        if taken:
            await connection.execute("delete from public.migration_lock")


_LOCK_TABLE = """
create table if not exists public.migration_lock (
  one boolean primary key default true check (one),
  pid integer not null,
  since timestamptz not null
)
"""
_TAKE_LOCK = """
with me as (
  select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()
),
taken as (
  insert into public.migration_lock as l (pid, since) select pid, backend_start from me
  on conflict (one) do update set pid = excluded.pid, since = excluded.since
    where not exists (select from pg_stat_activity a where a.pid = l.pid and a.backend_start = l.since)
  returning true
)
select true from taken
union all
select false from public.migration_lock l join me on l.pid = me.pid and l.since = me.backend_start
"""
"""True if it is taken now, false if this session had it, no row if another one has it."""


async def apply_migrations(connection: asyncpg.Connection[Any], owners: Sequence[SchemaOwner]) -> list[str]:
    """Apply what is missing, each migration in a transaction of its own; return `schema: name` of each applied.
    `connection` belongs to the database's owner. Two migrators wait for each other. Raises `MigrationEdited`."""
    async with migration_lock(connection):
        return [f"{owner.schema}: {name}" for owner in owners for name in await _migrate_one(connection, owner)]


async def _migrate_one(connection: asyncpg.Connection[Any], owner: SchemaOwner) -> list[str]:
    schema, applied = _quoted(owner.schema), []
    await connection.execute(f"create schema if not exists {schema}")
    await connection.execute(
        f"create table if not exists {schema}.migration ("
        "name text primary key, sha256 text not null, applied_at timestamptz not null default clock_timestamp())"
    )
    known = {row["name"]: row["sha256"] for row in await connection.fetch(f"select * from {schema}.migration")}  # noqa: S608 - quoted identifier
    for name, sql in load_migrations(owner.migrations).items():
        sha256 = hashlib.sha256(sql.encode()).hexdigest()
        if known.get(name, sha256) != sha256:
            raise MigrationEdited(
                f"{owner.schema}: {name} was edited after it was applied; restore it and append a new one"
            )
        if name in known:
            continue
        async with connection.transaction():
            await connection.execute(f"set local search_path to {schema}")
            await connection.execute(sql)
            await connection.execute(
                f"insert into {schema}.migration (name, sha256) values ($1, $2)",  # noqa: S608 - quoted identifier
                name,
                sha256,
            )
        applied.append(name)
    return applied


@dataclass(frozen=True)
class RoleLimits:
    """What one role may use of the server, so that a defect in one process leaves room for the others. The times are
    defaults of its sessions, in seconds: a session may change them, so nothing may wait for another role's lock."""

    share: float = 0.25
    """Of the server's connections."""
    statement_s: int = 30
    lock_s: int = 5
    idle_in_transaction_s: int = 30


async def ensure_role(
    connection: asyncpg.Connection[Any],
    role: str,
    *,
    password: str | None,
    iam: bool = False,
    limits: RoleLimits | None = None,
) -> None:
    """Create a login role without rights of its own but to connect to this database: with a password, or (in AWS) with
    IAM authentication."""
    name, limits = _quoted(role), limits or RoleLimits()
    if not await connection.fetchval("select true from pg_roles where rolname = $1", role):
        await connection.execute(f"create role {name} login nosuperuser nocreatedb nocreaterole noinherit")
    if password is not None:
        literal = await connection.fetchval("select quote_literal($1::text)", password)
        await connection.execute(f"alter role {name} password {literal}")
    if iam:
        await connection.execute(f"grant rds_iam to {name}")
    database = await connection.fetchval("select quote_ident(current_database())")
    connections = int(int(await connection.fetchval("show max_connections")) * limits.share)
    await connection.execute(
        f"alter role {name} connection limit {connections};"
        f"alter role {name} set statement_timeout = '{limits.statement_s}s';"
        f"alter role {name} set lock_timeout = '{limits.lock_s}s';"
        f"alter role {name} set idle_in_transaction_session_timeout = '{limits.idle_in_transaction_s}s';"
        f"grant connect on database {database} to {name}"
    )


async def close_database(connection: asyncpg.Connection[Any]) -> None:
    """Take from everybody what PostgreSQL gives them: connecting, temporary tables, the schema public."""
    database = await connection.fetchval("select quote_ident(current_database())")
    await connection.execute(f"revoke all on database {database} from public; revoke all on schema public from public")


async def apply_grants(
    connection: asyncpg.Connection[Any], owners: Sequence[SchemaOwner], settings: Mapping[str, str] | None = None
) -> None:
    """Run the owners' grants, each owner's in a transaction of its own. Safe to repeat. A file finds its schema in
    `current_schema()`, its role in the setting `switchyard.role`, and `settings` beside it."""
    for owner in owners:
        async with connection.transaction():
            await connection.execute(f"set local search_path to {_quoted(owner.schema)}")
            for name, value in {**(settings or {}), "switchyard.role": owner.role}.items():
                await connection.execute("select set_config($1, $2, true)", name, value)
            for path in owner.grants:
                await connection.execute(path.read_text(encoding="utf-8"))


def _quoted(identifier: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", identifier):
        raise ValueError(f"{identifier!r} is not a schema or role name of ours: lower case, digits, underscores")
    return f'"{identifier}"'
