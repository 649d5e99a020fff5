"""The identity provider and the token exchange as we start them."""

from __future__ import annotations

import base64
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from switchyard.devstack.identity.provider import provider_settings
from tests.integration.identity.identity_servers import IdentityServers

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("path", ["/api/keys/rotate", "/api/config/reload"])
def test_management_of_the_provider_is_closed_to_other_processes(identity_servers: IdentityServers, path: str) -> None:
    request = Request(identity_servers.provider + path, b"{}", {"Content-Type": "application/json"}, method="POST")
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=10)
    with refused.value as answer:
        assert answer.code in {401, 403}


def test_provider_names_itself_by_the_address_that_others_use(identity_servers: IdentityServers) -> None:
    payload = identity_servers.log_in("ana").token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["iss"] == identity_servers.provider


def test_each_start_has_a_management_secret_of_its_own() -> None:
    first, second = (
        json.dumps(provider_settings(issuer="http://x", port=1, secret="s", token_minutes=1)["session"])
        for _ in range(2)
    )
    assert first != second
