"""Webhooks: an outbox of the endings of users' cases, delivered at least once to the endpoint of their tenant, and
signed as Standard Webhooks says (standardwebhooks.com)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from switchyard.api.webhook_target import PublicResolver, check_url
from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of a secret's text
MIN_SECRET_BYTES = 24
WEBHOOK_INTERVAL_S = 1.0
TIMEOUT_S = 10.0
LEASE_S = 60.0
BATCH_SIZE = 20
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 43_200.0
MOST_ATTEMPTS = 18
"""With the pauses between them about three days."""

FAILING_ATTEMPTS = 6
"""After so many failures of one delivery, some minutes, the operator hears of it."""

KEEP = timedelta(days=30)
_ID_NAMESPACE = uuid.UUID("3c4f0c1c-6a53-5b0c-9f5e-9f4ad1b7e0c6")


class WebhookEndpoint(BaseModel):
    """Where the endings of a tenant's cases go. Each delivery is signed with every secret, so that a receiver may
    change from one to the other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(max_length=2_000)
    secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=2)

    @field_validator("secrets")
    @classmethod
    def _are_keys(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            secret_key(secret.get_secret_value())
        return secrets


def secret_key(text: str) -> bytes:
    """The key of a secret's text. Raises `ValueError`, without the text."""
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"write {SECRET_PREFIX} and at least {MIN_SECRET_BYTES} bytes in base64")
    return key


def sign_webhook(secrets: tuple[SecretStr, ...], delivery_id: str, at: int, body: str) -> str:
    """The header `webhook-signature`: one signature per secret."""
    signed = f"{delivery_id}.{at}.{body}".encode()
    keys = (secret_key(secret.get_secret_value()) for secret in secrets)
    macs = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


@dataclass
class Webhooks:
    """Collects endings from the log, and delivers them. Any number of processes may: each step is safe to repeat."""

    audit: Database
    work: Database
    http: aiohttp.ClientSession
    clock: Clock
    endpoints: Mapping[str, WebhookEndpoint]
    """By tenant."""

    async def tick(self) -> None:
        """Collect what has ended, and deliver what is due. Raises `Unavailable`."""
        await self.collect()
        while await self.deliver():
            pass
        await self.work.with_queries(_SQL).execute("forget", self.clock.now() - KEEP)

    async def collect(self) -> int:
        """Put the endings since the last look into the outbox; return how many. Endings before the first look count as
        known. Raises `Unavailable`."""
        audit = self.audit.with_queries(_SQL)
        newest: int = await audit.value("newest")
        async with self.work.with_queries(_SQL).transaction() as work:
            await work.execute("begin", newest)
            cursor: int = await work.value("cursor")
            rows = await audit.rows("endings", cursor, newest) if newest > cursor else []
            for row in rows:
                if row["tenant"] in self.endpoints:
                    delivery_id = uuid.uuid5(_ID_NAMESPACE, f"{row['tenant']}/{row['event_id']}")
                    await work.execute("add", delivery_id, row["tenant"], row["case_id"], _body(row), self.clock.now())
            # Of a log that was restored, the cursor begins where that log ends.
            await work.execute("move", newest)
        return len(rows)

    async def deliver(self) -> int:
        """Deliver what is due; return how many were tried. Raises `Unavailable`."""
        work = self.work.with_queries(_SQL)
        rows = await work.rows("claim", self.clock.now(), LEASE_S, BATCH_SIZE)
        await asyncio.gather(*(self._deliver(work, row) for row in rows))
        return len(rows)

    async def _deliver(self, work: Database, row: Any) -> None:
        endpoint = self.endpoints.get(row["tenant"])
        if endpoint is None:
            await work.execute("end", row["delivery_id"], "given_up", "no endpoint", self.clock.now())
            return
        problem, final = await self._send(endpoint, str(row["delivery_id"]), row["body"])
        if problem is None:
            await work.execute("end", row["delivery_id"], "delivered", None, self.clock.now())
            return
        if final or row["attempts"] >= MOST_ATTEMPTS:
            await work.execute("end", row["delivery_id"], "given_up", problem, self.clock.now())
        else:
            pause = backoff_s(row["attempts"], base=FIRST_PAUSE_S, longest=LONGEST_PAUSE_S)
            due = self.clock.now() + timedelta(seconds=pause)
            await work.execute("postpone", row["delivery_id"], due, problem)
        facts = {"tenant": row["tenant"], "case_id": str(row["case_id"]), "attempts": row["attempts"], "why": problem}
        if final or row["attempts"] in {FAILING_ATTEMPTS, MOST_ATTEMPTS}:
            log.error("webhook.failing", alarm="webhook", **facts)
        else:
            log.warning("webhook.failed", **facts)

    async def _send(self, endpoint: WebhookEndpoint, delivery_id: str, body: str) -> tuple[str | None, bool]:
        """Why a delivery failed, None if it did not; and whether another attempt is useless."""
        at = int(self.clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign_webhook(endpoint.secrets, delivery_id, at, body),
        }
        try:
            async with self.http.post(
                endpoint.url, data=body.encode(), headers=headers, allow_redirects=False
            ) as answer:
                if answer.status < 300:
                    return None, False
                return f"status {answer.status}", answer.status == 410
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error.__cause__ or error).__name__, False


def open_webhook_session(*, allow_loopback: bool) -> aiohttp.ClientSession:
    """Connections that go to public addresses only: no proxy of the environment, no redirect, no cookie."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=PublicResolver(allow_loopback=allow_loopback), use_dns_cache=False, force_close=True
        ),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def usable_endpoints(endpoints: Mapping[str, WebhookEndpoint], *, allow_loopback: bool) -> dict[str, WebhookEndpoint]:
    """The endpoints that may be called; the others are alarms, so that one tenant's mistake stops no other's."""
    usable = {}
    for tenant, endpoint in endpoints.items():
        try:
            check_url(endpoint.url, allow_loopback=allow_loopback)
        except ValueError as error:
            log.error("webhook.endpoint_refused", alarm="webhook", tenant=tenant, why=str(error))  # noqa: TRY400 - the message is the whole of it
        else:
            usable[tenant] = endpoint
    return usable


def _body(row: Any) -> str:
    data = {
        "case_id": str(row["case_id"]),
        "session_id": row["session_id"],
        "outcome": row["outcome"],
        "url": f"/v1/cases/{row['case_id']}",
    }
    return json.dumps({"type": "case.closed", "timestamp": timestamp(row["event_ts"]), "data": data})
