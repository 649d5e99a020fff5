"""The identity service as a test runs it: a caller for each certificate, and the cases and grants that it needs."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.identity.grant_store import GrantStore
from switchyard.identity.tls import client_tls
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import import_private_key, sign_grant
from tests.integration.identity.identity_servers import WAREHOUSE, WORK_ORDERS, IdentityServers, claims_of
from tests.integration.infrastructure import Owner

SOURCE = "upstream.api"
SEED = bytes(range(32))
KEY = import_private_key(SEED)
STRANGER = import_private_key(bytes(32))
NORTH, SOUTH = ("session:role:NORTH",), ("session:role:SOUTH",)
Answer = tuple[int, dict[str, Any]]


class ShiftedNow:
    """The real time, moved by the test."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.shift_s, UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self.shift_s


@dataclass
class Service:
    """The running service, and a caller for each certificate."""

    url: str
    certificates: Path
    owner: Owner
    clock: ShiftedNow
    http: aiohttp.ClientSession
    store: GrantStore
    cases: list[str] = field(default_factory=list)

    async def post(self, caller: str, path: str, body: Any) -> Answer:
        tls = client_tls(
            ca=self.certificates / CA_FILE,
            certificate=self.certificates / f"{caller}.pem",
            key=self.certificates / f"{caller}.key",
        )
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(f"{self.url}{path}", data=data, ssl=tls) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    async def grant(self, servers: IdentityServers, user: str, *, key: Any = KEY, **changed: Any) -> Answer:
        """Register a user's grant, as the ingress does after a log-in."""
        credential = servers.log_in(user)
        claims = claims_of(credential.token)
        values: dict[str, Any] = {
            "iss": SOURCE,
            "jti": str(uuid.uuid4()),
            "sub": user,
            "tenant": claims["tenant"],
            "agents": ("text_to_sql", "field_routing"),
            "scopes": (*(f"session:role:{role}" for role in claims["roles"]), "work_orders:read"),
            "audiences": (WAREHOUSE, WORK_ORDERS),
            "iat": int(claims["iat"]),
            "exp": int(claims["exp"]),
        }
        refresh = changed.pop("refresh", False)
        statement = sign_grant(GrantClaims.model_validate(values | changed), "k1", key)
        body = {"grant": statement, "token": credential.token}
        if refresh:
            body["refresh_token"] = str(credential.refresh_token)
        return await self.post("ingress", "/grants", body)

    async def open_task(
        self,
        grant: str,
        *,
        agent: str = "text_to_sql",
        tenant: str = "operator",
        lease: str = "1 hour",
        scopes: tuple[str, ...] = ("role:NORTH",),
    ) -> dict[str, Any]:
        """A case of that grant's user and a task of it that the agent holds; as a request for a token."""
        case_id, task_id = str(uuid.uuid4()), str(uuid.uuid4())
        principal = {"grant_ref": grant, "scopes": scopes}
        facts = {"pinned": {"tenant": tenant, "principal": principal}, "payload": {}}
        await self.owner.execute(
            "insert into case_manager.submission (case_id, payload_mac, playbook, facts, opened_id)"
            " values ($1, '', 'assist', $2, $1)",
            case_id,
            json.dumps(facts),
        )
        await self.owner.execute(
            f"insert into {agent}.inbox (event_id, digest, case_id, type, token, claims, lease_until)"
            f" values ($1, '', $2, 'AnswerQuestion', 1, 1, now() + interval '{lease}')",
            task_id,
            case_id,
        )
        return {"grant": grant, "case_id": case_id, "task_id": task_id, "audience": WAREHOUSE, "scopes": NORTH}


async def granted(service: Service, servers: IdentityServers, user: str = "ana", **changed: Any) -> str:
    status, answer = await service.grant(servers, user, **changed)
    assert status == 201, answer
    return str(answer["grant"])


def revocation(grant: str, **changed: str) -> dict[str, str]:
    return {"grant": grant, "sub": "ana", "tenant": "operator"} | changed


async def next_second() -> None:
    """Tokens are dated in whole seconds: a log-in in the second of a revocation counts as one before it."""
    await asyncio.sleep(1.05 - time.time() % 1)
