"""Composition root of the API."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pydantic import TypeAdapter

from switchyard.api.answers import Answers
from switchyard.api.app import ApiApp, PostedFunction
from switchyard.api.callers import Callers, RequestRate
from switchyard.api.cases import CallerCases
from switchyard.api.event_stream import EventStreams, StreamLimits
from switchyard.api.memory import CallerMemory
from switchyard.api.openapi import build_openapi
from switchyard.api.user_tokens import TokenVerifier
from switchyard.api.watcher import CaseWatcher
from switchyard.api.webhooks import (
    WEBHOOK_INTERVAL_S,
    WebhookEndpoint,
    Webhooks,
    open_webhook_session,
    usable_endpoints,
)
from switchyard.app.application import API, App, load_app
from switchyard.app.generate import api_requests
from switchyard.audit.records.roles import AUDIT_DATABASE, SCHEMA
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.identity.jwt_verifier import JwtVerifier, fetch_jwks
from switchyard.ingress.handler import open_ingress
from switchyard.processes.api_settings import ApiSettings
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.crypto.vault import KeyWrapper, KmsKeyWrapper, LocalKeyWrapper
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.process.web import serve_web_app
from switchyard.runtime.storage.objects import ObjectStore

POOL_SIZE = 6
ENDPOINTS_INTERVAL_S = 300.0
ENDPOINTS: TypeAdapter[dict[str, WebhookEndpoint]] = TypeAdapter(dict[str, WebhookEndpoint])
READ_ONLY = {"default_transaction_read_only": "on"}


@dataclass(frozen=True)
class ApiParts:
    """What requests are answered over. `work` is a pool of the API's own role, `audit` one of `audit_api`."""

    audit: Pool
    work: Pool
    objects: ObjectStore
    keys: KeyWrapper
    clock: Clock


async def serve_api() -> None:
    """Serve the API of the application that SWITCHYARD_APP names."""
    await run_api(load_app())


async def run_api(app: App) -> None:
    """Serve the API."""
    settings = ApiSettings()
    async with ServiceProcess(app.catalogue, API, settings) as process:
        audit = await process.connect(settings.audit_db_url, schema=SCHEMA, size=POOL_SIZE, server_settings=READ_ONLY)
        breaker = DatabaseCircuitBreaker(audit)
        await process.on_exit(breaker.close)
        process.check("database", lambda: breaker.available)
        parts = ApiParts(
            audit=audit,
            work=await process.connect(settings.work_db_url, schema=API, size=POOL_SIZE),
            objects=await process.objects(settings.objects_bucket),
            keys=await _key_wrapper(process, settings),
            clock=process.clock,
        )
        api, watcher = build_api(app, settings, parts, function=_function(app, settings, process.clock))
        process.run_in_background(
            "api_pages", partial(serve_web_app, api.build(), settings.api_host, settings.api_port)
        )
        process.run_in_background("watcher", watcher.run)
        await _run_webhooks(process, settings, parts, breaker)
        await process.run()


async def _run_webhooks(
    process: ServiceProcess, settings: ApiSettings, parts: ApiParts, breaker: DatabaseCircuitBreaker
) -> None:
    loopback = settings.api_webhook_loopback
    http = open_webhook_session(allow_loopback=loopback)
    await process.on_exit(http.close)
    audit, work = Database(parts.audit, AUDIT_DATABASE), Database(parts.work, "the work database")
    webhooks = Webhooks(
        audit, work, http, process.clock, usable_endpoints(settings.api_webhooks, allow_loopback=loopback)
    )
    if settings.api_webhooks_secret_arn is not None:
        secrets = await process.client("secretsmanager")

        async def read_endpoints() -> None:
            answer = await secrets.get_secret_value(SecretId=settings.api_webhooks_secret_arn)
            found = ENDPOINTS.validate_json(answer["SecretString"])
            webhooks.endpoints = usable_endpoints(found, allow_loopback=loopback)

        process.run_periodically("webhook_endpoints", read_endpoints, breaker, every_s=ENDPOINTS_INTERVAL_S)
    process.run_periodically("webhooks", webhooks.tick, breaker, every_s=WEBHOOK_INTERVAL_S)


def build_api(
    app: App, settings: ApiSettings, parts: ApiParts, *, function: PostedFunction | None = None
) -> tuple[ApiApp, CaseWatcher]:
    """The API of an application, and what follows the log for it."""
    audit, work = Database(parts.audit, AUDIT_DATABASE), Database(parts.work, "the work database")
    cases = CallerCases(audit, work, parts.clock)
    watcher = CaseWatcher(audit)
    # By the machine's clock, which is the identity provider's, too.
    tokens = TokenVerifier(
        JwtVerifier(issuer=settings.idp_issuer, fetch=partial(fetch_jwks, settings.idp_jwks_url)),
        audience=settings.idp_audience,
        tenant_claim=settings.idp_tenant_claim,
        role_claim=settings.idp_role_claim,
    )
    rate = RequestRate(settings.api_requests_per_minute, parts.clock.monotonic)
    limits = StreamLimits(settings.api_streams_per_caller, settings.api_streams)
    memory = None
    if app.caller_memory is not None:
        kept = app.caller_memory_artefacts
        memory = CallerMemory(app.caller_memory, kept, cases, parts.work, parts.objects, parts.keys)
    api = ApiApp(
        callers=Callers(tokens, KeyedHash(settings.person_key), frozenset(app.answer_readers), rate),
        cases=cases,
        answers=Answers(audit, work, parts.work, parts.objects, parts.keys, parts.clock, frozenset(app.answers)),
        streams=EventStreams(cases, watcher, limits),
        document=build_openapi(api_requests(app)),
        memory=memory,
        function=function,
    )
    return api, watcher


def _function(app: App, settings: ApiSettings, clock: Clock) -> PostedFunction | None:
    """The function behind the API, if this process serves it."""
    if settings.api_function is None:
        return None
    return open_ingress(app, settings.api_function, lambda: clock.now().timestamp())


async def _key_wrapper(process: ServiceProcess, settings: ApiSettings) -> KeyWrapper:
    if settings.kms_key_id is not None:
        return KmsKeyWrapper(await process.client("kms"), settings.kms_key_id)
    if settings.vault_key is None:
        raise ValueError("set SWITCHYARD_KMS_KEY_ID, or SWITCHYARD_VAULT_KEY in the local stack")
    return LocalKeyWrapper(settings.vault_key)
