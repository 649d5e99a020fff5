"""`switchyard migrate`."""

from __future__ import annotations

import asyncio
from typing import Any

import typer

from switchyard.cli.app.database_login import select_database_login
from switchyard.cli.app.databases import migrate_audit, migrate_work
from switchyard.cli.app.target import Env, EnvOption, Target, resolve_target


def migrate_databases(env: EnvOption = Env.LOCAL) -> None:
    """Apply what is missing to the work and the audit database, under a lock; safe to repeat.

    Needs the owners' addresses in SWITCHYARD_WORK_DB_OWNER_URL and SWITCHYARD_AUDIT_DB_OWNER_URL. In AWS the roles log
    in with IAM; so does the owner where SWITCHYARD_DB_AUTH is `iam`.
    """
    target = resolve_target(env)
    applied = asyncio.run(_migrate(target, iam=env is Env.AWS))
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo(f"{len(applied)} applied; both databases are up to date")


async def _migrate(target: Target, *, iam: bool) -> list[str]:
    how: dict[str, Any] = {"password_for": lambda _: None, "iam": iam, "login": select_database_login(target)}
    work = await migrate_work(target.need("SWITCHYARD_WORK_DB_OWNER_URL"), **how)
    return work + await migrate_audit(target.need("SWITCHYARD_AUDIT_DB_OWNER_URL"), **how)
