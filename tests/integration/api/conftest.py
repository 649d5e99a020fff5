"""The API over PostgreSQL, with a log of its own, served on a real socket."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from contracts.catalogue import CATALOGUE
from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from services.app import APP
from switchyard.api.app import PostedFunction
from switchyard.api.user_tokens import TokenVerifier
from switchyard.api.watcher import CaseWatcher
from switchyard.app.application import API
from switchyard.audit.records.roles import CALLERS, SCHEMA, WRITER
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.processes.api import READ_ONLY, ApiParts, build_api
from switchyard.processes.api_settings import ApiSettings
from switchyard.processes.databases import migrate_audit
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.periodic import run_periodically
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool, connect_pool
from switchyard.runtime.process.web import WebServer
from switchyard.runtime.storage.objects import S3Objects
from switchyard_client import AsyncClient
from tests.integration.audit.proof import mac_keys
from tests.integration.cloud import Cloud
from tests.integration.infrastructure import Infrastructure, password
from tests.integration.known_cases import Person, known_cases
from tests.unit.audit import cases

DATABASE = "audit_callers"
VAULT_KEY, PERSON_KEY = b"\x11" * 32, b"\x33" * 32
ISSUER = "https://login.acme.example/"
SIGNER, OTHER_SIGNER = (ECKey.generate_key("P-256", parameters={"kid": "a"}) for _ in range(2))
READER_ROLE = "SUPPORT"
ANSWER = b'{"text": "Seven wells are shut in. [F1]", "citations": [{"id": "F1", "sql": "select 7"}]}'
CHART = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


def token(user: str = "ana", *, key: Any = SIGNER, **changed: Any) -> str:
    """A token of a user, as the identity provider signs it."""
    now = int(SystemClock().now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": "switchyard",
        "sub": user,
        "tenant": "acme",
        "roles": ["FIELD_ALL"],
        "iat": now - 60,
        "exp": now + 600,
    }
    return jwt.encode({"alg": "ES256", "kid": "a"}, claims | changed, key)


@dataclass
class Log:
    """The log's database, and what is recorded in it."""

    url: Callable[[str], str]

    async def record(self, *events: Json) -> None:
        """Record events as audit does, and give them their log indexes."""
        pool = await connect_pool(self.url(WRITER), schema=SCHEMA)
        try:
            keys = mac_keys(pool)
            await AuditStore(pool, CATALOGUE, keys).record(cases.bodies(events))
            async with TransparencyLog.open(pool, keys) as log:
                await log.index_rows(10_000)
        finally:
            await pool.close()


@dataclass
class AskedCase:
    """A case of a user, event after event."""

    person: Person
    events: list[Json] = field(default_factory=list)

    @property
    def case_id(self) -> str:
        return str(self.events[0]["case_id"])

    def then(self, payload: Any, node: str, **more: Any) -> Json:
        self.events.append(cases.follow(self.events[-1], payload, node, **more))
        return self.events[-1]

    def answer(self, data: bytes = ANSWER) -> list[Json]:
        """Findings with a chart, the answer, and the ending."""
        chart, chart_place = self.person.artefact(self.case_id, "chart", CHART)
        chart = chart.model_copy(update={"media_type": "image/svg+xml"})
        found, found_place = self.person.artefact(self.case_id, "findings", b'{"figures": []}')
        answer, place = self.person.artefact(self.case_id, "answer", data)
        before = len(self.events)
        ready = FindingsReady(findings=(found,), charts=(chart,))
        places = {chart.sha256: chart_place, found.sha256: found_place}
        self.then(ready, "text_to_sql", state={"step": "specialist"}, storage_refs=places)
        places = {answer.sha256: place}
        self.then(AnswerDrafted(answer=answer, cites=("F1",)), "drafter", state={"step": "d"}, storage_refs=places)
        self.then(CloseCase(outcome="answered", code="answered", answer=answer), "router", storage_refs=places)
        self.then(CaseClosed(outcome="answered", code="answered", answer=answer), "case_manager", storage_refs=places)
        return self.events[before:]


def person_called(user: str, tenant: str = "acme") -> Person:
    """A user whom intake knows."""
    return Person(VAULT_KEY, fingerprint=KeyedHash(PERSON_KEY).person(tenant, user), tenant=tenant)


def asked_by(person: Person, *, source: str = "upstream.ingress", **more: Any) -> AskedCase:
    """A case that a user has just asked through the ingress."""
    opened = cases.first(uuid.uuid4().int % 10**9, tenant=person.tenant, **more)
    principal = opened["principal"] | {
        "sub": f"service:{source}",
        "subject": person.subject,
        "act": [f"user:{person.subject}"],
    }
    opened = cases.rewritten(opened, principal=principal)
    known = known_cases()
    assert known is not None
    known.add_case(opened)
    return AskedCase(person, [opened])


@pytest.fixture(scope="module")
def caller_log(infrastructure: Infrastructure) -> Log:
    """Made once a module."""

    async def make() -> Log:
        admin = await asyncpg.connect(infrastructure.owner_url("postgres"))
        await admin.execute(f"drop database if exists {DATABASE} with (force)")
        await admin.execute(f"create database {DATABASE}")
        await admin.close()
        await migrate_audit(infrastructure.owner_url(DATABASE), password_for=password)
        _, _, place = infrastructure.owner_url(DATABASE).partition("@")
        return Log(lambda role: f"postgresql://{role}:{password(role)}@{place}")

    return asyncio.run(make())


def api_settings(**changes: Any) -> ApiSettings:
    """The settings of an API whose identity provider is not asked."""
    values: dict[str, Any] = {
        "work_db_url": "postgresql://unused",
        "audit_db_url": "postgresql://unused",
        "person_key": PERSON_KEY,
        "idp_issuer": ISSUER,
        "idp_jwks_url": "http://127.0.0.1:1/jwks.json",
        "idp_audience": "switchyard",
    }
    return ApiSettings(**values | changes)


@dataclass
class Served:
    """The API on its socket."""

    url: str
    log: Log
    work: Pool
    api: Any
    server: WebServer
    function_calls: list[Mapping[str, Any]]
    watcher: CaseWatcher

    def client(self, user: str = "ana", **options: Any) -> AsyncClient:
        """A client with a token of this user."""
        return AsyncClient(self.url, token(user), **{"retries": 0} | options)


Serve = Callable[..., Any]


@pytest.fixture
def serve(infrastructure: Infrastructure, caller_log: Log, cloud: Cloud) -> Serve:
    """Serves an API with other settings, for the time of a block."""

    @asynccontextmanager
    async def serving(function: PostedFunction | None = None, port: int = 0, **changes: Any) -> AsyncIterator[Served]:
        work_url = changes.pop("work_url", infrastructure.role_url(API))
        audit_url = changes.pop("audit_url", caller_log.url(CALLERS))
        audit = await connect_pool(audit_url, schema=SCHEMA, server_settings=READ_ONLY)
        work = await connect_pool(work_url, schema=API)
        parts = ApiParts(
            audit, work, S3Objects(cloud.s3, "switchyard-objects"), LocalKeyWrapper(VAULT_KEY), SystemClock()
        )
        calls: list[Mapping[str, Any]] = []

        def called(event: dict[str, Any]) -> Mapping[str, Any]:
            calls.append(event)
            return {
                "statusCode": 202,
                "headers": {},
                "body": json.dumps({"case_id": "x", "session_id": "s", "grant": "g"}),
            }

        api, watcher = build_api(APP, api_settings(**changes), parts, function=function or called)
        verifier = JwtVerifier(
            issuer=ISSUER, fetch=lambda: json.dumps(KeySet([SIGNER]).as_dict(private=False)).encode()
        )
        tokens = TokenVerifier(verifier, audience="switchyard", tenant_claim="tenant", role_claim="roles")
        object.__setattr__(api.callers, "tokens", tokens)
        object.__setattr__(api.callers, "readers", frozenset({READER_ROLE}))
        server = WebServer(api.build(), "127.0.0.1", port)
        watching = asyncio.create_task(run_periodically("watcher", watcher.run, every_s=0.1))
        try:
            yield Served(f"http://127.0.0.1:{server.port}", caller_log, work, api, server, calls, watcher)
        finally:
            watching.cancel()
            await server.stop()
            await asyncio.gather(watching, return_exceptions=True)
            await work.close()
            await audit.close()

    return serving


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    """The API as its process makes it."""
    async with serve() as running:
        yield running
