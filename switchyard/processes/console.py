"""Composition root of the console."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.request import urlopen

import aiohttp

from switchyard.app.application import App, load_app, load_reference
from switchyard.app.console_process import CONSOLE
from switchyard.app.prompts import released_prompts
from switchyard.audit.export.bundle import Exporter
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.case_verifier import RowTrust
from switchyard.case_manager.feedback import FEEDBACK_ARTEFACT
from switchyard.case_manager.openings import STATEMENT_ARTEFACT
from switchyard.console.app import ConsoleApp
from switchyard.console.approvals import ApprovalReader
from switchyard.console.case_detail import CaseReader
from switchyard.console.case_list import CaseList
from switchyard.console.case_step import StepReader
from switchyard.console.dashboards import DashboardReader, ModelPrice
from switchyard.console.day_verifier import DayVerifier
from switchyard.console.failures import FailureReader
from switchyard.console.login import Login
from switchyard.console.pages import Pages
from switchyard.console.refused import RefusedReader
from switchyard.console.sealed import SealedArtefacts
from switchyard.console.sessions import Sessions
from switchyard.console.signed_commands import SignedCommands
from switchyard.console.switches import SwitchReader
from switchyard.console.tail import Tail
from switchyard.console.tenants import TenantGuard
from switchyard.console.views import Views
from switchyard.console.views.approvals import ApprovalViews
from switchyard.console.views.cases import CaseViews
from switchyard.console.views.dashboards import DashboardViews
from switchyard.console.views.failures import FailureViews
from switchyard.console.views.proof import ProofViews
from switchyard.console.views.sessions import SessionViews
from switchyard.console.views.switches import SwitchViews
from switchyard.console.views.tail import TailViews
from switchyard.identity.jwt_verifier import JwtVerifier
from switchyard.identity.token_exchange import HTTP_TIMEOUT_S
from switchyard.processes.console_checks import wide_checks
from switchyard.processes.console_settings import ConsoleSettings
from switchyard.protocol.catalogue import AUDIT
from switchyard.protocol.signing import source_keys
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys, public_keys
from switchyard.runtime.crypto.vault import KeyWrapper, KmsKeyWrapper, LocalKeyWrapper, Vault
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.process.web import serve_web_app
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.locked_objects import LockedObjects
from switchyard.runtime.storage.objects import S3Objects

POOL_SIZE = 6
READ_ONLY = {"default_transaction_read_only": "on", "plan_cache_mode": "force_custom_plan"}
"""Of the connections to the log. Each statement is planned with its values: a filter that is not set costs nothing."""


@dataclass(frozen=True)
class ConsoleParts:
    """What the pages are made over. `work` is a pool of the console's own role, `audit` one of `audit_reader`."""

    audit: Pool
    work: Pool
    objects: S3Objects
    checkpoints: LockedObjects | None
    keys: KeyWrapper
    http: aiohttp.ClientSession
    clock: Clock


async def serve_console() -> None:
    """Serve the console of the application that SWITCHYARD_APP names."""
    await run_console(load_app())


async def run_console(app: App) -> None:
    """Serve the console."""
    settings = ConsoleSettings()
    async with ServiceProcess(app.catalogue, CONSOLE, settings) as process:
        audit = await process.connect(settings.audit_db_url, schema=AUDIT, size=POOL_SIZE, server_settings=READ_ONLY)
        breaker = DatabaseCircuitBreaker(audit)
        await process.on_exit(breaker.close)
        process.check("database", lambda: breaker.available)
        http = aiohttp.ClientSession()
        await process.on_exit(http.close)
        parts = ConsoleParts(
            audit=audit,
            work=await process.connect(settings.work_db_url, schema=CONSOLE, size=POOL_SIZE),
            objects=S3Objects(await process.client("s3"), settings.objects_bucket),
            checkpoints=await _checkpoints(process, settings),
            keys=await _key_wrapper(process, settings),
            http=http,
            clock=process.clock,
        )
        views = build_views(app, settings, parts)
        console = ConsoleApp(views.pages, views.handlers(), views.open_handlers(), settings.console_url, views.guard)
        process.run_in_background(
            "console_pages", partial(serve_web_app, console.build(), settings.console_host, settings.console_port)
        )
        process.run_in_background("tail", views.tail.run)
        await process.run()


def build_views(app: App, settings: ConsoleSettings, parts: ConsoleParts) -> Views:
    """The pages of an application's console."""
    audit, work = Database(parts.audit, AUDIT_DATABASE), Database(parts.work, "the work database")
    log = AuditReader(
        parts.audit, app.catalogue, clock=parts.clock, trusted=_receipt_keys(settings), rows=_row_trust(settings)
    )
    vault = Vault(parts.work, parts.keys, parts.clock, use="review")
    sealed = SealedArtefacts(
        Artefacts(parts.objects, vault, decrypts=(*app.decrypts, STATEMENT_ARTEFACT, FEEDBACK_ARTEFACT)),
        work,
        {name: load_reference(reader) for name, reader in app.artefact_texts.items()},
        {name: load_reference(reader) for name, reader in app.artefact_pages.items()},
    )
    secure = settings.console_url.startswith("https://")
    sessions = Sessions(settings.console_keys, secure, settings.console_session_s, SystemClock())
    prices = {name: ModelPrice(each.input, each.output) for name, each in settings.model_prices.items()}
    pages = Pages(sessions, parts.clock, settings.console_name, app.all_outcomes)
    commands = SignedCommands(work, settings.operator_keys(), settings.approver_keys())
    tail, guard = Tail(audit), TenantGuard(audit)
    cases = CaseList(audit)
    return Views(
        pages=pages,
        clock=parts.clock,
        audit=audit,
        work=work,
        tail=tail,
        sessions=SessionViews(pages, _login(settings, parts.http)),
        guard=guard,
        modules=(
            CaseViews(
                pages, cases, CaseReader(log, audit, work), sealed, StepReader(audit, sealed, released_prompts())
            ),
            FailureViews(
                pages,
                FailureReader(log, audit, work, app.catalogue, guard),
                RefusedReader(parts.objects, audit, work, _quarantines(app)),
                commands,
            ),
            ApprovalViews(pages, ApprovalReader(audit, work, sealed, settings.four_eyes()), commands),
            SwitchViews(pages, SwitchReader(audit, work, parts.clock, guard), cases, commands, app.current),
            TailViews(pages, tail),
            DashboardViews(pages, DashboardReader(audit, prices)),
            ProofViews(
                pages,
                audit,
                work,
                DayVerifier(log),
                _exporter(settings, parts),
                wide_checks(
                    app,
                    settings,
                    log,
                    _receipt_keys(settings),
                    audit=parts.audit,
                    work=parts.work,
                    checkpoints=parts.checkpoints,
                    clock=parts.clock,
                ),
            ),
        ),
    )


def _quarantines(app: App) -> tuple[str, ...]:
    """The consumers with a quarantine in the bucket: audit has its alarms instead."""
    return tuple(consumer.node for consumer in app.consumers if consumer.node != AUDIT)


async def _checkpoints(process: ServiceProcess, settings: ConsoleSettings) -> LockedObjects | None:
    bucket = settings.checkpoint_bucket
    return None if bucket is None else LockedObjects(await process.client("s3"), bucket)


def _exporter(settings: ConsoleSettings, parts: ConsoleParts) -> Exporter | None:
    """Raises `ValueError` for an invalid key."""
    if parts.checkpoints is None:
        return None
    keys = public_keys(settings.checkpoint_public_keys)
    return Exporter(parts.audit, parts.checkpoints, keys, log=settings.checkpoint_log)


def _row_trust(settings: ConsoleSettings) -> RowTrust:
    """Whose signatures are checked in a chain. The keys of the rows' MACs stay with audit."""
    return RowTrust(
        signers={
            "approvers": settings.approver_keys(),
            "operators": settings.operator_keys(),
            "sources": source_keys(settings.principal_keys),
        }
    )


def _receipt_keys(settings: ConsoleSettings) -> TrustedKeys:
    """Who may have signed the receipts of retired cases. Raises `ValueError` for an invalid key."""
    return TrustedKeys(public_keys(settings.receipt_public_keys))


def _login(settings: ConsoleSettings, http: aiohttp.ClientSession) -> Login:
    # By the machine's clock, which is the identity provider's, too.
    verifier = JwtVerifier(issuer=settings.idp_issuer, fetch=partial(_fetch, settings.idp_jwks_url))
    return Login(
        http=http,
        verifier=verifier,
        client_id=settings.console_client_id,
        client_secret=settings.console_client_secret.get_secret_value(),
        authorize_url=settings.idp_authorize_url,
        token_url=settings.idp_token_url,
        redirect_url=f"{settings.console_url}/login/callback",
        role_claim=settings.console_role_claim,
        tenant_claim=settings.console_tenant_claim,
    )


async def _key_wrapper(process: ServiceProcess, settings: ConsoleSettings) -> KeyWrapper:
    if settings.kms_key_id is not None:
        return KmsKeyWrapper(await process.client("kms"), settings.kms_key_id)
    if settings.vault_key is None:
        raise ValueError("set SWITCHYARD_KMS_KEY_ID, or SWITCHYARD_VAULT_KEY in the local stack")
    return LocalKeyWrapper(settings.vault_key)


def _fetch(url: str) -> bytes:
    with urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310 - the address is the operator's
        body: bytes = answer.read(1_000_000)
        return body
