"""`switchyard migrate`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import typer

from switchyard.cli.app.connections import open_aws_client, select_database_login
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target


async def migrate_databases(env: EnvOption = Env.LOCAL) -> None:
    """Apply missing migrations and grants to the work and the audit database, under a lock; safe to repeat.

    Needs the owners' addresses in SWITCHYARD_WORK_DB_OWNER_URL and SWITCHYARD_AUDIT_DB_OWNER_URL. In AWS the roles log
    in with IAM, and so does the owner if SWITCHYARD_DB_AUTH is `iam`. The first time it has only the password that RDS
    keeps (SWITCHYARD_WORK_DB_OWNER_SECRET_ARN, SWITCHYARD_AUDIT_DB_OWNER_SECRET_ARN), and grants itself IAM.
    """
    from switchyard.processes.databases import migrate_audit, migrate_work

    target = resolve_target(env)
    work, audit = target.settings.work_db_owner_url, target.settings.audit_db_owner_url
    if target.settings.db_auth == "iam":
        for url, secret in (
            (work, target.settings.work_db_owner_secret_arn),
            (audit, target.settings.audit_db_owner_secret_arn),
        ):
            if secret is not None and await _let_owner_use_iam(target, url, secret):
                typer.echo("the owner logs in with IAM from now on")
    for url, variable in ((work, "WORK"), (audit, "AUDIT")):
        try:
            urlsplit(url)
        except ValueError as error:
            remedy = "write it as postgresql://OWNER@HOST:5432/DATABASE"
            raise CommandFailed(f"SWITCHYARD_{variable}_DB_OWNER_URL is invalid: {error}", remedy=remedy) from error
    how: dict[str, Any] = {"iam": env is Env.AWS, "login": select_database_login(target)}
    applied = await migrate_work(work, password_for=lambda _: None, **how)
    applied += await migrate_audit(audit, password_for=lambda _: None, **how)
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo(f"{len(applied)} applied; both databases are up to date")


async def _let_owner_use_iam(target: Target, url: str, secret_arn: str) -> bool:
    from switchyard.runtime.database.owner_login import let_owner_use_iam

    async def read_secret(arn: str) -> str:
        async with open_aws_client(target, "secretsmanager") as secrets:
            return str((await secrets.get_secret_value(SecretId=arn))["SecretString"])

    return await let_owner_use_iam(
        url,
        select_database_login(target),
        secret_arn=secret_arn,
        read_secret=read_secret,
        ca_file=target.settings.db_ca_file,
    )
