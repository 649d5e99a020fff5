"""Runs the local token exchange (RFC 8693): `python -m switchyard.devstack.identity.exchange --port 8001 --home DIR …`.

It is authgent-server. One client per agent is registered with it (RFC 7591) when it answers; their credentials are in
`HOME/clients.json`, which the identity service reads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Set
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from switchyard.devstack.identity.provider import AUDIENCE
from switchyard.devstack.identity.servers import EXCHANGE_PROGRAM, server_program

EXCHANGE_SECRET_VARIABLE = "SWITCHYARD_LOCAL_EXCHANGE_SECRET"  # noqa: S105 - the name of a variable
CLIENTS_FILE = "clients.json"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
START_TIMEOUT_S = 60.0


def main() -> None:
    """Start the registration of the clients in a process of its own and become the token exchange."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--issuer", required=True, help="the identity provider whose tokens are exchanged")
    parser.add_argument("--clients", required=True, help='JSON {"agent": {"scopes": […], "audiences": […]}}')
    parser.add_argument("--url", help="how others name it, if not by host and port")
    parser.add_argument("--register", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    home: Path = arguments.home.absolute()
    local = f"http://127.0.0.1:{arguments.port}"
    if arguments.register:
        register_clients(local, json.loads(arguments.clients), home / CLIENTS_FILE)
        return
    program = server_program(EXCHANGE_PROGRAM)
    home.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "AUTHGENT_SERVER_URL": arguments.url or f"http://{arguments.host}:{arguments.port}",
        "AUTHGENT_DATABASE_URL": f"sqlite+aiosqlite:///{home}/exchange.db",
        "AUTHGENT_SECRET_KEY": os.environ[EXCHANGE_SECRET_VARIABLE],
        "AUTHGENT_TRUSTED_OIDC_ISSUERS": json.dumps([arguments.issuer]),
        "AUTHGENT_TRUSTED_OIDC_AUDIENCE": AUDIENCE,
        "AUTHGENT_TOKEN_RATE_LIMIT": "100000",
        "AUTHGENT_REGISTER_RATE_LIMIT": "1000",
    }
    if _registered(home / CLIENTS_FILE) != json.loads(arguments.clients).keys():
        command = [sys.executable, "-m", "switchyard.devstack.identity.exchange", *sys.argv[1:], "--register"]
        if (child := os.fork()) == 0:
            # A grandchild, so that no zombie stays: the exchange waits for no child.
            subprocess.Popen(command)
            os._exit(0)
        os.waitpid(child, 0)
    os.chdir(home)
    os.execve(  # noqa: S606 - no shell is wanted
        program, [program, "run", "--host", arguments.host, "--port", str(arguments.port)], environment
    )


def _registered(file: Path) -> Set[str]:
    """The clients that were registered before."""
    found: dict[str, object] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found.keys()


def register_clients(url: str, clients: dict[str, dict[str, list[str]]], file: Path) -> None:
    """Register one client per agent and write their credentials to a file. Raises `URLError` after a minute."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urlopen(f"{url}/health", timeout=2).close()  # noqa: S310 - our own loopback address
            break
        except (URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    registered = {}
    for agent, allowed in clients.items():
        body = {
            "client_name": agent,
            # What has no audience is a source that acts for itself: it gets a credential, and agents exchange it.
            "grant_types": [EXCHANGE_GRANT if allowed["audiences"] else "client_credentials"],
            "scope": " ".join(allowed["scopes"]),
            "allowed_resources": allowed["audiences"],
        }
        request = Request(  # noqa: S310 - our own loopback address
            f"{url}/register", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own loopback address
            found = json.load(answer)
        registered[agent] = {"id": found["client_id"], "secret": found["client_secret"]}
    written = file.with_suffix(".new")
    written.touch(mode=0o600)
    written.write_text(json.dumps(registered), encoding="utf-8")
    written.rename(file)


if __name__ == "__main__":
    main()
