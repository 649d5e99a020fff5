"""Handles the provider's bounce and complaint reports."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from faststream_sqs import SQSMessage
from services.specialists.email_feedback.feedback import read_report, read_suppressions
from services.specialists.email_feedback.suppression import SuppressionPublisher
from switchyard.protocol.errors import InvalidEvent
from switchyard.runtime.database.circuit_breaker import nack_when_unavailable
from switchyard.runtime.messaging.quarantine import Quarantine

log = structlog.get_logger(__name__)


async def handle_feedback_report(
    message: SQSMessage, *, suppressions: SuppressionPublisher, quarantine: Quarantine, tenants: Mapping[str, str]
) -> None:
    """Publish a suppression request for a bounce or complaint. Safe to repeat: the report id stays the same."""
    async with nack_when_unavailable(message, None):
        try:
            report = read_suppressions(read_report(message.raw_body), tenants)
        except InvalidEvent as error:
            await quarantine.keep(message.raw_body, error)
            return
        for each in report.suppressions:
            await suppressions.publish(each)
            log.info("report.taken", reason=each.reason, report_id=each.report_id)
        if report.problem is not None:
            await quarantine.keep(message.raw_body, report.problem)
