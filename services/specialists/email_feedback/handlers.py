"""What the mail process does with the provider's reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from faststream_sqs import SQSMessage
from services.specialists.email_feedback.feedback import refusals
from services.specialists.email_feedback.suppression import Refusals
from switchyard.protocol.canonical import parse
from switchyard.protocol.errors import InvalidEvent, Refusal
from switchyard.protocol.fields import Json
from switchyard.runtime.database.circuit_breaker import deferring
from switchyard.runtime.messaging.quarantine import Quarantine

log = structlog.get_logger(__name__)


async def take_report(
    message: SQSMessage, *, refused: Refusals, quarantine: Quarantine, tenants: Mapping[str, str]
) -> None:
    """Pass a bounce or complaint on. Safe to repeat: a report keeps its id."""
    async with deferring(message, None):
        try:
            found = refusals(_report(message.raw_body), tenants)
        except InvalidEvent as refusal:
            await quarantine.keep(message.raw_body, refusal)
            return
        for each in found:
            await refused.publish(each)
            log.info("report.taken", reason=each.reason, report_id=each.report_id)


def _report(body: str) -> Json:
    """The event of SES in an SQS body: EventBridge's detail, SNS's message, or the bare object."""
    outer = parse(body)
    if outer.get("source") == "aws.ses":
        return _object(outer.get("detail"), "detail")
    if outer.get("Type") == "Notification" and isinstance(outer.get("Message"), str):
        return parse(outer["Message"])
    return outer


def _object(value: Any, field: str) -> Json:
    if not isinstance(value, dict):
        raise InvalidEvent(Refusal.MALFORMED, "not an event of SES", field=field)
    return value
