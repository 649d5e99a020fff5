"""Who gets a token for what: over mutual TLS, with a real provider, exchange and database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from switchyard.identity.token_exchange import (
    IssuedToken,
    SubjectTokenRejected,
    TokenExchange,
    UserCredential,
)
from switchyard.protocol.grants import service_grant_id
from tests.integration.identity.identity_servers import WAREHOUSE, WORK_ORDERS, IdentityServers, claims_of
from tests.integration.identity.identity_service import (
    NORTH,
    SOUTH,
    Service,
    granted,
    next_second,
)


async def test_agent_with_the_task_gets_a_token_as_the_user(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    status, answer = await service.post("text_to_sql", "/token", request)

    assert status == 200
    claims = claims_of(answer["access_token"])
    assert (claims["sub"], claims["aud"], claims["scope"]) == ("user:ana", WAREHOUSE, NORTH[0])
    assert claims["act"]["sub"].endswith(identity_servers.client_of("text_to_sql").id)
    row = await service.owner.fetchrow("select * from identity.issued_token where jti = $1", answer["jti"])
    assert row is not None
    assert (row["agent"], str(row["case_id"]), row["audience"]) == ("text_to_sql", request["case_id"], WAREHOUSE)


async def test_second_task_of_a_grant_uses_the_cached_token(
    service: Service, identity_servers: IdentityServers
) -> None:
    grant = await granted(service, identity_servers)
    answers = [
        (await service.post("text_to_sql", "/token", await service.open_task(grant)))[1]["jti"] for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert await service.owner.fetchval("select count(*) from identity.issued_token where jti = $1", answers[0]) == 2


async def test_token_that_the_audience_did_not_accept_is_not_handed_out_again(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    first = (await service.post("text_to_sql", "/token", request))[1]["jti"]
    second = (await service.post("text_to_sql", "/token", request | {"instead_of": first}))[1]["jti"]
    assert second != first
    assert (await service.post("text_to_sql", "/token", request | {"instead_of": first}))[1]["jti"] == second
    assert (await service.post("text_to_sql", "/token", request))[1]["jti"] == second


async def test_concurrent_tasks_of_a_grant_cost_one_exchange(
    service: Service, identity_servers: IdentityServers
) -> None:
    grant = await granted(service, identity_servers)
    requests = [await service.open_task(grant) for _ in range(5)]
    answers = await asyncio.gather(*(service.post("text_to_sql", "/token", request) for request in requests))
    assert len({answer["jti"] for _, answer in answers}) == 1


async def test_concurrent_tasks_of_a_grant_share_the_failure_of_their_exchange(
    service: Service, identity_servers: IdentityServers, exchange: TokenExchange
) -> None:
    asked = 0

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(1)
        writer.write(b"HTTP/1.1 500 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    grant = await granted(service, identity_servers)
    requests = [await service.open_task(grant) for _ in range(5)]
    async with await asyncio.start_server(fail, "127.0.0.1", 0) as failing:
        exchange._endpoint = f"http://127.0.0.1:{failing.sockets[0].getsockname()[1]}/token"
        answers = await asyncio.gather(*(service.post("text_to_sql", "/token", request) for request in requests))
    assert [status for status, _ in answers] == [503] * 5
    assert asked == 1, "each task that waits would ask an exchange that does not answer again"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scopes": ["session:role:SOUTH"]}, "scope_not_granted"),
        ({"scopes": []}, "scope_not_granted"),
        ({"audience": "https://other.example"}, "audience_not_granted"),
        ({"audience": WORK_ORDERS, "scopes": ["work_orders:read"]}, "above_ceiling"),
        ({"case_id": str(uuid.uuid4())}, "task_not_open"),
        ({"task_id": str(uuid.uuid4())}, "task_not_open"),
    ],
)
async def test_token_beyond_the_grant_or_the_task_is_denied(
    service: Service, identity_servers: IdentityServers, change: dict[str, Any], code: str
) -> None:
    request = await service.open_task(await granted(service, identity_servers)) | change
    status, answer = await service.post("text_to_sql", "/token", request)
    assert (status, answer["error"]) == (403, code)


async def test_stolen_agent_cannot_use_another_users_grant(service: Service, identity_servers: IdentityServers) -> None:
    bens = await granted(service, identity_servers, "ben")
    own_task = await service.open_task(await granted(service, identity_servers, "ana"))
    status, answer = await service.post("text_to_sql", "/token", own_task | {"grant": bens, "scopes": list(SOUTH)})
    assert (status, answer["error"]) == (403, "grant_foreign")


@pytest.mark.parametrize("scopes", [("role:SOUTH",), ("role:NORTH", "role:SOUTH"), ()])
async def test_role_that_the_case_was_not_opened_in_is_denied(
    service: Service, identity_servers: IdentityServers, scopes: tuple[str, ...]
) -> None:
    for grant in (await granted(service, identity_servers), service_grant_id("upstream.jobs")):
        request = await service.open_task(grant, scopes=scopes)
        status, answer = await service.post("text_to_sql", "/token", request)
        assert (status, answer["error"]) == (403, "role_of_another_case")


async def test_agent_without_the_lease_is_denied(service: Service, identity_servers: IdentityServers) -> None:
    grant = await granted(service, identity_servers)
    ended = await service.open_task(grant, lease="-1 second")
    others = await service.open_task(grant, agent="drafter")
    for request in (ended, others):
        status, answer = await service.post("text_to_sql", "/token", request)
        assert (status, answer["error"]) == (403, "task_not_open")


async def test_case_that_is_closed_or_cancelled_gets_no_token(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    await service.owner.execute(
        "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'answered', $1)",
        request["case_id"],
    )
    status, answer = await service.post("text_to_sql", "/token", request)
    assert (status, answer["error"]) == (403, "task_not_open")


async def test_agent_that_the_grant_does_not_name_is_denied(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(await granted(service, identity_servers), agent="drafter")
    status, answer = await service.post("drafter", "/token", request)
    assert (status, answer["error"]) == (403, "agent_not_granted")


async def test_service_credential_that_is_rejected_needs_no_consent(
    service: Service, exchange: TokenExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def altered(client: Any, scopes: tuple[str, ...], *, now: float) -> UserCredential:
        return UserCredential("a.b.c", int(now) + 60, service=True)

    async def rejected(*_: Any, **__: Any) -> IssuedToken:
        raise SubjectTokenRejected("no")

    monkeypatch.setattr(exchange, "service_credential", altered)
    monkeypatch.setattr(exchange, "exchange", rejected)
    status, answer = await service.post(
        "text_to_sql", "/token", await service.open_task(service_grant_id("upstream.jobs"))
    )
    assert (status, answer["error"]) == (403, "exchange_denied")


def while_exchanging(
    exchange: TokenExchange, monkeypatch: pytest.MonkeyPatch, change: Callable[[], Awaitable[object]]
) -> list[str]:
    """Have something happen while the first exchange runs; the tokens of all exchanges."""
    ask, issued = exchange.exchange, list[str]()

    async def slow(*arguments: Any, **named: Any) -> IssuedToken:
        token = await ask(*arguments, **named)
        issued.append(token.jti)
        if len(issued) == 1:
            await change()
        return token

    monkeypatch.setattr(exchange, "exchange", slow)
    return issued


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("update identity.user_grant set revoked_at = now(), wrapped_key = null, credential = null", "needs_reauth"),
        ("update text_to_sql.inbox set outputs = '{}'", "task_not_open"),
    ],
)
async def test_grant_or_task_that_ends_during_the_exchange_gets_no_token(
    service: Service,
    identity_servers: IdentityServers,
    exchange: TokenExchange,
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    code: str,
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    [(column, value)] = [("grant_id", request["grant"])] if "user_grant" in sql else [("event_id", request["task_id"])]
    issued = while_exchanging(exchange, monkeypatch, lambda: service.owner.execute(f"{sql} where {column} = $1", value))
    status, answer = await service.post("text_to_sql", "/token", request)
    assert (status in {401, 403}, answer["error"]) == (True, code)
    assert await service.owner.fetchval("select count(*) from identity.issued_token where jti = any($1)", issued) == 0


async def test_grant_renewed_during_the_exchange_is_exchanged_anew(
    service: Service, identity_servers: IdentityServers, exchange: TokenExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await granted(service, identity_servers)
    request = await service.open_task(grant)
    await next_second()

    async def renew() -> None:
        await granted(service, identity_servers, jti=grant)

    issued = while_exchanging(exchange, monkeypatch, renew)
    status, answer = await service.post("text_to_sql", "/token", request)
    assert (status, len(issued)) == (200, 2)
    assert answer["jti"] == issued[1]


async def test_source_that_acts_for_itself_reads_with_its_own_grant(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(service_grant_id("upstream.jobs"))
    status, answer = await service.post("text_to_sql", "/token", request)
    assert status == 200, answer
    assert claims_of(answer["access_token"])["sub"] == f"client:{identity_servers.client_of('upstream.jobs').id}"

    wider = await service.post("text_to_sql", "/token", request | {"scopes": list(SOUTH)})
    assert (wider[0], wider[1]["error"]) == (403, "scope_not_granted")
    foreign = await service.open_task(service_grant_id("upstream.jobs"), tenant="another")
    assert (await service.post("text_to_sql", "/token", foreign))[0] == 403
    unknown = await service.open_task(service_grant_id("upstream.unknown"))
    assert (await service.post("text_to_sql", "/token", unknown))[0] == 403
