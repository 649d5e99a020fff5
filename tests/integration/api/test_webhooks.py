"""Webhooks: delivered at least once, signed with both secrets, with back-off and an end, and never anywhere private."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from switchyard.api.webhooks import (
    FAILING_ATTEMPTS,
    MOST_ATTEMPTS,
    WebhookEndpoint,
    Webhooks,
    open_webhook_session,
    usable_endpoints,
)
from switchyard.app.application import API
from switchyard.audit.records.roles import CALLERS, SCHEMA
from switchyard.runtime.database.connections import Database, connect_pool
from switchyard.runtime.process.web import WebServer
from switchyard_client import WebhookInvalid, verify_webhook
from tests.integration.api.conftest import AskedCase, Log, asked_by, person_called
from tests.integration.infrastructure import Infrastructure
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration
OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


@dataclass
class Receiver:
    """An endpoint of a tenant's, on this machine."""

    status: int = 204
    location: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: Request) -> Response:
        self.received.append((dict(request.headers), await request.body()))
        return Response(status_code=self.status, headers={"Location": self.location} if self.location else {})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = WebServer(Starlette(routes=[Route("/{any:path}", made.answer, methods=["POST", "GET"])]), "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.port}/hook"
    yield made
    await server.stop()


@dataclass
class Sender:
    """Webhooks over databases of their own, and the log that they follow."""

    webhooks: Webhooks
    log: Log
    clock: ManualClock
    work: Any
    tenant: str

    async def end_case(self, **options: Any) -> AskedCase:
        case = asked_by(person_called(f"ana-{uuid.uuid4()}", self.tenant), **options)
        case.answer()
        await self.log.record(*case.events)
        return case

    async def states(self) -> list[tuple[str, int, str | None]]:
        rows = await self.work.fetch(
            "select state, attempts, last_error from webhook_delivery where tenant = $1 order by created_at",
            self.tenant,
        )
        return [(row["state"], row["attempts"], row["last_error"]) for row in rows]

    async def tick(self, *, later_s: float = 0) -> None:
        self.clock.advance(later_s)
        await self.webhooks.tick()


@pytest.fixture
async def sender(
    infrastructure: Infrastructure, caller_log: Log, clock: ManualClock, receiver: Receiver
) -> AsyncIterator[Sender]:
    audit = await connect_pool(caller_log.url(CALLERS), schema=SCHEMA)
    work = await connect_pool(infrastructure.role_url(API), schema=API)
    await work.execute("delete from webhook_cursor")
    await work.execute("delete from webhook_delivery")
    tenant = f"tenant-{uuid.uuid4()}"
    http = open_webhook_session(allow_loopback=True)
    endpoints = {tenant: WebhookEndpoint(url=receiver.url, secrets=(SecretStr(NEW), SecretStr(OLD)))}
    webhooks = Webhooks(Database(audit, "audit"), Database(work, "work"), http, clock, endpoints)
    await webhooks.tick()  # what has ended before is known
    yield Sender(webhooks, caller_log, clock, work, tenant)
    await webhooks.http.close()
    await work.close()
    await audit.close()


async def test_ending_is_delivered_once_with_ids_outcome_and_link_only(sender: Sender, receiver: Receiver) -> None:
    case = await sender.end_case()
    await sender.tick()
    await sender.tick(later_s=100_000)
    [(headers, body)] = receiver.received
    document = json.loads(body)
    assert document["type"] == "case.closed"
    assert document["data"] == {
        "case_id": case.case_id,
        "session_id": "s-1",
        "outcome": "answered",
        "url": f"/v1/cases/{case.case_id}",
    }
    assert set(headers) <= {
        *("webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "content-length"),
        *("host", "accept", "accept-encoding", "user-agent", "connection"),
    }
    assert await sender.states() == [("delivered", 1, None)]


async def test_receiver_verifies_with_either_secret_and_nothing_altered(sender: Sender, receiver: Receiver) -> None:
    await sender.end_case()
    await sender.tick()
    [(headers, body)] = receiver.received
    now = sender.clock.now().timestamp()
    for secret in (OLD, NEW):
        assert verify_webhook(headers, body, secret, now=now)["type"] == "case.closed"
    third = f"whsec_{base64.b64encode(bytes(32)).decode()}"
    for altered_headers, altered, secret, at in (
        (headers, body + b" ", NEW, now),
        (headers | {"webhook-id": "another"}, body, NEW, now),
        (headers | {"webhook-timestamp": str(int(now) + 1)}, body, NEW, now),
        (headers, body, third, now),
        (headers, body, NEW, now + 301),
        ({}, body, NEW, now),
    ):
        with pytest.raises(WebhookInvalid):
            verify_webhook(altered_headers, altered, secret, now=at)


async def test_failing_endpoint_is_tried_again_later_and_in_the_end_given_up(
    sender: Sender, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.status = 500
    await sender.end_case()
    await sender.tick()
    await sender.tick()
    assert await sender.states() == [("pending", 1, "status 500")], "not again before its pause is over"
    for attempt in range(2, MOST_ATTEMPTS + 1):
        await sender.tick(later_s=50_000)
        assert len(receiver.received) == attempt
    assert await sender.states() == [("given_up", MOST_ATTEMPTS, "status 500")]
    await sender.tick(later_s=500_000)
    assert len(receiver.received) == MOST_ATTEMPTS
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    failing = [line for line in capsys.readouterr().out.splitlines() if "webhook.failing" in line]
    assert len(failing) == 2
    assert str(FAILING_ATTEMPTS) in failing[0]


async def test_endpoint_that_comes_back_gets_what_it_missed(sender: Sender, receiver: Receiver) -> None:
    receiver.status = 503
    cases = [await sender.end_case() for _ in range(3)]
    await sender.tick()
    receiver.status, receiver.received = 200, []
    await sender.tick(later_s=60)
    assert {json.loads(body)["data"]["case_id"] for _, body in receiver.received} == {each.case_id for each in cases}


async def test_delivery_of_a_process_that_was_killed_is_sent_again_under_its_id(
    sender: Sender, receiver: Receiver
) -> None:
    await sender.end_case()
    await sender.webhooks.collect()
    # Killed after the claim: what it had sent may have arrived.
    await sender.webhooks.work.with_queries(_queries()).rows("claim", sender.clock.now(), 60.0, 20)
    await sender.tick()
    assert receiver.received == []
    await sender.tick(later_s=61)
    assert len(receiver.received) == 1
    assert await sender.states() == [("delivered", 2, None)]


def _queries() -> Any:
    from switchyard.api import webhooks

    return webhooks._SQL


async def test_two_processes_deliver_each_ending_once(sender: Sender, receiver: Receiver) -> None:
    cases = [await sender.end_case() for _ in range(5)]
    await asyncio.gather(*(sender.webhooks.tick() for _ in range(3)))
    found = [json.loads(body)["data"]["case_id"] for _, body in receiver.received]
    assert sorted(found) == sorted(each.case_id for each in cases)


async def test_redirect_is_a_failure_and_not_followed(sender: Sender, receiver: Receiver) -> None:
    receiver.status, receiver.location = 302, receiver.url + "/elsewhere"
    await sender.end_case()
    await sender.tick()
    assert len(receiver.received) == 1
    assert await sender.states() == [("pending", 1, "status 302")]


async def test_endpoint_that_is_gone_is_given_up_at_once(sender: Sender, receiver: Receiver) -> None:
    receiver.status = 410
    await sender.end_case()
    await sender.tick()
    assert await sender.states() == [("given_up", 1, "status 410")]


async def test_name_of_a_private_address_is_never_connected_to(sender: Sender, receiver: Receiver) -> None:
    await sender.webhooks.http.close()
    sender.webhooks.http = open_webhook_session(allow_loopback=False)
    url = receiver.url.replace("127.0.0.1", "localhost").replace("http://", "https://")
    sender.webhooks.endpoints = {sender.tenant: WebhookEndpoint(url=url, secrets=(SecretStr(NEW),))}
    await sender.end_case()
    await sender.tick()
    assert receiver.received == []
    [(state, attempts, error)] = await sender.states()
    assert (state, attempts) == ("pending", 1)
    assert error == "ForbiddenTarget"


async def test_cases_of_other_tenants_and_of_systems_are_not_sent(sender: Sender, receiver: Receiver) -> None:
    other = asked_by(person_called("eve", "other-tenant"))
    other.answer()
    of_a_system = asked_by(person_called(f"ana-{uuid.uuid4()}", sender.tenant), source="upstream.cli")
    of_a_system.answer()
    await sender.log.record(*other.events, *of_a_system.events)
    await sender.tick()
    assert receiver.received == []


async def test_rows_are_forgotten_after_a_month(sender: Sender, receiver: Receiver) -> None:
    await sender.end_case()
    await sender.tick()
    await sender.tick(later_s=timedelta(days=31).total_seconds())
    assert await sender.states() == []


def test_unusable_endpoint_of_one_tenant_leaves_the_others() -> None:
    good = WebhookEndpoint(url="https://acme.example/hook", secrets=(SecretStr(NEW),))
    bad = WebhookEndpoint(url="https://10.0.0.1/hook", secrets=(SecretStr(NEW),))
    assert usable_endpoints({"a": good, "b": bad}, allow_loopback=False) == {"a": good}


@pytest.mark.parametrize("secret", ["", "whsec_c2hvcnQ=", "x" * 60, "whsec_%%%"])
def test_weak_secret_is_refused_without_its_text(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WebhookEndpoint(url="https://acme.example/hook", secrets=(SecretStr(secret),))
    assert not secret or secret not in str(refused.value)
