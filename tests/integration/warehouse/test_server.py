"""The real connector against the simulator in a process of its own, with tokens that the test's own exchange signs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from demo.oil_field.warehouse import oil_field_schema
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.warehouse import (
    QueryLimits,
    SnowflakeWarehouse,
    TokenNotAccepted,
    WarehouseEndpoint,
)
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError
from tests.user_tokens import AUDIENCE, user_token

SCHEMA = oil_field_schema()
ANA, BEN = str(uuid.uuid4()), str(uuid.uuid4())
WELLS = guard_query("SELECT basin, COUNT(*) AS wells, MAX(spud_date) AS latest FROM wells GROUP BY basin", SCHEMA)


@dataclass
class Exchange:
    """A token exchange on the wire: it publishes its key and signs what the test wants."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"}))

    def __enter__(self) -> Exchange:
        document = json.dumps(KeySet([self.key]).as_dict(private=False)).encode()

        class Jwks(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Jwks)
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def sign(self, role: str = "FIELD_PERMIAN", *, key: Any = None, alg: str = "ES256", **changed: Any) -> str:
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "user:ana",
            "act": {"sub": "client:text_to_sql"},
            "scope": f"session:role:{role}",
            "jti": str(uuid.uuid4()),
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
        } | changed
        return jwt.encode({"alg": alg, "kid": "k1"}, claims, key or self.key, algorithms=[alg])


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with Exchange() as made:
        yield made


@pytest.fixture(scope="module")
def endpoint(exchange: Exchange) -> Iterator[WarehouseEndpoint]:
    command = [sys.executable, "-m", "demo.oil_field", "serve", "--issuer", exchange.issuer, "--audience", AUDIENCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        yield WarehouseEndpoint("local", "OILFIELD", "PROD", host="127.0.0.1", port=port, protocol="http")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def history(endpoint: WarehouseEndpoint) -> list[dict[str, Any]]:
    with urlopen(f"http://{endpoint.host}:{endpoint.port}/queries", timeout=5) as answer:
        queries: list[dict[str, Any]] = json.load(answer)["queries"]
        return queries


async def ask(
    endpoint: WarehouseEndpoint, token: str, role: str = "FIELD_PERMIAN", *, user: str = ANA, case_id: str = "case-1"
) -> Rows:
    as_user = SnowflakeWarehouse(endpoint, user_token(token, subject=user))
    return await as_user.run(WELLS, case_id=case_id, role=role, limits=QueryLimits())


async def test_users_with_the_same_statement_get_the_rows_of_their_own_roles(
    exchange: Exchange, endpoint: WarehouseEndpoint
) -> None:
    asked = (
        ("FIELD_PERMIAN", "user:ana", ANA, [("Permian", 114)]),
        ("FIELD_WILLISTON", "user:ben", BEN, [("Williston", 40)]),
    )
    found = await asyncio.gather(
        *(ask(endpoint, exchange.sign(role, sub=sub), role, user=user) for role, sub, user, _ in asked * 4)
    )
    assert [[row[:2] for row in rows.rows] for rows in found] == [rows for *_, rows in asked * 4]
    assert len({rows.sql for rows in found}) == 1
    assert [column.type for column in found[0].columns] == ["text", "number", "date"]


async def test_query_history_says_who_asked_through_whom_and_for_which_case(
    exchange: Exchange, endpoint: WarehouseEndpoint
) -> None:
    case_id, jti = str(uuid.uuid4()), str(uuid.uuid4())
    act = {"sub": "client:text_to_sql", "act": {"sub": "client:router"}}
    await ask(endpoint, exchange.sign(jti=jti, act=act), user=ANA, case_id=case_id)
    [entry] = [each for each in history(endpoint) if each["jti"] == jti]
    assert (entry["user"], entry["actor"], entry["role"]) == (
        "user:ana",
        "client:text_to_sql client:router",
        "FIELD_PERMIAN",
    )
    assert json.loads(entry["query_tag"]) == {"case": case_id, "agent": "text_to_sql", "user": ANA}
    assert entry["sql"] == WELLS.sql


WRONG_TOKENS: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://work-orders.example"},
    "another issuer": {"iss": "https://other.example"},
    "expired": {"iat": 1, "exp": int(time.time()) - 60},
    "not yet valid": {"nbf": int(time.time()) + 600},
    "another's key": {"key": ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"})},
    "a shared key": {"key": OctKey.import_key("k" * 32), "alg": "HS256"},
}


@pytest.mark.parametrize("changed", WRONG_TOKENS.values(), ids=WRONG_TOKENS.keys())
async def test_wrong_token_opens_no_session_and_asks_for_another(
    changed: dict[str, Any], exchange: Exchange, endpoint: WarehouseEndpoint
) -> None:
    before = history(endpoint)
    with pytest.raises(TokenNotAccepted) as refused:
        await ask(endpoint, exchange.sign(**changed))
    assert refused.value.code == "token_not_accepted"
    assert history(endpoint) == before


@pytest.mark.parametrize("token", ["", "a-token", "a.b.c", "local"])
async def test_text_that_is_no_token_opens_no_session(token: str, endpoint: WarehouseEndpoint) -> None:
    with pytest.raises(TokenNotAccepted):
        await ask(endpoint, token)


async def test_altered_token_opens_no_session(exchange: Exchange, endpoint: WarehouseEndpoint) -> None:
    header, _, signature = exchange.sign("FIELD_PERMIAN").split(".")
    wider = exchange.sign("FIELD_ALL", key=ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"})).split(".")[1]
    with pytest.raises(TokenNotAccepted):
        await ask(endpoint, f"{header}.{wider}.{signature}", "FIELD_ALL")


@pytest.mark.parametrize("role", ["FIELD_ALL", "FIELD_WILLISTON", "UNKNOWN"])
async def test_role_that_the_token_does_not_name_is_refused(
    role: str, exchange: Exchange, endpoint: WarehouseEndpoint
) -> None:
    with pytest.raises(PermanentTaskError) as refused:
        await ask(endpoint, exchange.sign("FIELD_PERMIAN"), role)
    assert refused.value.code == "role_not_granted"


async def test_role_that_the_account_does_not_have_is_refused(exchange: Exchange, endpoint: WarehouseEndpoint) -> None:
    with pytest.raises(PermanentTaskError) as refused:
        await ask(endpoint, exchange.sign("UNKNOWN"), "UNKNOWN")
    assert refused.value.code == "role_not_granted"


async def test_expired_token_is_replaced_and_the_query_answered(
    exchange: Exchange, endpoint: WarehouseEndpoint
) -> None:
    expired = user_token(exchange.sign(exp=int(time.time()) - 60))

    async def renew() -> Any:
        return user_token(exchange.sign())

    rows = await SnowflakeWarehouse(endpoint, expired, renew=renew).run(
        WELLS, case_id="case-1", role="FIELD_PERMIAN", limits=QueryLimits()
    )
    assert rows.rows[0][:2] == ("Permian", 114)


async def test_connector_gets_query_timeout_for_a_cancelled_statement(
    exchange: Exchange, endpoint: WarehouseEndpoint
) -> None:
    endless = replace(
        guard_query("SELECT COUNT(*) AS n FROM monthly_production", SCHEMA),
        sql="SELECT COUNT(*) AS n FROM monthly_production a, monthly_production b, monthly_production c "
        "WHERE a.oil_bbl < c.gas_mcf",
    )
    with pytest.raises(PermanentTaskError) as caught:
        await SnowflakeWarehouse(endpoint, user_token(exchange.sign("FIELD_ALL"))).run(
            endless, case_id="case-1", role="FIELD_ALL", limits=QueryLimits(timeout_s=1)
        )
    assert caught.value.code == "query_timeout"


async def test_unreachable_warehouse_is_a_retryable_error() -> None:
    # Port 9 of the loopback (discard) has no listener on any sane machine: refused at once.
    gone = WarehouseEndpoint("local", "OILFIELD", "PROD", host="127.0.0.1", port=9, protocol="http")
    with pytest.raises(RetryableTaskError) as caught:
        await ask(gone, "a-token")
    assert caught.value.code == "warehouse_unreachable"
