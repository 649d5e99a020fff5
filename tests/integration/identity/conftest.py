"""A real identity provider and a real token exchange, started once a session; the identity service before them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from switchyard.devstack.identity.certificates import CA_FILE, write_certificates
from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.identity.provider import AUDIENCE, FRONT_END
from switchyard.identity.api import IdentityApi, UserTokens
from switchyard.identity.grant_store import GrantStore
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.identity.permissions import AgentCeiling, ServiceGrant
from switchyard.identity.task_evidence import WorkDatabaseEvidence
from switchyard.identity.token_exchange import (
    IdentityProvider,
    OAuthClient,
    TokenExchange,
)
from switchyard.identity.token_issuer import TokenIssuer
from switchyard.protocol.principal_jws import import_public_key
from switchyard.protocol.signing import derive_public_key
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.process.web import MutualTls, WebServer
from tests.integration.conftest import PoolFor
from tests.integration.identity.identity_servers import CLIENTS, USERS, WAREHOUSE, IdentityServers, wait_until_ready
from tests.integration.identity.identity_service import NORTH, SEED, SOURCE, Service, ShiftedNow
from tests.integration.infrastructure import Owner
from tests.integration.serving import free_port


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
            wait_until_ready(servers, home / "log", running)
            yield servers
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait(10)


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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder, ("identity", "ingress", "text_to_sql", "drafter", "field_routing"))
    return folder


@pytest.fixture
async def service(
    identity_servers: IdentityServers,
    exchange: TokenExchange,
    provider: IdentityProvider,
    user_tokens: JwtVerifier,
    pool_for: PoolFor,
    owner: Owner,
    certificates: Path,
    http: aiohttp.ClientSession,
) -> AsyncIterator[Service]:
    """The service as its composition root makes it."""
    pool, clock = await pool_for("identity"), ShiftedNow()
    store = GrantStore(pool, LocalKeyWrapper(bytes(32)), clock)
    keys = {SOURCE: {"k1": import_public_key(bytes.fromhex(derive_public_key(SEED)))}}
    users = UserTokens(user_tokens, AUDIENCE, "tenant", "roles", "session:role:", frozenset({"work_orders:read"}))
    issuer = TokenIssuer(
        store=store,
        evidence=WorkDatabaseEvidence(pool),
        exchange=exchange,
        provider=provider,
        users=users,
        keys=keys,
        ceilings={
            "text_to_sql": AgentCeiling(audiences={WAREHOUSE: ("session:role:*",)}),
            "drafter": AgentCeiling(),
        },
        services={
            "upstream.jobs": ServiceGrant(
                tenants=("operator",), agents=("text_to_sql",), audiences=(WAREHOUSE,), scopes=NORTH
            )
        },
        role_scope="session:role:",
        clock=clock,
    )
    api = IdentityApi(issuer, store, users, keys, frozenset({"ingress"}), frozenset({"text_to_sql", "drafter"}), clock)
    tls = MutualTls(certificates / CA_FILE, certificates / "identity.pem", certificates / "identity.key")
    server = WebServer(api.app(), "127.0.0.1", 0, tls=tls)
    yield Service(f"https://127.0.0.1:{server.port}", certificates, owner, clock, http, store)
    await server.stop()
