"""`switchyard restore`: after a restore of the work database, puts back what the log knows (runbook, Restore)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from switchyard.cli.app.connections import select_database_login
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    import asyncpg


class Audit(Protocol):
    """The audit database, with its schema in the search path."""

    async def fetch(self, query: str, *args: object) -> Any: ...


async def restore_work(
    to: Annotated[str, typer.Argument(metavar="TIME", help="The moment of the restored data, in UTC, as ISO 8601.")],
    env: EnvOption = Env.LOCAL,
) -> None:
    """Restore what the log has and the restored work database lacks: outcomes, sent emails, endings, suppressions.

    It reaches back five more minutes, changes the work database in one transaction, and may be repeated. As the
    databases' owner; nothing else may run meanwhile.
    """
    try:
        moment = datetime.fromisoformat(to)
    except ValueError as error:
        raise InvalidArgument(f"{to} is not a time", remedy="write it as 2026-11-21T09:00Z") from error
    target = resolve_target(env)
    async with _owner(target, target.settings.audit_db_owner_url) as audit:
        await audit.execute("set search_path to audit")
        statements = await list_statements(audit, moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    async with _owner(target, target.settings.work_db_owner_url) as work, work.transaction():
        for statement in statements:
            await work.execute(statement)
    typer.echo(f"{len(statements)} rows of the log are in the work database")


async def list_statements(audit: Audit, restored_to: datetime) -> list[str]:
    """What to execute on the work database, in this order. Raises asyncpg's errors."""
    queries = Path(__file__).with_name("restore.sql").read_text(encoding="utf-8").split(";\n")
    return [row["statement"] for query in queries if query.strip() for row in await audit.fetch(query, restored_to)]


@asynccontextmanager
async def _owner(target: Target, url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    import asyncpg

    connection = await asyncpg.connect(**select_database_login(target).options(url))
    try:
        yield connection
    finally:
        await connection.close()
