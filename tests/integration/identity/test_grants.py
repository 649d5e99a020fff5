"""A grant from its registration to its end: renewal, revocation, refresh and forgetting."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from switchyard.identity.token_exchange import (
    IdentityProvider,
    UserCredential,
)
from switchyard.identity.token_issuer import MAX_REFRESHES
from switchyard.processes.identity import _forget
from tests.integration.identity.identity_servers import IdentityServers
from tests.integration.identity.identity_service import (
    STRANGER,
    Service,
    granted,
    next_second,
    revocation,
)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"sub": "ben"}, "sub"),
        ({"tenant": "another"}, "tenant"),
        ({"scopes": ("session:role:ADMIN",)}, "scopes"),
        ({"key": STRANGER}, "grant"),
        ({"iss": "upstream.other"}, "grant"),
        ({"exp": 1}, "exp"),
        ({"exp": 2**40}, "exp"),
    ],
)
async def test_grant_that_the_users_token_does_not_permit_is_refused(
    service: Service, identity_servers: IdentityServers, changed: dict[str, Any], field: str
) -> None:
    status, answer = await service.grant(identity_servers, "ana", **changed)
    assert (status, answer["field"]) == (403, field)


async def test_refreshes_leave_connections_for_other_requests(
    service: Service, identity_servers: IdentityServers, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh, running, most = provider.refresh, 0, 0

    async def slow(refresh_token: str, *, now: float) -> UserCredential:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.3)
        running -= 1
        return await refresh(refresh_token, now=now)

    monkeypatch.setattr(provider, "refresh", slow)
    ends = int(time.time()) + 86_400
    grants = [await granted(service, identity_servers, refresh=True, exp=ends) for _ in range(4)]
    requests = [await service.open_task(grant, lease="3 hours") for grant in grants]
    service.clock.shift_s = 3_600
    answers = await asyncio.gather(*(service.post("text_to_sql", "/token", request) for request in requests))
    assert [status for status, _ in answers] == [200] * 4
    assert most == MAX_REFRESHES


async def test_grant_of_another_user_cannot_be_renewed(service: Service, identity_servers: IdentityServers) -> None:
    grant = await granted(service, identity_servers, "ana")
    status, answer = await service.grant(identity_servers, "ben", jti=grant)
    assert (status, answer["error"]) == (403, "grant_foreign")


async def test_revoked_grant_needs_consent_until_it_is_renewed(
    service: Service, identity_servers: IdentityServers
) -> None:
    grant = await granted(service, identity_servers)
    request = await service.open_task(grant)
    assert (await service.post("text_to_sql", "/token", request))[0] == 200
    assert (await service.post("ingress", "/revocations", revocation(grant)))[0] == 204

    status, answer = await service.post("text_to_sql", "/token", request)
    assert (status, answer["error"]) == (401, "needs_reauth")
    assert await service.owner.fetchval("select credential from identity.user_grant where grant_id = $1", grant) is None

    await next_second()
    await granted(service, identity_servers, jti=grant)
    assert (await service.post("text_to_sql", "/token", request))[0] == 200


async def test_expired_token_is_refreshed_once_for_all_tasks(
    service: Service, identity_servers: IdentityServers
) -> None:
    grant = await granted(service, identity_servers, refresh=True, exp=int(time.time()) + 86_400)
    service.clock.shift_s = 3_600
    requests = [await service.open_task(grant, lease="3 hours") for _ in range(4)]
    answers = await asyncio.gather(*(service.post("text_to_sql", "/token", request) for request in requests))
    assert [status for status, _ in answers] == [200] * 4


async def test_expired_token_without_a_refresh_token_needs_consent(
    service: Service, identity_servers: IdentityServers
) -> None:
    grant = await granted(service, identity_servers, exp=int(time.time()) + 86_400)
    request = await service.open_task(grant, lease="3 hours")
    service.clock.shift_s = 3_600
    status, answer = await service.post("text_to_sql", "/token", request)
    assert (status, answer["error"]) == (401, "needs_reauth")


async def test_refreshed_token_that_does_not_permit_the_grant_needs_consent(
    service: Service, identity_servers: IdentityServers, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await granted(service, identity_servers, refresh=True, exp=int(time.time()) + 86_400)
    request = await service.open_task(grant, lease="3 hours")
    service.clock.shift_s = 3_600
    refreshes = 0

    async def other(refresh_token: str, *, now: float) -> UserCredential:
        nonlocal refreshes
        refreshes += 1
        return UserCredential(identity_servers.log_in("ben").token, int(now) + 3_600, "rotated", refreshed=True)

    monkeypatch.setattr(provider, "refresh", other)
    for _ in range(2):
        status, answer = await service.post("text_to_sql", "/token", request)
        assert (status, answer["error"]) == (401, "needs_reauth")
    assert refreshes == 2, "each request asks whether the user has the right again"
    registered = await service.store.find(grant)
    assert registered is not None
    kept = await service.store.open(grant, registered)
    assert kept is not None
    assert kept.refresh_token == "rotated"


async def test_grant_is_forgotten_sixty_days_after_its_expiry(
    service: Service, identity_servers: IdentityServers
) -> None:
    old, recent = [await granted(service, identity_servers) for _ in range(2)]
    request = await service.open_task(old)
    issued = (await service.post("text_to_sql", "/token", request))[1]["jti"]
    for grant, days in ((old, 61), (recent, 59)):
        await service.owner.execute(
            f"update identity.user_grant set expires_at = now() - interval '{days} days' where grant_id = $1", grant
        )
    await _forget(service.store)
    rows = await service.owner.fetch(
        "select grant_id::text, credential from identity.user_grant where grant_id = any($1::uuid[])", [old, recent]
    )
    assert [tuple(row) for row in rows] == [(recent, None)]
    assert await service.owner.fetchval("select count(*) from identity.issued_token where jti = $1", issued) == 1
