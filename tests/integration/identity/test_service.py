"""The identity service's HTTP: callers, bodies and failures; and the client that agents have."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.identity.client import ConsentRequired, IdentityClient
from switchyard.identity.tls import client_tls
from switchyard.protocol.events.router import Wait
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.task import Task
from tests.integration.events import command, envelope_of, fresh_id, rewritten
from tests.integration.identity.identity_servers import WAREHOUSE, IdentityServers, claims_of
from tests.integration.identity.identity_service import (
    NORTH,
    Service,
    granted,
    revocation,
)
from tests.integration.infrastructure import Infrastructure
from tests.token_search import leaks_in_database


@pytest.mark.parametrize(
    ("caller", "path"), [("text_to_sql", "/grants"), ("text_to_sql", "/revocations"), ("ingress", "/token")]
)
async def test_caller_of_the_wrong_kind_is_refused(service: Service, caller: str, path: str) -> None:
    assert await service.post(caller, path, {}) == (
        403,
        {"error": "caller_not_allowed", "message": "this certificate may not call this", "field": None},
    )


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
