"""The identity service over mutual TLS, with a real provider, exchange and database: what a thief cannot obtain."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from switchyard.devstack.identity.certificates import CA_FILE, write_certificates
from switchyard.devstack.identity.provider import AUDIENCE
from switchyard.identity.api import IdentityApi, UserTokens
from switchyard.identity.client import ConsentRequired, IdentityClient
from switchyard.identity.grant_store import GrantStore
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.identity.permissions import AgentCeiling, ServiceGrant
from switchyard.identity.task_evidence import WorkDatabaseEvidence
from switchyard.identity.tls import client_tls
from switchyard.identity.token_exchange import (
    IdentityProvider,
    IssuedToken,
    SubjectTokenRejected,
    TokenExchange,
    UserCredential,
)
from switchyard.identity.token_issuer import MAX_REFRESHES, TokenIssuer
from switchyard.processes.identity import _forget
from switchyard.protocol.events.router import Wait
from switchyard.protocol.grants import GrantClaims, service_grant_id
from switchyard.protocol.principal_jws import import_private_key, import_public_key, sign_grant
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.signing import derive_public_key
from switchyard.runtime.core.task import Task
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.process.web import MutualTls, WebServer
from tests.integration.conftest import PoolFor
from tests.integration.events import command, envelope_of, fresh_id, rewritten
from tests.integration.identity.conftest import WAREHOUSE, WORK_ORDERS, IdentityServers
from tests.integration.identity.test_token_exchange import claims_of
from tests.integration.infrastructure import Infrastructure, Owner
from tests.token_search import leaks_in_database

SOURCE = "upstream.api"
SEED = bytes(range(32))
KEY = import_private_key(SEED)
STRANGER = import_private_key(bytes(32))
NORTH, SOUTH = ("session:role:NORTH",), ("session:role:SOUTH",)
Answer = tuple[int, dict[str, Any]]


class ShiftedNow:
    """The real time, moved by the test."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.shift_s, UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self.shift_s


@dataclass
class Service:
    """The running service, and a caller for each certificate."""

    url: str
    certificates: Path
    owner: Owner
    clock: ShiftedNow
    http: aiohttp.ClientSession
    store: GrantStore
    cases: list[str] = field(default_factory=list)

    async def post(self, caller: str, path: str, body: Any) -> Answer:
        tls = client_tls(
            ca=self.certificates / CA_FILE,
            certificate=self.certificates / f"{caller}.pem",
            key=self.certificates / f"{caller}.key",
        )
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(f"{self.url}{path}", data=data, ssl=tls) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    async def grant(self, servers: IdentityServers, user: str, *, key: Any = KEY, **changed: Any) -> Answer:
        """Register a user's grant, as the ingress does after a log-in."""
        credential = servers.log_in(user)
        claims = claims_of(credential.token)
        values: dict[str, Any] = {
            "iss": SOURCE,
            "jti": str(uuid.uuid4()),
            "sub": user,
            "tenant": claims["tenant"],
            "agents": ("text_to_sql", "field_routing"),
            "scopes": (*(f"session:role:{role}" for role in claims["roles"]), "work_orders:read"),
            "audiences": (WAREHOUSE, WORK_ORDERS),
            "iat": int(claims["iat"]),
            "exp": int(claims["exp"]),
        }
        refresh = changed.pop("refresh", False)
        statement = sign_grant(GrantClaims.model_validate(values | changed), "k1", key)
        body = {"grant": statement, "token": credential.token}
        if refresh:
            body["refresh_token"] = str(credential.refresh_token)
        return await self.post("ingress", "/grants", body)

    async def open_task(
        self,
        grant: str,
        *,
        agent: str = "text_to_sql",
        tenant: str = "operator",
        lease: str = "1 hour",
        scopes: tuple[str, ...] = ("role:NORTH",),
    ) -> dict[str, Any]:
        """A case of that grant's user and a task of it that the agent holds; as a request for a token."""
        case_id, task_id = str(uuid.uuid4()), str(uuid.uuid4())
        principal = {"grant_ref": grant, "scopes": scopes}
        facts = {"pinned": {"tenant": tenant, "principal": principal}, "payload": {}}
        await self.owner.execute(
            "insert into case_manager.submission (case_id, payload_mac, playbook, facts, opened_id)"
            " values ($1, '', 'assist', $2, $1)",
            case_id,
            json.dumps(facts),
        )
        await self.owner.execute(
            f"insert into {agent}.inbox (event_id, digest, case_id, type, token, claims, lease_until)"
            f" values ($1, '', $2, 'AnswerQuestion', 1, 1, now() + interval '{lease}')",
            task_id,
            case_id,
        )
        return {"grant": grant, "case_id": case_id, "task_id": task_id, "audience": WAREHOUSE, "scopes": NORTH}


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


async def granted(service: Service, servers: IdentityServers, user: str = "ana", **changed: Any) -> str:
    status, answer = await service.grant(servers, user, **changed)
    assert status == 201, answer
    return str(answer["grant"])


def revocation(grant: str, **changed: str) -> dict[str, str]:
    return {"grant": grant, "sub": "ana", "tenant": "operator"} | changed


async def next_second() -> None:
    """Tokens are dated in whole seconds: a log-in in the second of a revocation counts as one before it."""
    await asyncio.sleep(1.05 - time.time() % 1)


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


@pytest.mark.parametrize(
    ("caller", "path"), [("text_to_sql", "/grants"), ("text_to_sql", "/revocations"), ("ingress", "/token")]
)
async def test_caller_of_the_wrong_kind_is_refused(service: Service, caller: str, path: str) -> None:
    assert await service.post(caller, path, {}) == (
        403,
        {"error": "caller_not_allowed", "message": "this certificate may not call this", "field": None},
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


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 5_000, b'{"grant": 1}', b"\xff", b"x" * 70_000])
async def test_invalid_body_is_refused_with_its_reason(service: Service, body: bytes) -> None:
    for caller, path in (("ingress", "/grants"), ("ingress", "/revocations"), ("text_to_sql", "/token")):
        status, answer = await service.post(caller, path, body)
        assert status in (400, 413)
        assert answer["message"]


async def test_unexpected_failure_is_answered_and_raises_an_alarm(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    # Facts that no release of ours writes.
    await service.owner.execute(
        """update case_manager.submission set facts = '{"pinned": {}, "payload": {}}' where case_id = $1""",
        request["case_id"],
    )
    with capture_logs() as lines:
        status, answer = await service.post("text_to_sql", "/token", request)
    assert (status, answer["error"]) == (500, "failed")
    assert [line["alarm"] for line in lines if line["event"] == "identity.failed"] == ["tick"]


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


async def test_database_holds_no_token(
    service: Service, identity_servers: IdentityServers, infrastructure: Infrastructure
) -> None:
    request = await service.open_task(await granted(service, identity_servers, refresh=True))
    status, answer = await service.post("text_to_sql", "/token", request)
    assert status == 200
    issued = [answer["access_token"]]
    assert await service.owner.fetchval("select count(*) from identity.user_grant where credential is not null")
    assert [leak async for leak in leaks_in_database(infrastructure.owner_url(), issued)] == []


async def test_client_gets_the_token_and_records_the_access(
    service: Service, identity_servers: IdentityServers
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    principal = {
        "sub": "service:upstream.api",
        "tenant": "operator",
        "subject": fresh_id(),
        "grant_ref": request["grant"],
    }
    event = command(request["case_id"], known=False)
    event = rewritten(event, event_id=request["task_id"], principal=principal)
    task = Task(ReceivedEvent(envelope_of(event), Wait(), event), attempt=1, deadline=None)
    folder = service.certificates
    tls = client_tls(ca=folder / CA_FILE, certificate=folder / "text_to_sql.pem", key=folder / "text_to_sql.key")
    client = IdentityClient(service.http, service.url, agent="text_to_sql", tls=tls)

    token = await client.token(task, audience=WAREHOUSE, scopes=NORTH)
    assert claims_of(token.token)["sub"] == "user:ana"
    assert [access.jti for access in task.accesses] == [claims_of(token.token)["jti"]]
    assert token.token not in repr(token)

    await service.post("ingress", "/revocations", revocation(request["grant"]))
    with pytest.raises(ConsentRequired):
        await client.token(task, audience=WAREHOUSE, scopes=NORTH)
