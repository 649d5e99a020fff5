"""Where the local identity provider and token exchange are, whom they know, and what a log-in gives."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from switchyard.devstack.identity.provider import FRONT_END
from switchyard.identity.token_exchange import OAuthClient, UserCredential

WAREHOUSE = "https://warehouse.example"


WORK_ORDERS = "https://work-orders.example"


CLIENTS = {
    "text_to_sql": {
        "scopes": [f"session:role:{role}" for role in ("NORTH", "SOUTH", "FIELD_PERMIAN", "FIELD_WILLISTON")],
        "audiences": [WAREHOUSE],
    },
    "field_routing": {"scopes": ["work_orders:read", "technicians:read"], "audiences": [WORK_ORDERS]},
    "upstream.jobs": {"scopes": ["session:role:NORTH"], "audiences": []},
}


USERS = {
    "config_version": 1,
    "users": {
        "ana": {"password": "ana", "email": "ana@operator.example", "roles": ["NORTH"], "tenant": "operator"},
        "ben": {"password": "ben", "email": "ben@operator.example", "roles": ["SOUTH"], "tenant": "operator"},
        "cara": {
            "password": "cara",
            "email": "cara@operator.example",
            "roles": ["FIELD_PERMIAN"],
            "tenant": "operator",
        },
        "dan": {"password": "dan", "email": "dan@operator.example", "roles": ["FIELD_WILLISTON"], "tenant": "operator"},
    },
}


START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class IdentityServers:
    """Where the two servers are."""

    provider: str
    exchange: str
    front_end_secret: str
    clients: Path

    def log_in(self, user: str) -> UserCredential:
        """What the front end gets when a user logs in."""
        form = {
            "grant_type": "password",
            "username": user,
            "password": user,
            "scope": "openid profile offline_access",
        }
        basic = base64.b64encode(f"{FRONT_END}:{self.front_end_secret}".encode()).decode()
        request = Request(
            f"{self.provider}/token", urlencode(form).encode(), {"Authorization": f"Basic {basic}"}, method="POST"
        )
        with urlopen(request, timeout=10) as answer:
            found = json.load(answer)
        return UserCredential(found["access_token"], int(time.time()) + found["expires_in"], found["refresh_token"])

    def jwks(self, issuer: str) -> bytes:
        """The keys of an issuer."""
        with urlopen(f"{issuer}/.well-known/jwks.json", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def client_of(self, agent: str) -> OAuthClient:
        """An agent's registration with the exchange."""
        return OAuthClient.model_validate(json.loads(self.clients.read_text())[agent])


def wait_until_ready(servers: IdentityServers, log: Path, running: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            servers.jwks(servers.provider)
            servers.client_of("field_routing")
        except OSError:
            ended = [process.args for process in running if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                pytest.fail(f"the identity servers did not start: {ended}\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        else:
            return


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return found
