"""Reports of SES become refusals, or nothing, or a named problem; an address stands nowhere but in the event."""

from __future__ import annotations

from typing import Any

import pytest

from services.specialists.email_feedback.feedback import SES_DETAIL_TYPES, read_suppressions
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from tests.reference import feedback_consumer
from tests.unit.protocol.event_patterns import matches

TENANTS = {"harborline.example": "acme"}
MAIL = {
    "messageId": "0100018f-aa",
    "source": "Harborline <accounts@HARBORLINE.example>",
    "destination": ["x@y.example"],
}


def bounce(kind: str = "Permanent", *addresses: str, **mail: Any) -> Json:
    """As in SES's guide, "Bounce object"."""
    recipients = [
        {"emailAddress": each, "action": "failed", "status": "5.1.1"} for each in addresses or ("ada@example.com",)
    ]
    detail = {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": recipients, "feedbackId": "f-1"}
    return {"eventType": "Bounce", "bounce": detail, "mail": MAIL | mail}


def complaint(feedback_type: str | None = "abuse") -> Json:
    """As in SES's guide, "Complaint object"."""
    detail: Json = {"complainedRecipients": [{"emailAddress": '"Ada" <ada@example.com>'}], "feedbackId": "f-2"}
    if feedback_type:
        detail["complaintFeedbackType"] = feedback_type
    return {"eventType": "Complaint", "complaint": detail, "mail": MAIL}


def test_a_permanent_bounce_refuses_each_of_its_recipients() -> None:
    found = read_suppressions(bounce("Permanent", "ada@example.com", "bob@example.com"), TENANTS)
    assert [(each.tenant, each.address, each.reason) for each in found] == [
        ("acme", "ada@example.com", "bounced"),
        ("acme", "bob@example.com", "bounced"),
    ]
    assert found[0].report_id != found[1].report_id


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_another_bounce_refuses_nobody(kind: str) -> None:
    assert read_suppressions(bounce(kind), TENANTS) == []


@pytest.mark.parametrize("feedback_type", ["abuse", "fraud", "other", "virus", "auth-failure", None])
def test_a_complaint_refuses_its_sender(feedback_type: str | None) -> None:
    [found] = read_suppressions(complaint(feedback_type), TENANTS)
    assert (found.address, found.reason) == ("ada@example.com", "complained")


def test_a_report_that_it_was_no_spam_refuses_nobody() -> None:
    assert read_suppressions(complaint("not-spam"), TENANTS) == []


def test_snss_older_name_for_the_kind_is_read_too() -> None:
    report = complaint()
    report["notificationType"] = report.pop("eventType")
    assert len(read_suppressions(report, TENANTS)) == 1


@pytest.mark.parametrize("kind", ["Send", "Delivery", "Open", "Reject", "DeliveryDelay"])
def test_other_reports_refuse_nobody(kind: str) -> None:
    assert read_suppressions({"eventType": kind, kind.lower(): {}, "mail": MAIL}, TENANTS) == []


def test_read_suppressions_same_report_twice_is_the_same_request() -> None:
    assert read_suppressions(bounce(), TENANTS) == read_suppressions(bounce(), TENANTS)
    assert read_suppressions(bounce(), TENANTS) != read_suppressions(bounce(messageId="another"), TENANTS)


def test_a_report_id_does_not_tell_the_address() -> None:
    [found] = read_suppressions(bounce(), TENANTS)
    assert "ada" not in found.report_id


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({}, "eventType"),
        ({"eventType": "Bounce"}, "eventType"),
        ({"eventType": "Bounce", "mail": MAIL}, "bounce"),
        ({"eventType": "Complaint", "mail": MAIL, "complaint": "x"}, "complaint"),
        ({"eventType": "Bounce", "mail": MAIL, "bounce": {"bounceType": "Permanent"}}, "bouncedRecipients"),
        (bounce("Permanent", "not an address"), "bouncedRecipients"),
        (bounce(source="accounts@rival.example"), "mail.source"),
        (bounce(source=None), "mail.source"),
        (bounce(messageId=None), "mail.messageId"),
    ],
)
def test_what_cannot_be_read_is_named_by_field_and_without_its_value(report: Json, field: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read_suppressions(report, TENANTS)
    assert refused.value.field == field
    assert "not an address" not in str(refused.value)


def test_the_rule_lets_in_exactly_what_is_read() -> None:
    [rule] = feedback_consumer().rules
    assert rule.bus == "default"
    reports = {
        type_: {"source": "aws.ses", "detail-type": type_, "detail": {}} for type_ in (*SES_DETAIL_TYPES, "Email Sent")
    }
    assert [type_ for type_, event in reports.items() if matches(rule.pattern, event)] == list(SES_DETAIL_TYPES)
    assert not matches(rule.pattern, reports["Email Bounced"] | {"source": "upstream.email_feedback"})
