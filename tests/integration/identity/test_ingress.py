"""The ingress function with a real identity provider and the identity service: what its users can and cannot do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.api.user_tokens import TokenVerifier
from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.devstack.identity.provider import AUDIENCE, provider_settings
from switchyard.devstack.identity.servers import PROVIDER_PROGRAM, server_program
from switchyard.identity.jwt_verifier import JWKS_MIN_REFETCH_S, JwtVerifier
from switchyard.ingress.grants import Grants
from switchyard.ingress.handler import Ingress, respond
from switchyard.ingress.identity_service import IdentityService, TlsSource, tls_of_secret
from switchyard.ingress.principal import PrincipalSigner
from switchyard.ingress.settings import GrantPolicy
from switchyard.protocol.events.upstream import GrantRenewed
from switchyard.protocol.fields import Json
from switchyard.protocol.principal_jws import verify_grant
from tests.integration.identity.identity_servers import USERS, WAREHOUSE, IdentityServers
from tests.integration.identity.identity_service import SEED, SOURCE, Service, next_second
from tests.integration.serving import free_port

pytestmark = pytest.mark.integration

POLICY = GrantPolicy(agents=("text_to_sql",), audiences=(WAREHOUSE,), role_scope="session:role:", hours=1)


@dataclass
class Door:
    """The function, and what it has put on the bus."""

    function: Ingress
    service: Service
    events: list[tuple[str, Json]] = field(default_factory=list)

    async def post(self, route: str, token: str, body: Json) -> tuple[int, Json]:
        event = {
            "httpMethod": "POST",
            "path": f"/v1/{route}",
            "headers": {"Authorization": f"Bearer {token}", "X-Session-Id": "s-1"},
            "body": json.dumps(body),
        }
        answer = await asyncio.to_thread(respond, event, self.function)
        return answer["statusCode"], json.loads(answer["body"])

    async def ask(self, token: str, key: str = "k-1") -> tuple[int, Json]:
        return await self.post("cases", token, {"question": "Which wells are shut in?", "idempotency_key": key})

    async def read_as(self, grant: str, **request: Any) -> tuple[int, Json]:
        """What the agent is answered that has a task of a case with this grant."""
        return await self.service.post("text_to_sql", "/token", await self.service.open_task(grant) | request)

    def restarted(self) -> Door:
        """Another process of the function: it remembers no grant."""
        return replace(self, function=replace(self.function, grants=grants_of(self.service, self.service.url)))


def certificate(service: Service, name: str) -> str:
    folder = service.certificates
    files = {"ca": folder / CA_FILE, "certificate": folder / f"{name}.pem", "key": folder / f"{name}.key"}
    return json.dumps({part: file.read_text() for part, file in files.items()})


def grants_of(service: Service, url: str, caller: str = "ingress") -> Grants:
    return Grants(IdentityService(url, TlsSource(lambda: certificate(service, caller))), POLICY, SOURCE)


def token_verifier(servers: IdentityServers) -> TokenVerifier:
    verifier = JwtVerifier(issuer=servers.provider, fetch=lambda: servers.jwks(servers.provider))
    return TokenVerifier(verifier, audience=AUDIENCE, tenant_claim="tenant", role_claim="roles")


@pytest.fixture
def door(service: Service, identity_servers: IdentityServers) -> Door:
    events: list[tuple[str, Json]] = []
    signer = PrincipalSigner(source=SOURCE, fetch=lambda: json.dumps({"k1": SEED.hex()}))
    function = Ingress(
        token_verifier(identity_servers),
        signer,
        grants_of(service, service.url),
        lambda *event: events.append(event),
        SOURCE,
        CaseSubmitted,
        open_question,
    )
    return Door(function, service, events)


async def test_user_asks_and_the_agent_reads_with_the_users_role(door: Door, identity_servers: IdentityServers) -> None:
    token = identity_servers.log_in("ana").token
    status, answer = await door.ask(token)
    assert status == 202
    [(type_, detail)] = door.events
    submitted = CaseSubmitted.model_validate_json(json.dumps(detail))
    assert (type_, submitted.user_id, submitted.role) == ("CaseSubmitted", "ana", "NORTH")
    assert token not in json.dumps(detail)
    status, issued = await door.read_as(answer["grant"])
    assert status == 200
    assert (await door.read_as(answer["grant"], scopes=["session:role:SOUTH"]))[1]["error"] == "scope_not_granted"
    assert issued["access_token"] not in json.dumps(door.events)


async def test_token_of_the_exchange_or_with_an_altered_part_opens_no_case(
    door: Door, identity_servers: IdentityServers
) -> None:
    token = identity_servers.log_in("ana").token
    _, answer = await door.ask(token)
    _, issued = await door.read_as(answer["grant"])
    head, payload, signature = token.split(".")
    bens = identity_servers.log_in("ben").token.split(".")
    hostile = (
        issued["access_token"],  # for the warehouse, of another issuer
        f"{head}.{bens[1]}.{signature}",
        f"{head}.{payload}.{bens[2]}",
        f"eyJhbGciOiJub25lIn0.{payload}.",
        answer["grant"],
        str(verify_grant),
    )
    door.events.clear()
    for text in hostile:
        status, problem = await door.ask(text)
        assert (status, problem["field"]) == (401, "authorization")
    assert door.events == []


async def test_revoked_grant_is_not_renewed_by_the_same_token(door: Door, identity_servers: IdentityServers) -> None:
    token = identity_servers.log_in("ana").token
    grant = (await door.ask(token))[1]["grant"]
    assert await door.post("revocations", token, {"grant": grant}) == (200, {"grant": grant, "revoked": True})
    for function in (door, door.restarted()):
        # The question is taken, the case will wait for its user; only a new log-in lets it go on.
        assert (await function.ask(token))[0] == 202
        status, problem = await function.post("consents", token, {"grant": grant})
        assert (status, problem["title"]) == (401, "Log in again")
        assert (await function.read_as(grant))[1]["error"] == "needs_reauth"
    await next_second()
    door.events.clear()
    status, answer = await door.post("consents", identity_servers.log_in("ana").token, {"grant": grant})
    assert (status, answer["grant"]) == (202, grant)
    [(type_, detail)] = door.events
    renewed = GrantRenewed.model_validate_json(json.dumps(detail))
    assert (type_, renewed.tenant) == ("GrantRenewed", "operator")
    assert (await door.read_as(grant))[0] == 200
    assert (await door.restarted().ask(token))[0] == 202
    assert (await door.read_as(grant))[0] == 200, "the old token has not replaced the new one"


@pytest.mark.parametrize("route", ["consents", "revocations"])
async def test_grant_of_another_user_is_neither_renewed_nor_revoked(
    door: Door, identity_servers: IdentityServers, route: str
) -> None:
    grant = (await door.ask(identity_servers.log_in("ana").token))[1]["grant"]
    door.events.clear()
    status, problem = await door.post(route, identity_servers.log_in("ben").token, {"grant": grant})
    assert (status, problem["field"], door.events) == (403, "grant", [])
    assert (await door.read_as(grant))[0] == 200


@pytest.mark.parametrize("route", ["consents", "revocations"])
async def test_grant_that_nobody_registered_is_not_found(
    door: Door, identity_servers: IdentityServers, route: str
) -> None:
    grant = str(uuid.uuid4())
    status, problem = await door.post(route, identity_servers.log_in("ana").token, {"grant": grant})
    assert (status, problem["field"], door.events) == (404, "grant", [])
    known = await door.service.owner.fetchval("select count(*) from identity.user_grant where grant_id = $1", grant)
    assert known == 0


@pytest.mark.parametrize("caller", ["text_to_sql", "nobody"])
async def test_function_without_its_own_certificate_submits_nothing(
    door: Door, identity_servers: IdentityServers, caller: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = identity_servers.log_in("ana").token
    url = door.service.url if caller == "text_to_sql" else "https://127.0.0.1:9"
    stranger = grants_of(door.service, url, "text_to_sql")
    status, problem = await replace(door, function=replace(door.function, grants=stranger)).ask(token)
    assert (status, door.events) == (503, [])
    assert "again" in problem["remedy"]
    assert token not in caplog.text
    # The same request is answered once the service is.
    first, again = await door.ask(token), await door.ask(token)
    assert first == again
    assert first[0] == 202


@pytest.mark.parametrize("secret", ["", "[]", "{}", '{"ca": 1}', '{"ca": "x", "certificate": "y", "key": "zz-secret"}'])
def test_unusable_certificate_is_reported_without_its_text(secret: str) -> None:
    with pytest.raises(Exception, match="certificate for the identity service is unusable") as failed:
        tls_of_secret(secret)
    assert "zz-secret" not in str(failed.value)


@contextmanager
def rotating_provider(home: Path, secret: str) -> Iterator[IdentityServers]:
    """An identity provider whose keys can be rotated."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = provider_settings(issuer=url, port=port, secret="front-end-secret", token_minutes=5)
    (home / "settings.yaml").write_text(json.dumps(settings | {"session": {"management_secret": secret}}))
    (home / "users.yaml").write_text(json.dumps(USERS))
    program = server_program(PROVIDER_PROGRAM)
    arguments = [program, "--config", str(home), "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(arguments, cwd=home, env=os.environ, stdout=log, stderr=log)
    servers = IdentityServers(url, url, "front-end-secret", home)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                servers.jwks(url)
                break
            except OSError:
                assert time.monotonic() < deadline, (home / "log").read_text()[-2000:]
                time.sleep(0.1)
        yield servers
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def test_rotation_of_the_providers_keys_interrupts_no_user(tmp_path: Path) -> None:
    with rotating_provider(tmp_path, "management-secret") as servers:
        now = [time.time()]
        verifier = JwtVerifier(
            issuer=servers.provider, fetch=lambda: servers.jwks(servers.provider), now=lambda: now[0]
        )
        tokens = TokenVerifier(verifier, audience=AUDIENCE, tenant_claim="tenant", role_claim="roles")
        before = servers.log_in("ana").token
        assert tokens.authenticated_user(f"Bearer {before}").user_id == "ana"
        request = Request(
            f"{servers.provider}/api/keys/rotate", b"{}",
            {"Content-Type": "application/json", "X-Management-Secret": "management-secret"}, method="POST",
        )  # fmt: skip
        urlopen(request, timeout=10).close()
        after = servers.log_in("ben").token
        assert header_of(before)["kid"] != header_of(after)["kid"]
        now[0] += JWKS_MIN_REFETCH_S
        for token, user in ((after, "ben"), (before, "ana")):
            assert tokens.authenticated_user(f"Bearer {token}").user_id == user


def header_of(token: str) -> Any:
    from switchyard.protocol.principal_jws import read_jws_header

    return read_jws_header(token)
