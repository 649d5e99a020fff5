"""A real identity provider and a real token exchange, started once a session, and what asks them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import aiohttp
import pytest
from pydantic import SecretStr

from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.identity.provider import AUDIENCE, FRONT_END
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.identity.token_exchange import IdentityProvider, OAuthClient, TokenExchange, UserCredential
from tests.integration.serving import free_port

WAREHOUSE = "https://warehouse.example"
WORK_ORDERS = "https://work-orders.example"
CLIENTS = {
    "text_to_sql": {
        "scopes": [f"session:role:{role}" for role in ("NORTH", "SOUTH", "FIELD_PERMIAN", "FIELD_WILLISTON")],
        "audiences": [WAREHOUSE],
    },
    "field_routing": {"scopes": ["work_orders:read"], "audiences": [WORK_ORDERS]},
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


@pytest.fixture(scope="session")
def identity_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityServers]:
    """Both servers; they are stopped by their pid."""
    home = tmp_path_factory.mktemp("identity")
    (home / "users.yaml").write_text(json.dumps(USERS))
    provider, exchange = free_port(), free_port()
    environment = os.environ | {
        "SWITCHYARD_LOCAL_FRONT_END_SECRET": "front-end-secret",
        "SWITCHYARD_LOCAL_EXCHANGE_SECRET": "0" * 64,
    }
    commands = (
        ("provider", "--port", str(provider), "--home", str(home / "provider"), "--users", str(home / "users.yaml")),
        (
            *("exchange", "--port", str(exchange), "--home", str(home / "exchange")),
            *("--issuer", f"http://127.0.0.1:{provider}", "--clients", json.dumps(CLIENTS)),
        ),
    )
    with (home / "log").open("w") as log:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", f"switchyard.devstack.identity.{name}", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )
            for name, *arguments in commands
        ]
        servers = IdentityServers(
            f"http://127.0.0.1:{provider}",
            f"http://127.0.0.1:{exchange}",
            "front-end-secret",
            home / "exchange" / CLIENTS_FILE,
        )
        try:
            _wait_until_ready(servers, home / "log", running)
            yield servers
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait(10)


def _wait_until_ready(servers: IdentityServers, log: Path, running: list[subprocess.Popen[bytes]]) -> None:
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


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections of the identity service."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def exchange(identity_servers: IdentityServers, http: aiohttp.ClientSession) -> TokenExchange:
    """The client of the real exchange."""
    issuer = identity_servers.exchange
    return TokenExchange(
        http,
        endpoint=f"{issuer}/token",
        clients={agent: identity_servers.client_of(agent) for agent in CLIENTS},
        verifier=JwtVerifier(issuer=issuer, fetch=lambda: identity_servers.jwks(issuer)),
        subject_token_type="urn:ietf:params:oauth:token-type:id_token",
        subject_prefix="user:",
    )


@pytest.fixture
def provider(identity_servers: IdentityServers, http: aiohttp.ClientSession) -> IdentityProvider:
    """The client of the real identity provider."""
    client = OAuthClient(id=FRONT_END, secret=SecretStr(identity_servers.front_end_secret))
    return IdentityProvider(http, endpoint=f"{identity_servers.provider}/token", client=client)


@pytest.fixture
def user_tokens(identity_servers: IdentityServers) -> JwtVerifier:
    """Verifies users' tokens; they are for `AUDIENCE`."""
    issuer = identity_servers.provider
    assert AUDIENCE
    return JwtVerifier(issuer=issuer, fetch=lambda: identity_servers.jwks(issuer))
