"""How commands log in to a target's databases."""

from __future__ import annotations

from pathlib import Path

from aiobotocore.session import get_session

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.runtime.database.login import DatabaseLogin, IamLogin, PasswordLogin, rds_token_source


def select_database_login(target: Target) -> DatabaseLogin:
    """As SWITCHYARD_DB_AUTH says, as for the services: `password` (the default) or `iam`."""
    how = target.get("SWITCHYARD_DB_AUTH") or "password"
    if how == "password":
        return PasswordLogin()
    if how != "iam":
        raise CommandFailed(f"SWITCHYARD_DB_AUTH is {how}", remedy="set it to password or iam")
    ca_file = target.get("SWITCHYARD_DB_CA_FILE")
    tokens = rds_token_source(get_session(), region=target.get("AWS_REGION") or "us-east-1")
    return IamLogin(tokens, ca_file=None if ca_file is None else Path(ca_file))
