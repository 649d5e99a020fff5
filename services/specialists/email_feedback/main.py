"""Composition root of the email feedback process."""

from __future__ import annotations

from functools import partial

from contracts.catalogue import CATALOGUE
from contracts.documents.opt_out import OPT_OUT_PURPOSE, OptOutClaims
from services.specialists.email_feedback.handlers import handle_feedback_report
from services.specialists.email_feedback.settings import EmailFeedbackSettings
from services.specialists.email_feedback.suppression import SuppressionPublisher
from services.specialists.email_feedback.web import build_opt_out_app
from switchyard.runtime.crypto.tokens import SignedTokens
from switchyard.runtime.process.process import ServiceProcess
from switchyard.runtime.process.web import serve_web_app


async def run() -> None:
    """Serve the opt-out endpoint and consume the queue of the provider's reports."""
    settings = EmailFeedbackSettings()
    tokens = SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys=settings.optout_keys)
    async with ServiceProcess(CATALOGUE, "email_feedback", settings) as process:
        suppressions = SuppressionPublisher(process.broker.event_publisher(bus=settings.bus))
        quarantine = await process.quarantine(await process.objects(settings.objects_bucket), keep_bytes=False)
        report = partial(
            handle_feedback_report, suppressions=suppressions, quarantine=quarantine, tenants=settings.feedback_tenants
        )
        # Dead letters are handled again: repeating a report is harmless.
        process.subscribe(report, dead_letters=report)
        app = build_opt_out_app(tokens, suppressions, process.clock)
        # A server that fails must not stop the reports, nor reports the server.
        process.run_in_background("opt_out", partial(serve_web_app, app, settings.optout_host, settings.optout_port))
        await process.run()
