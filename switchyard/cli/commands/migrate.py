"""`switchyard migrate`."""

from __future__ import annotations

from typing import Any

import typer

from switchyard.cli.app.connections import select_database_login
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, resolve_target


async def migrate_databases(env: EnvOption = Env.LOCAL) -> None:
    """Apply missing migrations and grants to the work and the audit database, under a lock; safe to repeat.

    Needs the owners' addresses in SWITCHYARD_WORK_DB_OWNER_URL and SWITCHYARD_AUDIT_DB_OWNER_URL. In AWS the roles log
    in with IAM, and so does the owner if SWITCHYARD_DB_AUTH is `iam`.
    """
    from switchyard.processes.databases import migrate_audit, migrate_work

    target = resolve_target(env)
    work, audit = target.settings.work_db_owner_url, target.settings.audit_db_owner_url
    how: dict[str, Any] = {"iam": env is Env.AWS, "login": select_database_login(target)}
    applied = await migrate_work(work, password_for=lambda _: None, **how)
    applied += await migrate_audit(audit, password_for=lambda _: None, **how)
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo(f"{len(applied)} applied; both databases are up to date")
