"""Composition root of the mail process."""

from __future__ import annotations

from functools import partial

from contracts.optout import PURPOSE, OptOut
from contracts.topology import MAIL
from runtime.process import Process
from runtime.tokens import SignedTokens, read_keys
from services.specialists.mail.handlers import take_report
from services.specialists.mail.refusals import Refusals
from services.specialists.mail.serving import serve
from services.specialists.mail.settings import MailSettings
from services.specialists.mail.web import build_app


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
