"""From the user's log-in to rows of the warehouse,: a stolen agent obtains no more than its task permits."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from demo.oil_field.warehouse import oil_field_schema
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.handlers import answer_question
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.warehouse import (
    QueryLimits,
    SnowflakeWarehouse,
    TokenNotAccepted,
    WarehouseEndpoint,
)
from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.identity.client import IdentityClient, UserToken
from switchyard.identity.tls import client_tls
from switchyard.identity.token_exchange import TokenExchange
from switchyard.protocol.events.failures import ReauthNeeded
from switchyard.protocol.events.router import Wait
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.core.task import Task, TaskResult
from tests.integration.events import command, envelope_of, fresh_id, rewritten
from tests.integration.identity.identity_servers import WAREHOUSE, WORK_ORDERS, IdentityServers, claims_of
from tests.integration.identity.identity_service import Service, granted

pytestmark = pytest.mark.integration
SAME = guard_query("SELECT basin, COUNT(*) AS wells FROM wells GROUP BY basin", oil_field_schema())
ROLES = {"cara": "FIELD_PERMIAN", "dan": "FIELD_WILLISTON"}
ROWS = {"cara": (("Permian", 114),), "dan": (("Williston", 40),)}


@pytest.fixture(scope="module")
def endpoint(identity_servers: IdentityServers) -> Iterator[WarehouseEndpoint]:
    """The warehouse, which believes the real exchange only."""
    command = [
        *(sys.executable, "-m", "demo.oil_field", "serve"),
        *("--issuer", identity_servers.exchange, "--audience", WAREHOUSE),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        yield WarehouseEndpoint("local", "OILFIELD", "PROD", host="127.0.0.1", port=port, protocol="http")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def client_of(service: Service) -> IdentityClient:
    folder = service.certificates
    tls = client_tls(ca=folder / CA_FILE, certificate=folder / "text_to_sql.pem", key=folder / "text_to_sql.key")
    return IdentityClient(service.http, service.url, agent="text_to_sql", tls=tls)


async def task_of(service: Service, grant: str, role: str) -> Task[Any]:
    """A task of a case of this grant's user, which the agent holds."""
    request = await service.open_task(grant, scopes=(f"role:{role}",))
    principal = {
        "sub": "service:upstream.api",
        "tenant": "operator",
        "subject": fresh_id(),
        "grant_ref": grant,
        "scopes": [f"role:{role}"],
    }
    event = rewritten(command(request["case_id"], known=False), event_id=request["task_id"], principal=principal)
    return Task(ReceivedEvent(envelope_of(event), Wait(), event), attempt=1, deadline=None)


async def token_of(service: Service, servers: IdentityServers, user: str) -> tuple[UserToken, Task[Any]]:
    task = await task_of(service, await granted(service, servers, user), ROLES[user])
    scopes = (f"session:role:{ROLES[user]}",)
    return await client_of(service).token(task, audience=WAREHOUSE, scopes=scopes), task


async def ask(endpoint: WarehouseEndpoint, token: UserToken, role: str, case_id: str = "case-1") -> Rows:
    return await SnowflakeWarehouse(endpoint, token).run(SAME, case_id=case_id, role=role, limits=QueryLimits())


def queries(endpoint: WarehouseEndpoint) -> list[dict[str, Any]]:
    with urlopen(f"http://{endpoint.host}:{endpoint.port}/queries", timeout=5) as answer:
        listed: list[dict[str, Any]] = json.load(answer)["queries"]
        return listed


async def test_two_users_get_their_own_rows_for_the_same_statement(
    service: Service,
    identity_servers: IdentityServers,
    endpoint: WarehouseEndpoint,
) -> None:
    tokens = {user: await token_of(service, identity_servers, user) for user in ROLES}
    found = await asyncio.gather(
        *(ask(endpoint, tokens[user][0], ROLES[user], tokens[user][1].envelope.case_id) for user in ROLES)
    )
    assert {user: rows.rows for user, rows in zip(ROLES, found, strict=True)} == ROWS
    assert found[0].sql == found[1].sql
    history = {each["user"]: each for each in queries(endpoint)}
    for user, (token, task) in tokens.items():
        entry = history[f"user:{user}"]
        assert (entry["jti"], entry["role"]) == (token.access.jti, ROLES[user])
        assert entry["actor"].endswith(identity_servers.client_of("text_to_sql").id)
        assert json.loads(entry["query_tag"]) == {
            "case": task.envelope.case_id,
            "agent": "text_to_sql",
            "user": task.envelope.principal.subject,
        }


async def test_token_of_one_user_opens_no_session_in_the_role_of_another(
    service: Service,
    identity_servers: IdentityServers,
    endpoint: WarehouseEndpoint,
) -> None:
    token, _ = await token_of(service, identity_servers, "cara")
    for role in ("FIELD_WILLISTON", "FIELD_ALL"):
        with pytest.raises(PermanentTaskError) as refused:
            await ask(endpoint, token, role)
        assert refused.value.code == "role_not_granted"


async def test_token_of_the_user_themselves_or_for_another_audience_opens_no_session(
    service: Service,
    identity_servers: IdentityServers,
    exchange: TokenExchange,
    endpoint: WarehouseEndpoint,
) -> None:
    good, _ = await token_of(service, identity_servers, "cara")
    of_login = identity_servers.log_in("cara")
    with pytest.raises(TokenNotAccepted):
        await ask(endpoint, UserToken(of_login.token, good.access), "FIELD_PERMIAN")
    elsewhere = await exchange.exchange(
        identity_servers.log_in("ana"),
        user="ana",
        agent="field_routing",
        audience=WORK_ORDERS,
        scopes=("work_orders:read",),
        now=float(claims_of(of_login.token)["iat"]),
    )
    with pytest.raises(TokenNotAccepted):
        await ask(endpoint, UserToken(elsewhere.token, good.access), "FIELD_PERMIAN")


async def test_wider_role_for_the_own_task_is_denied_by_the_identity_service(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    _, task = await token_of(service, identity_servers, "cara")
    with pytest.raises(PermanentTaskError) as denied:
        await client_of(service).token(task, audience=WAREHOUSE, scopes=("session:role:FIELD_WILLISTON",))
    assert denied.value.code == "scope_not_granted"


async def test_revoked_grant_makes_the_question_wait_for_the_user(
    service: Service,
    identity_servers: IdentityServers,
    endpoint: WarehouseEndpoint,
) -> None:
    grant = await granted(service, identity_servers, "cara")
    await service.owner.execute(
        "update identity.user_grant set revoked_at = now(), wrapped_key = null, credential = null where grant_id = $1",
        grant,
    )
    unused: Any = None
    result = await answer_question(
        await task_of(service, grant, "FIELD_PERMIAN"),
        artefacts=unused,
        model=unused,
        agent=unused,
        check=unused,
        endpoint=endpoint,
        identity=client_of(service),
        audience=WAREHOUSE,
        schema=oil_field_schema(),
        limits=QueryLimits(),
        budget=unused,
    )
    assert isinstance(result, TaskResult)
    assert result.payload == ReauthNeeded(audience=WAREHOUSE)


async def test_identity_service_that_does_not_answer_defers_the_task(
    service: Service,
    identity_servers: IdentityServers,
) -> None:
    _, task = await token_of(service, identity_servers, "cara")
    folder = service.certificates
    tls = client_tls(ca=folder / CA_FILE, certificate=folder / "text_to_sql.pem", key=folder / "text_to_sql.key")
    gone = IdentityClient(service.http, "https://127.0.0.1:9", agent="text_to_sql", tls=tls)
    with pytest.raises(Unavailable) as deferred:
        await gone.token(task, audience=WAREHOUSE, scopes=("session:role:FIELD_PERMIAN",))
    assert deferred.value.code == "identity_unreachable"
