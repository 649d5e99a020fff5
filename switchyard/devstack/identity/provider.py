"""Runs the local identity provider: `python -m switchyard.devstack.identity.provider --port 8000 --home DIR --users F`.

It is nanoidp, configured for one client (the front end that users log in with) and the users of a YAML file.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
from pathlib import Path

from switchyard.devstack.identity.servers import PROVIDER_PROGRAM, server_program

FRONT_END = "front-end"
"""The client that users log in with."""

FRONT_END_SECRET_VARIABLE = "SWITCHYARD_LOCAL_FRONT_END_SECRET"  # noqa: S105 - the name of a variable

CONSOLE_CLIENT = "console"
CONSOLE_SECRET_VARIABLE = "SWITCHYARD_LOCAL_CONSOLE_SECRET"  # noqa: S105 - the name of a variable
CONSOLE_REDIRECT = "http://127.0.0.1/login/callback"
"""Where the console's users come back to; on loopback any port is accepted (RFC 8252, 7.3)."""

AUDIENCE = "switchyard"
"""What users' tokens are for."""


def provider_settings(
    *, issuer: str, port: int, secret: str, token_minutes: int, console_secret: str | None = None
) -> dict[str, object]:
    """The document `settings.yaml`; with a client for the console if it has a secret."""
    clients: list[dict[str, object]] = [
        {"client_id": FRONT_END, "client_secret": secret, "description": "Where users log in"}
    ]
    if console_secret is not None:
        clients.append(
            {
                "client_id": CONSOLE_CLIENT,
                "client_secret": console_secret,
                "description": "The console",
                "redirect_uris": [CONSOLE_REDIRECT],
            }
        )
    return {
        "config_version": 1,
        # No operator needs it: without one, every process that reaches the port may mint tokens and change keys.
        "session": {"management_secret": secrets.token_hex(32), "secret_key": secrets.token_hex(32)},
        "server": {"host": "127.0.0.1", "port": port},
        "oauth": {
            "issuer": issuer,
            "audience": AUDIENCE,
            "token_expiry_minutes": token_minutes,
            "clients": clients,
        },
    }


def main() -> None:
    """Write the configuration and become the identity provider."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--users", type=Path, required=True)
    parser.add_argument("--url", help="how others name it, if not by host and port")
    parser.add_argument("--token-minutes", type=int, default=60)
    arguments = parser.parse_args()
    program = server_program(PROVIDER_PROGRAM)
    home: Path = arguments.home
    home.mkdir(parents=True, exist_ok=True)
    settings = provider_settings(
        issuer=arguments.url or f"http://{arguments.host}:{arguments.port}",
        port=arguments.port,
        secret=os.environ[FRONT_END_SECRET_VARIABLE],
        token_minutes=arguments.token_minutes,
        console_secret=os.environ.get(CONSOLE_SECRET_VARIABLE),
    )
    # YAML is a superset of JSON.
    (home / "settings.yaml").touch(mode=0o600)
    (home / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")
    shutil.copy(arguments.users, home / "users.yaml")
    os.chdir(home)
    os.execv(program, [program, "--config", str(home), "--host", arguments.host, "--port", str(arguments.port)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
