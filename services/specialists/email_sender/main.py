"""Composition root of the email sender."""

from __future__ import annotations

from functools import partial

from contracts.cards import EMAIL_SENDER_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import SendEmail
from services.specialists.email_sender.handlers import send_email
from services.specialists.email_sender.ledger import SESSION_SETTINGS, SendLedger
from services.specialists.email_sender.provider import SesProvider, client_config
from services.specialists.email_sender.send_preconditions import ApprovalPolicy
from services.specialists.email_sender.settings import EmailSenderSettings
from services.specialists.email_sender.unresolved_sends import RESOLUTION_INTERVAL_S, ResolutionPublisher
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the email sender."""
    settings = EmailSenderSettings()
    approvals = ApprovalPolicy(settings.approver_keys(), settings.four_eyes())
    operators = settings.operator_keys()

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        # A separate pool, so that a transaction that waits for another sender's does not delay the inbox's leases.
        pool = await process.connect(
            settings.work_db_url, schema=EMAIL_SENDER_CARD.name, server_settings=SESSION_SETTINGS
        )
        ses = await process.client(
            "sesv2", endpoint_url=settings.ses_endpoint_url, config=client_config(settings.ses_timeout_s)
        )
        handler = partial(
            send_email,
            artefacts=artefacts,
            ledger=SendLedger(pool, approvals, operators),
            provider=SesProvider(ses, configuration_set=settings.ses_configuration_set),
            clock=process.clock,
            timeout_s=settings.ses_timeout_s,
            send_rate=settings.send_rate,
        )
        resolutions = ResolutionPublisher(pool, operators, process.outbox, process.clock, process.bundle.digest)
        process.run_periodically("resolutions", resolutions.tick, process.breaker, every_s=RESOLUTION_INTERVAL_S)
        return {SendEmail: handler}

    await serve_agent(CATALOGUE, EMAIL_SENDER_CARD, settings, build)
