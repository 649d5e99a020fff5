"""Composition root of the mail process."""

from __future__ import annotations

from functools import partial

from contracts.documents.opt_out import PURPOSE, OptOut
from services.specialists.email_feedback.handlers import take_report
from services.specialists.email_feedback.settings import MailSettings
from services.specialists.email_feedback.suppression import Refusals
from services.specialists.email_feedback.web import build_app
from switchyard.app.topology import MAIL
from switchyard.runtime.crypto.tokens import SignedTokens, read_keys
from switchyard.runtime.process.process import Process
from switchyard.runtime.process.web import serve


async def run() -> None:
    """Serve the opt-out endpoint, and take the provider's reports from their queue."""
    settings = MailSettings()
    tokens = SignedTokens(OptOut, purpose=PURPOSE, keys=read_keys(settings.optout_keys))
    async with Process(MAIL, settings) as process:
        refused = Refusals(process.broker.event_publisher(bus=settings.bus))
        quarantine = await process.quarantine(await process.objects(settings.objects_bucket))
        report = partial(take_report, refused=refused, quarantine=quarantine, tenants=settings.feedback_tenants)
        # A report that could not be passed on for a hundred receives is tried again: repeating it costs nothing.
        process.subscribe(report, dead_letters=report)
        app = build_app(tokens, refused, process.clock)
        process.alongside(partial(serve, app, settings.optout_host, settings.optout_port))
        await process.run()
