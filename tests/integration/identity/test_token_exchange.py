"""The token exchange client against a real identity provider and a real exchange."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import aiohttp
import pytest
from pydantic import SecretStr

from switchyard.devstack.identity.provider import AUDIENCE
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.identity.token_exchange import (
    ExchangeDenied,
    IdentityProvider,
    OAuthClient,
    SubjectTokenRejected,
    TokenExchange,
    UserCredential,
)
from switchyard.runtime.core.errors import Unavailable
from tests.integration.identity.identity_servers import WAREHOUSE, WORK_ORDERS, IdentityServers, claims_of

NORTH = ("session:role:NORTH",)


async def test_exchange_for_a_user_returns_a_token_with_the_agent_as_actor(
    identity_servers: IdentityServers, exchange: TokenExchange
) -> None:
    issued = await exchange.exchange(
        identity_servers.log_in("ana"),
        user="ana",
        agent="text_to_sql",
        audience=WAREHOUSE,
        scopes=NORTH,
        now=time.time(),
    )

    claims = claims_of(issued.token)
    assert claims["sub"] == "user:ana"
    assert claims["aud"] == WAREHOUSE
    assert claims["scope"] == NORTH[0]
    assert claims["act"]["sub"] == f"client:{identity_servers.client_of('text_to_sql').id}"
    assert claims["jti"] == issued.jti
    assert 0 < claims["exp"] - time.time() <= 900


@pytest.mark.parametrize(
    ("agent", "audience", "scopes"),
    [
        ("text_to_sql", WORK_ORDERS, NORTH),
        ("text_to_sql", WAREHOUSE, ("session:role:ADMIN",)),
        ("field_routing", WAREHOUSE, NORTH),
        ("stranger", WAREHOUSE, NORTH),
    ],
    ids=["another audience", "a role that is not registered", "another agent's audience", "an unknown agent"],
)
async def test_exchange_beyond_the_registration_is_denied(
    identity_servers: IdentityServers, exchange: TokenExchange, agent: str, audience: str, scopes: tuple[str, ...]
) -> None:
    credential = identity_servers.log_in("ana")
    with pytest.raises(ExchangeDenied):
        await exchange.exchange(credential, user="ana", agent=agent, audience=audience, scopes=scopes, now=time.time())


async def test_exchange_for_another_user_than_the_credential_is_denied(
    identity_servers: IdentityServers, exchange: TokenExchange
) -> None:
    with pytest.raises(ExchangeDenied, match="sub"):
        await exchange.exchange(
            identity_servers.log_in("ana"),
            user="ben",
            agent="text_to_sql",
            audience=WAREHOUSE,
            scopes=NORTH,
            now=time.time(),
        )


async def test_exchange_of_an_altered_token_is_rejected(
    identity_servers: IdentityServers, exchange: TokenExchange
) -> None:
    head, _, signature = identity_servers.log_in("ana").token.rsplit(".", 2)
    forged = base64.urlsafe_b64encode(json.dumps({"sub": "ben", "aud": AUDIENCE}).encode()).decode().rstrip("=")
    credential = UserCredential(f"{head}.{forged}.{signature}", int(time.time()) + 60)
    with pytest.raises(SubjectTokenRejected):
        await exchange.exchange(
            credential, user="ben", agent="text_to_sql", audience=WAREHOUSE, scopes=NORTH, now=time.time()
        )


async def test_refresh_returns_a_credential_that_can_be_exchanged(
    identity_servers: IdentityServers, exchange: TokenExchange, provider: IdentityProvider, user_tokens: JwtVerifier
) -> None:
    first = identity_servers.log_in("ana")
    assert first.refresh_token is not None
    fresh = await provider.refresh(first.refresh_token, now=time.time())

    assert fresh.token != first.token
    assert user_tokens.verify(fresh.token, audience=AUDIENCE)["sub"] == "ana"
    issued = await exchange.exchange(
        fresh, user="ana", agent="text_to_sql", audience=WAREHOUSE, scopes=NORTH, now=time.time()
    )
    assert claims_of(issued.token)["sub"] == "user:ana"


async def test_refresh_with_an_unknown_token_is_rejected(provider: IdentityProvider) -> None:
    with pytest.raises(SubjectTokenRejected):
        await provider.refresh("no-such-token", now=time.time())


@pytest.mark.parametrize(
    ("status", "error", "raised"),
    [
        (400, "invalid_grant", SubjectTokenRejected),
        (401, "invalid_client", Unavailable),
        (400, "unauthorized_client", Unavailable),
        (403, "access_denied", Unavailable),
    ],
)
async def test_only_a_refused_refresh_token_needs_the_user(
    http: aiohttp.ClientSession, status: int, error: str, raised: type[Exception]
) -> None:
    body = json.dumps({"error": error}).encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} \r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    client = OAuthClient(id="switchyard", secret=SecretStr("s"))
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as refusing:
        endpoint = f"http://127.0.0.1:{refusing.sockets[0].getsockname()[1]}/token"
        with pytest.raises(raised) as found:
            await IdentityProvider(http, endpoint=endpoint, client=client).refresh("a-token", now=time.time())
    assert raised is SubjectTokenRejected or error in str(found.value)


async def test_exchange_out_of_reach_is_unavailable(identity_servers: IdentityServers, exchange: TokenExchange) -> None:
    exchange._endpoint = "http://127.0.0.1:1/token"
    with pytest.raises(Unavailable):
        await exchange.exchange(
            identity_servers.log_in("ana"),
            user="ana",
            agent="text_to_sql",
            audience=WAREHOUSE,
            scopes=NORTH,
            now=time.time(),
        )
