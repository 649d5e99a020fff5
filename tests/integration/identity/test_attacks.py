"""What a thief of an agent's certificate, a request or a token obtains from the identity service: nothing new."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.request import Request, urlopen

import pytest

from switchyard.audit.reconciliation.completeness import GapKind, RecordedEvent
from switchyard.audit.reconciliation.credentials import compare_credentials
from switchyard.audit.reconciliation.producers import Producers
from switchyard.identity.token_exchange import UserCredential
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import sign_grant
from tests.integration.conftest import PoolFor
from tests.integration.identity.identity_servers import WAREHOUSE, IdentityServers, claims_of
from tests.integration.identity.identity_service import KEY, NORTH, SOUTH, Service, granted

pytestmark = pytest.mark.integration


async def refused(service: Service, request: dict[str, Any], caller: str = "text_to_sql") -> str:
    """The reason; fails if there is a token."""
    status, answer = await service.post(caller, "/token", request)
    assert status in {401, 403}, answer
    assert "access_token" not in answer
    return str(answer["error"])


# A stolen certificate of an agent.


async def test_thief_of_a_certificate_gets_no_token_for_a_case_without_a_task(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    own = await service.open_task(await granted(service, identity_servers, "ana"))
    bens = await granted(service, identity_servers, "ben")
    others = await service.open_task(bens, agent="drafter") | {"scopes": list(SOUTH)}
    # It knows everything of the other's case: its id, its grant, its task.
    assert await refused(service, others) == "task_not_open"
    assert await refused(service, others | {"task_id": own["task_id"]}) == "task_not_open"
    assert await refused(service, own | {"grant": bens, "scopes": list(SOUTH)}) == "grant_foreign"
    assert await refused(service, own | {"case_id": others["case_id"], "grant": bens}) == "task_not_open"


async def test_thief_of_login_and_certificate_gets_the_cases_role_and_is_reported(
    service: Service,
    identity_servers: IdentityServers,
    pool_for: PoolFor,
) -> None:
    others = await service.open_task(await granted(service, identity_servers))
    # A case that it knows, and a task of its own making.
    invented = others | {"task_id": str(uuid.uuid4())}
    assert await refused(service, invented) == "task_not_open"
    thief = await pool_for("text_to_sql")
    await thief.execute(
        "insert into inbox (event_id, digest, case_id, type, token, claims, lease_until)"
        " values ($1, '', $2, 'AnswerQuestion', 1, 1, now() + interval '1 hour')",
        invented["task_id"],
        invented["case_id"],
    )
    status, answer = await service.post("text_to_sql", "/token", invented)
    assert (status, claims_of(answer["access_token"])["scope"]) == (200, NORTH[0])
    assert await refused(service, invented | {"scopes": list(SOUTH)}) == "scope_not_granted"
    unnamed = await service.open_task(await granted(service, identity_servers, agents=("field_routing",)))
    assert await refused(service, unnamed) == "agent_not_granted"

    issued = await Producers(await pool_for("reconciler"), ()).issued([invented["case_id"]])
    now = datetime.now(UTC) + timedelta(minutes=1)
    ending = RecordedEvent("case_manager", invented["case_id"], "e", "e" * 64, "CaseClosed", now, (), terminal=True)
    assert issued is not None
    gaps = compare_credentials(issued, [ending], settled_before=now + timedelta(minutes=1))
    assert [(gap.kind, gap.event_id) for gap in gaps] == [(GapKind.UNRECORDED, invented["task_id"])]


async def test_thief_of_a_certificate_gets_no_token_for_a_cancelled_case(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    await service.owner.execute(
        "insert into case_manager.control (kind, key, by, why) values ('cancelled_case', $1, 'oncall', '')",
        request["case_id"],
    )
    assert await refused(service, request) == "task_not_open"


ENDINGS = {
    "its case closed": "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'answered', $1)",
    "its outcome stored": "update text_to_sql.inbox set outputs = '{}' where case_id = $1",
    "its lease over": "update text_to_sql.inbox set lease_until = now() - interval '1 ms' where case_id = $1",
    "its command unknown": "delete from text_to_sql.inbox where case_id = $1",
    "its case never opened": "delete from case_manager.submission where case_id = $1",
}


@pytest.mark.parametrize("what", ENDINGS)
async def test_request_of_a_task_that_got_a_token_is_refused_when_replayed_after(
    what: str,
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    first, second = [await service.post("text_to_sql", "/token", request) for _ in range(2)]
    assert (first[0], second[0]) == (200, 200)
    assert first[1]["jti"] == second[1]["jti"], "a repeated request is the same token"
    await service.owner.execute(ENDINGS[what], request["case_id"])
    assert await refused(service, request) == "task_not_open", "although the token is still in the service's memory"


async def test_request_of_one_agent_replayed_by_another_is_refused(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    request = await service.open_task(await granted(service, identity_servers, agents=("text_to_sql", "drafter")))
    assert (await service.post("text_to_sql", "/token", request))[0] == 200
    assert await refused(service, request, caller="drafter") == "task_not_open"


@pytest.mark.parametrize(
    "scopes",
    [
        ["session:role:NORTH", "session:role:SOUTH"],
        ["session:role:*"],
        ["session:role:NORTH "],
        ["SESSION:ROLE:NORTH"],
        ["session:role:NORTH session:role:SOUTH"],
        ["session:role:NORTH\tsession:role:SOUTH"],
        ["work_orders:read"],
    ],
)
async def test_wider_or_disguised_scope_gets_no_token(
    scopes: list[str],
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    request = await service.open_task(await granted(service, identity_servers)) | {"scopes": scopes}
    status, answer = await service.post("text_to_sql", "/token", request)
    assert status in {400, 403}, answer
    assert "access_token" not in answer


@pytest.mark.parametrize("audience", [WAREHOUSE + "/", WAREHOUSE.upper(), WAREHOUSE + "@evil.example", "*"])
async def test_audience_that_resembles_the_granted_one_gets_no_token(
    audience: str,
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    request = await service.open_task(await granted(service, identity_servers)) | {"audience": audience}
    assert await refused(service, request) == "audience_not_granted"


# Tokens that are not the user's for this service.


def altered(token: str, **header: str) -> str:
    """The token with another header and the old signature."""
    head, payload, signature = token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))) | header
    changed = base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()
    return ".".join((changed, payload, "" if header.get("alg") == "none" else signature))


async def register(service: Service, token: str, like: str | None = None, **changed: Any) -> tuple[int, Any]:
    """Register ana's grant with this token; the grant is of the log-in that gave it, or another one."""
    claims = claims_of(like or token)
    values: dict[str, Any] = {
        "iss": "upstream.api", "jti": "6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e", "sub": "ana", "tenant": claims["tenant"],
        "agents": ("text_to_sql",), "scopes": NORTH, "audiences": (WAREHOUSE,), "iat": int(claims["iat"]),
        "exp": int(claims["exp"]),
    }  # fmt: skip
    statement = sign_grant(GrantClaims.model_validate(values | changed), "k1", KEY)
    return await service.post("ingress", "/grants", {"grant": statement, "token": token})


async def test_token_of_another_issuer_audience_signature_or_algorithm_registers_no_grant(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    request = await service.open_task(await granted(service, identity_servers))
    exchanged = (await service.post("text_to_sql", "/token", request))[1]["access_token"]
    own = identity_servers.log_in("ana").token
    tokens = {
        "of the exchange, for the warehouse": exchanged,
        "unsigned": altered(own, alg="none"),
        "signed with a shared key": altered(own, alg="HS256"),
        "of an unknown key": altered(own, kid="another"),
        "altered": own[:-8] + "AAAAAAAA",
        "of another user": identity_servers.log_in("ben").token,
        "a refresh token": str(identity_servers.log_in("ana").refresh_token),
        "none": "",
    }
    for what, token in tokens.items():
        status, answer = await register(service, token, like=own)
        assert status in {403, 503}, (what, answer)
        assert token == "" or token not in json.dumps(answer), what
    assert (await register(service, own))[0] == 201


async def test_older_grant_replayed_with_its_token_does_not_widen_a_later_one(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    earlier = identity_servers.log_in("ana").token
    await asyncio.sleep(1.1)  # log-ins differ by the second
    later = identity_servers.log_in("ana").token
    jti = "7c1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e"
    wide: dict[str, Any] = {"jti": jti, "scopes": (*NORTH, "work_orders:read"), "iat": int(claims_of(earlier)["iat"])}
    narrow = wide | {"scopes": NORTH, "iat": int(claims_of(later)["iat"])}
    for token, fields in ((earlier, wide), (later, narrow), (earlier, wide)):
        await register(service, token, **fields)
    request = await service.open_task(jti)
    assert (await service.post("text_to_sql", "/token", request))[0] == 200
    assert await refused(service, request | {"scopes": ["work_orders:read"]}) == "scope_not_granted"


# Keys that rotate.


def rotate(servers: IdentityServers) -> None:
    """Have the identity provider sign with a new key, as its operator does."""
    settings = json.loads((servers.clients.parent.parent / "provider" / "settings.yaml").read_text())
    headers = {"X-Management-Secret": settings["session"]["management_secret"], "Content-Type": "application/json"}
    with urlopen(Request(f"{servers.provider}/api/keys/rotate", b"{}", headers, method="POST"), timeout=10) as answer:
        assert answer.status == 200


def kid_of(credential: UserCredential) -> str:
    head = credential.token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


async def test_rotation_of_the_providers_keys_refuses_no_user_and_no_task(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    before = await granted(service, identity_servers)
    old = identity_servers.log_in("ana")
    rotate(identity_servers)
    new = identity_servers.log_in("ana")
    assert kid_of(old) != kid_of(new)

    async def settled(ask: Callable[[], Awaitable[tuple[int, Any]]]) -> int:
        """The answer that counts: the keys may have been fetched a moment ago, which is no refusal."""
        for _ in range(60):
            status, answer = await ask()
            if status != 503:
                return status
            assert answer["error"] in {"identity_provider", "token_exchange", "token_endpoint"}
            await asyncio.sleep(1)
        return 503

    for credential in (old, new):
        assert await settled(partial(register, service, credential.token)) == 201
    for grant in (before, "6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e"):
        request = await service.open_task(grant)
        assert await settled(partial(service.post, "text_to_sql", "/token", request)) == 200
