"""The identity service, the identity provider and the token exchange as processes of the running stack."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import uuid
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import aiohttp
import pytest

from services.app import IDENTITY, LOCAL_IDENTITY, WAREHOUSE_AUDIENCE
from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.identity.provider import FRONT_END
from switchyard.devstack.stack.identity import EXCHANGE, PROVIDER
from switchyard.identity.tls import client_tls
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e

UNKNOWN_GRANT = {
    "grant": str(uuid.uuid4()),
    "case_id": str(uuid.uuid4()),
    "task_id": str(uuid.uuid4()),
    "audience": WAREHOUSE_AUDIENCE,
    "scopes": ["session:role:FIELD_ALL"],
}


def folder(deployment: Deployment) -> Path:
    return Path(deployment.stack.endpoints.home) / "identity"


async def ask(deployment: Deployment, tls: ssl.SSLContext) -> tuple[int, str]:
    """Ask for a token under a grant that was never registered; the status and the code."""
    url = f"https://127.0.0.1:{deployment.stack.ports()[f'{IDENTITY}_http']}/token"
    async with aiohttp.ClientSession() as session, session.post(url, json=UNKNOWN_GRANT, ssl=tls) as response:
        return response.status, (await response.json())["error"]


def certificate_of(deployment: Deployment, name: str) -> ssl.SSLContext:
    place = folder(deployment) / "certificates"
    return client_tls(ca=place / CA_FILE, certificate=place / f"{name}.pem", key=place / f"{name}.key")


async def test_agent_is_named_by_its_certificate_and_no_other_caller_is_answered(deployment: Deployment) -> None:
    assert await ask(deployment, certificate_of(deployment, "text_to_sql")) == (403, "grant_unknown")
    assert await ask(deployment, certificate_of(deployment, "ingress")) == (403, "caller_not_allowed")
    nameless = ssl.create_default_context(cafile=str(folder(deployment) / "certificates" / CA_FILE))
    with pytest.raises(aiohttp.ClientError):
        await ask(deployment, nameless)


async def test_killed_identity_service_answers_again(deployment: Deployment) -> None:
    await deployment.kill(IDENTITY)
    await deployment.do(deployment.stack[IDENTITY].ready(restarts=1))
    async with asyncio.timeout(30):
        while True:
            try:
                assert await ask(deployment, certificate_of(deployment, "text_to_sql")) == (403, "grant_unknown")
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(("user", "role"), [("ana.morales", "FIELD_PERMIAN"), ("ben.okoro", "FIELD_WILLISTON")])
def test_users_token_says_who_they_are_and_what_they_may_read(deployment: Deployment, user: str, role: str) -> None:
    address = f"http://127.0.0.1:{deployment.stack.ports()[PROVIDER]}"
    secret = deployment.stack.endpoints.secret("idp_client_secret")
    basic = base64.b64encode(f"{FRONT_END}:{secret}".encode()).decode()
    form = {"grant_type": "password", "username": user, "password": user.partition(".")[0], "scope": "openid"}
    request = Request(f"{address}/token", urlencode(form).encode(), {"Authorization": f"Basic {basic}"})
    with urlopen(request, timeout=10) as answer:
        payload = json.load(answer)["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["sub"], claims["tenant"], claims["roles"]) == (user, "northfork", [role])
    assert claims["iss"] == address


async def test_token_exchange_knows_the_clients_of_the_application(deployment: Deployment) -> None:
    file = folder(deployment) / "exchange" / CLIENTS_FILE
    assert deployment.stack.ports()[EXCHANGE]
    async with asyncio.timeout(30):
        while not file.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.1)
    assert json.loads(file.read_text()).keys() == LOCAL_IDENTITY.exchange_clients().keys()
    assert file.stat().st_mode & 0o777 == 0o600
