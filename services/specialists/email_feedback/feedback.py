"""Turns SES bounce and complaint reports into suppression requests. Pure.

SES sends its events to EventBridge's default bus (source `aws.ses`) or, without that, as JSON through SNS; both carry
the same object (SES developer guide, "Contents of event data"). Only final reports count: a bounce that is not soft,
and a complaint that is not a "not spam" report. An address is stored in the event and nowhere else.

A report is another system's document: it is read leniently. A field that is missing or spelt in another way must not
keep an address from being stopped; what is in doubt stops it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent, invalid
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.protocol.fields import Email, Json

FeedbackReason = Literal["bounced", "complained"]
SES_DETAIL_TYPES = ("Email Bounced", "Email Complaint Received")
_ADDRESS: TypeAdapter[str] = TypeAdapter(Email)
_LIKE_AN_ADDRESS = re.compile(r"(?<![\w.%+'-])[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_MAX_ADDRESS_TEXT = 1_000
_SOFT = frozenset({"transient", "undetermined"})


@dataclass(frozen=True)
class _FeedbackKind:
    name: str
    recipients: str
    reason: FeedbackReason
    stem: str


_KINDS = (
    _FeedbackKind("bounce", "bouncedRecipients", "bounced", "bounc"),
    _FeedbackKind("complaint", "complainedRecipients", "complained", "complain"),
)


@dataclass(frozen=True)
class FeedbackReport:
    """What a report asks for. `problem` names what could not be read beside it, for a person."""

    suppressions: tuple[SuppressionRequested, ...] = ()
    problem: InvalidEvent | None = None


def read_report(body: str) -> Json:
    """The event of SES in an SQS body: EventBridge's detail, SNS's message, or the bare object. Raises `InvalidEvent`
    for a body that holds none."""
    report = parse_foreign_json(body)
    for name in ("detail", "Message"):
        inner = report.get(name) if isinstance(report, dict) and _find(report, "mail") is None else None
        if isinstance(inner, str):
            inner = parse_foreign_json(inner)
        report = report if inner is None else inner
    if not isinstance(report, dict):
        raise _unreadable("(whole)", "not an event of SES")
    return report


def read_suppressions(report: Json, tenants: Mapping[str, str]) -> FeedbackReport:
    """The suppression requests of a report; none for a soft bounce or any other report.

    `tenants` maps sending domains to tenants. Raises `InvalidEvent` if no address can be read that should be stopped.
    """
    kind = _kind(report)
    if kind is None:
        return FeedbackReport()
    found = _find(report, kind.name)
    detail = found if isinstance(found, dict) else {}
    mail = _find(report, "mail")
    mail = mail if isinstance(mail, dict) else {}
    if _is_soft(kind, detail):
        return FeedbackReport()
    addresses, problem = _recipients(kind, detail, mail)
    tenant, message = _tenant(mail, tenants), _message(report, detail, mail)
    return FeedbackReport(
        tuple(
            SuppressionRequested(
                tenant=tenant, address=address, reason=kind.reason, report_id=_report_id(kind, message, address)
            )
            for address in addresses
        ),
        problem,
    )


def _kind(report: Json) -> _FeedbackKind | None:
    named = _find(report, "eventType") or _find(report, "notificationType")
    name = named.casefold() if isinstance(named, str) else ""
    for kind in _KINDS:
        if kind.stem in name:
            return kind
    if isinstance(named, str):
        return None
    for kind in _KINDS:
        if _find(report, kind.name) is not None:
            return kind
    raise _unreadable("eventType", "not an event of SES")


def _is_soft(kind: _FeedbackKind, detail: Json) -> bool:
    if kind.name == "complaint":
        return _folded(_find(detail, "complaintFeedbackType")) == "notspam"
    bounce_type = _folded(_find(detail, "bounceType"))
    if bounce_type:
        return bounce_type in _SOFT
    rows = _find(detail, kind.recipients)
    statuses = [str(_find(row, "status")) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return bool(statuses) and all(status.startswith("4.") for status in statuses)


def _recipients(kind: _FeedbackKind, detail: Json, mail: Json) -> tuple[list[str], InvalidEvent | None]:
    """The addresses, and what is wrong with the others. Without any, the email's own recipients count."""
    for listed in (_find(detail, kind.recipients), _find(mail, "destination")):
        rows = listed if isinstance(listed, list) else [listed]
        read = [_address(_find(row, "emailAddress") if isinstance(row, dict) else row) for row in rows]
        addresses = {address.lower(): address for address in read if address is not None}
        if addresses:
            problem = _unreadable(kind.recipients, "holds an invalid address") if None in read else None
            return list(addresses.values()), problem
    raise _unreadable(kind.recipients, "holds no valid address")


def _address(text: object) -> str | None:
    if not isinstance(text, str) or len(text) > _MAX_ADDRESS_TEXT:
        return None
    # SES sends it bare or with a display name; a remote server's report may have it after "rfc822;".
    like = _LIKE_AN_ADDRESS.search(text)
    for candidate in (parseaddr(text)[1], like[0] if like else ""):
        try:
            return _ADDRESS.validate_python(candidate)
        except ValidationError:
            continue
    return None


def _tenant(mail: Json, tenants: Mapping[str, str]) -> str:
    """The tenant of the sending domain. A report that names none can only be about the tenant that is alone here."""
    headers, tags = _find(mail, "commonHeaders"), _find(mail, "tags")
    named = [
        _find(mail, "source"),
        _first(_find(headers, "from") if isinstance(headers, dict) else None),
        _first(tags.get("ses:from-domain") if isinstance(tags, dict) else None),
        _find(mail, "sourceArn"),
    ]
    texts = [text for text in named if isinstance(text, str) and text]
    for text in texts:
        address = parseaddr(text)[1] if "@" in text else text
        domain = re.split(r"[@/]", address)[-1].strip(" <>.").lower()
        if domain in tenants:
            return tenants[domain]
    only = set(tenants.values())
    if not texts and len(only) == 1:
        return only.pop()
    raise _unreadable("mail.source", "has a domain that SWITCHYARD_FEEDBACK_TENANTS does not map to a tenant")


def _message(report: Json, detail: Json, mail: Json) -> str:
    """What makes a repeat of the report the same report: the message's id, else the report's, else all of it."""
    for name in (_find(mail, "messageId"), _find(detail, "feedbackId")):
        if isinstance(name, str) and name:
            return name
    return json.dumps(report, sort_keys=True)


def _report_id(kind: _FeedbackKind, message_id: str, address: str) -> str:
    """One id per message, person and kind of report, however often SES sends the report."""
    person = hashlib.sha256(f"{message_id}/{address.lower()}".encode()).hexdigest()[:32]
    return f"ses.{kind.name}.{person}"


def _find(document: Json, name: str) -> Any:
    """A field, in whichever spelling: `messageId`, `MessageId`, `message_id`."""
    if name in document:
        return document[name]
    wanted = _folded(name)
    return next((value for key, value in document.items() if _folded(key) == wanted), None)


def _folded(text: object) -> str:
    return re.sub(r"[_\s-]", "", text).casefold() if isinstance(text, str) else ""


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _unreadable(field: str, why: str) -> InvalidEvent:
    return invalid(why, field, "compare with SES's documented event data")
