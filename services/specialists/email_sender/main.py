"""Composition root of the courier."""

from __future__ import annotations

from functools import partial

from contracts.cards import COURIER
from contracts.events.router import SendEmail
from services.specialists.email_sender.handlers import Limits, send_email
from services.specialists.email_sender.ledger import SESSION, Ledger
from services.specialists.email_sender.provider import SesProvider, client_config
from services.specialists.email_sender.settings import CourierSettings
from services.specialists.email_sender.unresolved_sends import Settlements
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import Handler
from switchyard.runtime.process.process import Process, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the courier."""
    settings = CourierSettings()
    approvers = settings.known_approvers()

    async def build(process: Process, artefacts: Artefacts) -> dict[type[Contract], Handler]:
        # A pool of its own: a transaction that waits for the desk's locks must not keep the inbox from its leases.
        pool = await process.connect(settings.database_url, schema=COURIER.name, server_settings=SESSION)
        ses = await process.client(
            "sesv2", endpoint_url=settings.ses_endpoint_url, config=client_config(settings.ses_timeout_s)
        )
        handler = partial(
            send_email,
            artefacts=artefacts,
            ledger=Ledger(pool, approvers),
            provider=SesProvider(ses, configuration_set=settings.ses_configuration_set),
            clock=process.clock,
            limits=Limits(timeout_s=settings.ses_timeout_s, pace=settings.pace),
        )
        process.alongside(Settlements(pool, process.publisher, process.clock).run)
        return {SendEmail: handler}

    await serve_agent(COURIER.name, settings, build, opens=COURIER.opens)
