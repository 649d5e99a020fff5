"""Composition root of the identity service."""

from __future__ import annotations

from functools import partial

import aiohttp

from switchyard.identity.api import IdentityApi, UserTokens
from switchyard.identity.client_registry import ClientRegistry
from switchyard.identity.client_settings import write_secret_files
from switchyard.identity.grant_store import GrantStore
from switchyard.identity.jwt_verifier import JwtVerifier, fetch_jwks
from switchyard.identity.task_evidence import WorkDatabaseEvidence
from switchyard.identity.token_exchange import IdentityProvider, TokenExchange
from switchyard.identity.token_issuer import TokenIssuer
from switchyard.processes.identity_settings import IdentitySettings
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.principal_jws import import_public_key
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.vault import KeyWrapper, KmsKeyWrapper, LocalKeyWrapper
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.process.web import MutualTls, serve_web_app

IDENTITY = "identity"
"""The process, its schema and its role."""

FORGET_INTERVAL_S = 60.0
FILES_INTERVAL_S = 300.0


async def run_identity(catalogue: Catalogue) -> None:
    """Serve the identity service."""
    settings = IdentitySettings()
    # Provider and exchange know the true time only, also where the local stack's clock is moved.
    async with ServiceProcess(catalogue, IDENTITY, settings, clock=SystemClock()) as process:
        if settings.identity_files_secret_arn is not None:
            # A new value of `clients` counts at once, a new certificate from the next start on.
            manager = await process.client("secretsmanager")
            files = settings.identity_files() | {"clients": settings.exchange_clients_file}
            write = partial(write_secret_files, manager, settings.identity_files_secret_arn, files)
            await write()
            process.run_periodically("identity_files", write, None, every_s=FILES_INTERVAL_S)
        pool = await process.connect(settings.work_db_url, schema=IDENTITY)
        breaker = DatabaseCircuitBreaker(pool)
        await process.on_exit(breaker.close)
        process.check("database", lambda: breaker.available)
        http = aiohttp.ClientSession()
        await process.on_exit(http.close)
        store = GrantStore(pool, await _key_wrapper(process, settings), process.clock)
        keys = {
            source: {kid: import_public_key(key) for kid, key in own.items()}
            for source, own in settings.principal_keys.items()
        }
        now = lambda: process.clock.now().timestamp()  # noqa: E731
        users = UserTokens(
            JwtVerifier(issuer=settings.idp_issuer, fetch=partial(fetch_jwks, settings.idp_jwks_url), now=now),
            settings.idp_audience,
            settings.idp_tenant_claim,
            settings.idp_role_claim,
            settings.role_scope,
            frozenset(settings.base_scopes),
        )
        issuer = TokenIssuer(
            store=store,
            evidence=WorkDatabaseEvidence(pool),
            exchange=TokenExchange(
                http,
                endpoint=settings.exchange_token_url,
                clients=ClientRegistry(settings.exchange_clients_file),
                verifier=JwtVerifier(
                    issuer=settings.exchange_issuer, fetch=partial(fetch_jwks, settings.exchange_jwks_url), now=now
                ),
                subject_token_type=settings.exchange_subject_token_type,
                subject_prefix=settings.exchange_subject_prefix,
            ),
            provider=IdentityProvider(http, endpoint=settings.idp_token_url, client=settings.refreshing_client()),
            users=users,
            keys=keys,
            ceilings=settings.identity_ceilings,
            services=settings.service_grants,
            role_scope=settings.role_scope,
            clock=process.clock,
        )
        api = IdentityApi(
            issuer,
            store,
            users,
            keys,
            registrars=frozenset(settings.identity_callers),
            agents=frozenset(settings.identity_ceilings),
            clock=process.clock,
        )
        tls = MutualTls(settings.identity_tls_ca, settings.identity_tls_certificate, settings.identity_tls_key)
        process.run_in_background(
            "identity_api", partial(serve_web_app, api.app(), settings.identity_host, settings.identity_port, tls=tls)
        )
        process.run_periodically("credentials", partial(_forget, store), breaker, every_s=FORGET_INTERVAL_S)
        await process.run()


async def _forget(store: GrantStore) -> None:
    await store.forget_expired()
    await store.forget_grants()


async def _key_wrapper(process: ServiceProcess, settings: IdentitySettings) -> KeyWrapper:
    if settings.identity_kms_key_id is not None:
        return KmsKeyWrapper(await process.client("kms"), settings.identity_kms_key_id)
    if settings.identity_vault_key is None:
        raise ValueError("set SWITCHYARD_IDENTITY_KMS_KEY_ID, or SWITCHYARD_IDENTITY_VAULT_KEY in the local stack")
    return LocalKeyWrapper(settings.identity_vault_key)
