"""Handles the provider's bounce and complaint reports."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from faststream_sqs import SQSMessage
from services.specialists.email_feedback.feedback import read_suppressions
from services.specialists.email_feedback.suppression import SuppressionPublisher
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.errors import InvalidEvent, malformed
from switchyard.protocol.fields import Json
from switchyard.runtime.database.circuit_breaker import nack_when_unavailable
from switchyard.runtime.messaging.quarantine import Quarantine

log = structlog.get_logger(__name__)


async def handle_feedback_report(
    message: SQSMessage, *, suppressions: SuppressionPublisher, quarantine: Quarantine, tenants: Mapping[str, str]
) -> None:
    """Publish a suppression request for a bounce or complaint. Safe to repeat: the report id stays the same."""
    async with nack_when_unavailable(message, None):
        try:
            found = read_suppressions(_report(message.raw_body), tenants)
        except InvalidEvent as error:
            await quarantine.keep(message.raw_body, error)
            return
        for each in found:
            await suppressions.publish(each)
            log.info("report.taken", reason=each.reason, report_id=each.report_id)


def _report(body: str) -> Json:
    """The event of SES in an SQS body: EventBridge's detail, SNS's message, or the bare object."""
    outer = parse_json(body)
    if outer.get("source") == "aws.ses":
        detail = outer.get("detail")
        if isinstance(detail, dict):
            return detail
        raise malformed("not an event of SES", "detail")
    if outer.get("Type") == "Notification" and isinstance(outer.get("Message"), str):
        return parse_json(outer["Message"])
    return outer
