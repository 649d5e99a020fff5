"""The simulated work-order service believes tokens only, and the agent's client reads what it answers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.testclient import TestClient

from demo.work_orders.server import build_work_orders_app
from services.specialists.field_routing.work_orders import read_crew, read_orders
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.runtime.core.errors import RetryableTaskError

KEY = ECKey.generate_key("P-256", {"kid": "k1"})
OTHER = ECKey.generate_key("P-256", {"kid": "k1"})
ISSUER, AUDIENCE = "https://exchange.example", "https://work-orders.example"
ROLES = {"ana": ("FIELD_PERMIAN",), "ben": ("FIELD_WILLISTON",), "idle": ()}


@pytest.fixture
def client() -> TestClient:
    keys = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
    verifier = JwtVerifier(issuer=ISSUER, fetch=lambda: keys)
    return TestClient(build_work_orders_app(verifier, AUDIENCE, ROLES, ("FIELD_MIDCON",)))


def bearer(key: ECKey = KEY, **changes: Any) -> dict[str, str]:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user:ana",
        "scope": "work_orders:read technicians:read",
        "act": {"sub": "agent:field_routing"},
        "jti": "j1",
        "exp": int(time.time()) + 86_400,  # parameters are made when the tests are collected
    }
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, kept, key)
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer x"}, 401),
        (bearer(OTHER), 401),
        (bearer(iss="https://elsewhere.example"), 401),
        (bearer(aud="https://warehouse.example"), 401),
        (bearer(exp=int(time.time()) - 3_600), 401),
        (bearer(scope="technicians:read"), 403),
        (bearer(scope=None), 403),
        (bearer(act=None), 403),
        (bearer(sub="user:idle"), 403),
        (bearer(sub="user:stranger"), 403),
    ],
)
def test_caller_without_a_right_token_gets_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    answer = client.get("/work-orders", headers=headers)
    assert answer.status_code == status
    assert "work_orders" not in answer.json()
    assert "eyJ" not in answer.text


def test_users_see_the_orders_and_technicians_of_their_own_areas(client: TestClient) -> None:
    for user, area in (("ana", "Permian"), ("ben", "Williston")):
        headers = bearer(sub=f"user:{user}")
        orders = read_orders(client.get("/work-orders", headers=headers).content).orders
        assert {order.area for order in orders} == {area}
        crew = read_crew(client.get("/technicians", params={"day": "2026-07-01"}, headers=headers).content)
        assert {each.area for each in crew} == {area}
        assert {each.on_duty for each in crew} <= {True, False}


def test_service_that_acts_for_itself_has_the_areas_that_it_is_given(client: TestClient) -> None:
    orders = read_orders(client.get("/work-orders", headers=bearer(sub="client:x")).content).orders
    assert {order.area for order in orders} <= {"DJ", "Anadarko"}


def test_calls_name_user_and_actor(client: TestClient) -> None:
    client.get("/work-orders", headers=bearer())
    client.get("/work-orders")
    first, second = client.get("/calls").json()["calls"]
    assert (first["user"], first["actor"], first["jti"], first["status"]) == ("ana", "agent:field_routing", "j1", 200)
    assert first["count"] > 0
    assert (second["user"], second["status"], second["count"]) == ("", 401, 0)


def test_invalid_day_is_refused_with_the_remedy(client: TestClient) -> None:
    answer = client.get("/technicians", params={"day": "tomorrow"}, headers=bearer())
    assert (answer.status_code, "YYYY-MM-DD" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"[" * 5_000, b'{"as_of": "2026-06-30", "work_orders": [{"latitude": 1e999}]}', b'{"as_of": 1}'],
)
def test_answer_of_another_form_is_retried(body: bytes) -> None:
    with pytest.raises(RetryableTaskError) as invalid:
        read_orders(body)
    assert invalid.value.code == "bad_work_orders"
