"""Turns SES bounce and complaint reports into suppression requests. Pure.

SES sends its events to EventBridge's default bus (source `aws.ses`) or, without that, as JSON through SNS; both carry
the same object (SES developer guide, "Contents of event data"). Only final reports count: a
permanent bounce, and a complaint that is not a "not spam" report. An address is stored in the event and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.utils import parseaddr
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from switchyard.protocol.errors import InvalidEvent, invalid
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.protocol.fields import Email, Json

FeedbackReason = Literal["bounced", "complained"]
_KINDS: dict[str, tuple[str, FeedbackReason]] = {
    "Bounce": ("bouncedRecipients", "bounced"),
    "Complaint": ("complainedRecipients", "complained"),
}
"""The recipients' field and the reason, by kind of report."""

SES_DETAIL_TYPES = ("Email Bounced", "Email Complaint Received")
_ADDRESS: TypeAdapter[str] = TypeAdapter(Email)


def read_suppressions(report: Json, tenants: Mapping[str, str]) -> list[SuppressionRequested]:
    """The suppression requests of a report; empty for a soft bounce or any other report.

    `tenants` maps sending domains to tenants. Raises `InvalidEvent` if the report cannot be read or has no tenant.
    """
    kind, mail = report.get("eventType") or report.get("notificationType"), report.get("mail")
    if not isinstance(kind, str) or not isinstance(mail, dict):
        raise _unreadable("eventType", "not an event of SES")
    if kind not in _KINDS:
        return []
    recipients_field, reason = _KINDS[kind]
    detail = report.get(kind.lower())
    if not isinstance(detail, dict):
        raise _unreadable(kind.lower(), "is missing")
    soft_bounce = kind == "Bounce" and detail.get("bounceType") != "Permanent"
    not_spam = kind == "Complaint" and detail.get("complaintFeedbackType") == "not-spam"
    if soft_bounce or not_spam:
        return []
    addresses = _recipients(detail, recipients_field)
    tenant, message_id = _tenant(mail, tenants), mail.get("messageId")
    if not isinstance(message_id, str):
        raise _unreadable("mail.messageId", "is missing")
    return [
        SuppressionRequested(
            tenant=tenant, address=address, reason=reason, report_id=_report_id(kind, message_id, address)
        )
        for address in addresses
    ]


def _recipients(detail: Json, field: str) -> list[str]:
    rows = detail.get(field)
    if not isinstance(rows, list) or not rows:
        raise _unreadable(field, "holds no recipients")
    return [_address(row.get("emailAddress") if isinstance(row, dict) else None, field) for row in rows]


def _address(text: Any, field: str) -> str:
    # SES sends it bare or with a display name.
    address = parseaddr(text)[1] if isinstance(text, str) else ""
    try:
        return _ADDRESS.validate_python(address)
    except ValidationError:
        raise _unreadable(field, "holds an invalid address") from None


def _tenant(mail: Json, tenants: Mapping[str, str]) -> str:
    source = mail.get("source")
    domain = parseaddr(source)[1].rpartition("@")[2].lower() if isinstance(source, str) else ""
    tenant = tenants.get(domain)
    if tenant is None:
        raise _unreadable("mail.source", "has a domain that SWITCHYARD_FEEDBACK_TENANTS does not map to a tenant")
    return tenant


def _report_id(kind: str, message_id: str, address: str) -> str:
    """One id per message, person and kind of report, however often SES sends the report."""
    person = hashlib.sha256(f"{message_id}/{address.lower()}".encode()).hexdigest()[:32]
    return f"ses.{kind.lower()}.{person}"


def _unreadable(field: str, why: str) -> InvalidEvent:
    return invalid(why, field, "compare with SES's documented event data")
