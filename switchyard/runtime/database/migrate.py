"""Forward-only migrations, numbered SQL files applied once each under an advisory lock; and grants, run every time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

_NAME = re.compile(r"^(\d{3})_[a-z0-9_]+\.sql$")
_LOCK = 0x5317C4  # any constant that all migrators share
WORK_GRANTS = Path(__file__).with_name("grants.sql")
"""The rights of a schema's own role to its tables."""


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
    belong inside, too: PostgreSQL refuses concurrent changes of the same one."""
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        yield
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


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


async def ensure_role(
    connection: asyncpg.Connection[Any], role: str, *, password: str | None, iam: bool = False
) -> None:
    """Create a login role without rights of its own: with a password, or (in AWS) with IAM authentication."""
    name = _quoted(role)
    if not await connection.fetchval("select true from pg_roles where rolname = $1", role):
        await connection.execute(f"create role {name} login nosuperuser nocreatedb nocreaterole noinherit")
    if password is not None:
        literal = await connection.fetchval("select quote_literal($1::text)", password)
        await connection.execute(f"alter role {name} password {literal}")
    if iam:
        await connection.execute(f"grant rds_iam to {name}")


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
        raise ValueError(f"{identifier!r} is no schema or role name of ours: lower case, digits, underscores")
    return f'"{identifier}"'
