"""The log-in of the command line at the real identity provider: authorization code with PKCE."""

from __future__ import annotations

import pytest

from switchyard.devstack.identity.login import LoginFailed, log_in
from switchyard.devstack.identity.provider import AUDIENCE
from switchyard.identity.jwt_verifier import JwtVerifier
from tests.integration.identity.identity_servers import IdentityServers

pytestmark = pytest.mark.integration


async def test_user_who_logs_in_gets_a_token_for_the_ingress_and_one_that_renews_it(
    identity_servers: IdentityServers, user_tokens: JwtVerifier
) -> None:
    tokens = await log_in(identity_servers.provider, identity_servers.front_end_secret, "ana", "ana")
    claims = user_tokens.verify(tokens.access_token, audience=AUDIENCE)
    assert (claims["sub"], claims["tenant"], claims["roles"]) == ("ana", "operator", ["NORTH"])
    assert tokens.refresh_token
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in repr(tokens)


@pytest.mark.parametrize(("user", "password"), [("ana", "ben"), ("ana", ""), ("nobody", "nobody")])
async def test_log_in_with_a_wrong_user_or_password_fails(
    identity_servers: IdentityServers, user: str, password: str
) -> None:
    with pytest.raises(LoginFailed, match=user):
        await log_in(identity_servers.provider, identity_servers.front_end_secret, user, password)


async def test_log_in_without_the_clients_secret_fails(identity_servers: IdentityServers) -> None:
    with pytest.raises(LoginFailed):
        await log_in(identity_servers.provider, "another", "ana", "ana")


async def test_log_in_without_a_provider_fails_with_its_reason() -> None:
    with pytest.raises(LoginFailed, match="does not answer"):
        await log_in("http://127.0.0.1:9", "secret", "ana", "ana")
