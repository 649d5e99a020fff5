"""From the user's log-in to their work orders: the second audience, with the real provider and the real exchange."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from services.specialists.field_routing.handlers import answer_question
from services.specialists.field_routing.work_orders import WORK_ORDER_SCOPES, TokenNotAccepted, WorkOrderService
from switchyard.identity.client import ConsentRequired, UserToken
from switchyard.identity.token_exchange import TokenExchange
from switchyard.protocol.events.failures import ReauthNeeded
from switchyard.protocol.events.router import Wait
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.task import Task, TaskResult
from tests.integration.events import command, envelope_of, fresh_id
from tests.integration.identity.identity_servers import USERS, WAREHOUSE, WORK_ORDERS, IdentityServers, claims_of
from tests.user_tokens import user_token

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url(identity_servers: IdentityServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The work-order service, which believes the real exchange only."""
    users: Path = tmp_path_factory.mktemp("work_orders") / "users.yaml"
    users.write_text(yaml.safe_dump(USERS))
    command_line = [
        *(sys.executable, "-m", "demo.work_orders", "--issuer", identity_servers.exchange),
        *("--audience", WORK_ORDERS, "--users", str(users)),
    ]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield "http://127.0.0.1:" + process.stdout.readline().rsplit(":", 1)[1].strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


async def token_for(
    servers: IdentityServers, exchange: TokenExchange, user: str, agent: str, audience: str, *scopes: str
) -> str:
    credential = servers.log_in(user)
    now = float(claims_of(credential.token)["iat"])
    issued = await exchange.exchange(credential, user=user, agent=agent, audience=audience, scopes=scopes, now=now)
    return issued.token


async def test_two_users_get_their_own_work_orders_and_the_service_records_the_agent(
    identity_servers: IdentityServers, exchange: TokenExchange, http: aiohttp.ClientSession, url: str
) -> None:
    service = WorkOrderService(http, url)
    for user, area in (("cara", "Permian"), ("dan", "Williston")):
        token = await token_for(identity_servers, exchange, user, "field_routing", WORK_ORDERS, *WORK_ORDER_SCOPES)
        data = await service.open_orders(token)
        crew = await service.technicians(token, "2026-07-01")
        assert {order.area for order in data.orders} == {each.area for each in crew} == {area}
    async with http.get(f"{url}/calls") as answer:
        calls = (await answer.json())["calls"]
    assert {call["user"] for call in calls} == {"cara", "dan"}
    assert all(call["actor"].endswith(identity_servers.client_of("field_routing").id) for call in calls)


async def test_token_for_the_warehouse_or_of_the_user_themselves_opens_nothing(
    identity_servers: IdentityServers, exchange: TokenExchange, http: aiohttp.ClientSession, url: str
) -> None:
    scope = "session:role:FIELD_PERMIAN"
    elsewhere = await token_for(identity_servers, exchange, "cara", "text_to_sql", WAREHOUSE, scope)
    for token in (elsewhere, identity_servers.log_in("cara").token, "none"):
        with pytest.raises(TokenNotAccepted):
            await WorkOrderService(http, url).open_orders(token)


class _Tokens:
    """Where the handler gets tokens: the first is no good, and then the user has to give consent again."""

    def __init__(self) -> None:
        self.refused: list[UserToken | None] = []

    async def token(
        self, task: Task[Any], *, audience: str, scopes: tuple[str, ...], instead_of: UserToken | None = None
    ) -> UserToken:
        self.refused.append(instead_of)
        if instead_of is not None:
            raise ConsentRequired(audience, scopes)
        return user_token("stale")


async def test_token_not_accepted_is_replaced_and_ended_consent_makes_the_case_wait(
    http: aiohttp.ClientSession, url: str
) -> None:
    event = command(fresh_id(), known=False)
    task: Task[Any] = Task(ReceivedEvent(envelope_of(event), Wait(), event), attempt=1, deadline=None)
    tokens, unused = _Tokens(), None
    arguments: dict[str, Any] = dict.fromkeys(("artefacts", "model", "agent", "planner"), unused)
    service = WorkOrderService(http, url)
    result = await answer_question(task, tokens=tokens, audience=WORK_ORDERS, service=service, **arguments)
    assert isinstance(result, TaskResult)
    assert result.payload == ReauthNeeded(audience=WORK_ORDERS)
    assert [each is not None for each in tokens.refused] == [False, True]
