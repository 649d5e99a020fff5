"""Reports of SES become refusals, or nothing, or a named problem; an address stands nowhere but in the event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from services.specialists.email_feedback.feedback import SES_DETAIL_TYPES, read_report
from services.specialists.email_feedback.feedback import read_suppressions as read_feedback
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.upstream import SuppressionRequested
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


def read_suppressions(report: Json, tenants: Mapping[str, str]) -> list[SuppressionRequested]:
    """Of a report that holds nothing unreadable."""
    found = read_feedback(report, tenants)
    assert found.problem is None
    return list(found.suppressions)


def test_permanent_bounce_suppresses_each_recipient() -> None:
    found = read_suppressions(bounce("Permanent", "ada@example.com", "bob@example.com"), TENANTS)
    assert [(each.tenant, each.address, each.reason) for each in found] == [
        ("acme", "ada@example.com", "bounced"),
        ("acme", "bob@example.com", "bounced"),
    ]
    assert found[0].report_id != found[1].report_id


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_other_bounce_suppresses_no_address(kind: str) -> None:
    assert read_suppressions(bounce(kind), TENANTS) == []


@pytest.mark.parametrize("feedback_type", ["abuse", "fraud", "other", "virus", "auth-failure", None])
def test_complaint_suppresses_its_sender(feedback_type: str | None) -> None:
    [found] = read_suppressions(complaint(feedback_type), TENANTS)
    assert (found.address, found.reason) == ("ada@example.com", "complained")


def test_not_spam_report_suppresses_no_address() -> None:
    assert read_suppressions(complaint("not-spam"), TENANTS) == []


def test_older_sns_field_for_the_kind_is_read() -> None:
    report = complaint()
    report["notificationType"] = report.pop("eventType")
    assert len(read_suppressions(report, TENANTS)) == 1


@pytest.mark.parametrize("kind", ["Send", "Delivery", "Open", "Reject", "DeliveryDelay"])
def test_other_reports_suppress_no_address(kind: str) -> None:
    assert read_suppressions({"eventType": kind, kind.lower(): {}, "mail": MAIL}, TENANTS) == []


def test_report_read_twice_is_the_same_request() -> None:
    assert read_suppressions(bounce(), TENANTS) == read_suppressions(bounce(), TENANTS)
    assert read_suppressions(bounce(), TENANTS) != read_suppressions(bounce(messageId="another"), TENANTS)


def test_report_id_does_not_contain_the_address() -> None:
    [found] = read_suppressions(bounce(), TENANTS)
    assert "ada" not in found.report_id


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({}, "eventType"),
        ({"eventType": 7}, "eventType"),
        ({"eventType": "Bounce"}, "bouncedRecipients"),
        (bounce("Permanent", "not an address", destination=[]), "bouncedRecipients"),
        (bounce("Permanent", "x" * 2_000, destination="nobody"), "bouncedRecipients"),
        (bounce(source="accounts@rival.example"), "mail.source"),
    ],
)
def test_unreadable_report_is_refused_by_field_without_its_value(report: Json, field: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read_suppressions(report, TENANTS)
    assert refused.value.field == field
    assert "not an address" not in str(refused.value)


def stopped(body: str) -> list[tuple[str, str]]:
    return [(each.tenant, str(each.address)) for each in read_suppressions(read_report(body), TENANTS)]


STOPS_ADA = [("acme", "ada@example.com")]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"source": "aws.ses", "detail-type": "Email Bounced", "detail": bounce()}),
        json.dumps({"source": "aws.ses", "detail": json.dumps(bounce())}),
        json.dumps({"Type": "Notification", "Message": json.dumps(bounce())}),
        json.dumps({"Message": bounce()}),
        "\ufeff" + json.dumps(bounce()),
    ],
)
def test_bounce_in_any_envelope_stops_the_address(body: str) -> None:
    assert stopped(body) == STOPS_ADA


def with_recipient(**fields: Any) -> Json:
    report = bounce()
    report["bounce"]["bouncedRecipients"] = [{"emailAddress": "ada@example.com"} | fields]
    return report


def without(report: Json, *path: str) -> Json:
    copy: Json = json.loads(json.dumps(report))
    part = copy
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    return copy


@pytest.mark.parametrize(
    "report",
    [
        with_recipient(diagnosticCode="smtp; 550 \x00 no such user"),
        with_recipient(diagnosticCode="\ud800"),
        with_recipient(diagnosticCode=5.1, action=None, size=10**40, ratio=float("nan")),
        with_recipient(emailAddress="rfc822; ada@example.com"),
        with_recipient(emailAddress="Ada <ada@example.com>"),
        with_recipient(emailAddress=" <ada@example.com> "),
        without(bounce(), "eventType"),
        without(bounce(), "bounce", "bounceType"),
        without(bounce(), "mail", "messageId"),
        without(bounce(), "mail", "source"),
        without(bounce(), "mail"),
        without(bounce(destination=["ada@example.com"]), "bounce"),
        without(bounce(destination="ada@example.com"), "bounce", "bouncedRecipients"),
        bounce("PERMANENT"),
        bounce("permanent"),
        bounce() | {"eventType": "bounce"},
        bounce() | {"eventType": "Email Bounced"},
        {"Event_Type": "Bounce", "Bounce": bounce()["bounce"], "Mail": MAIL},
        bounce(source=None, commonHeaders={"from": ["Harborline <accounts@harborline.example>"]}),
        bounce(source="", tags={"ses:from-domain": ["harborline.example"]}),
        bounce(source=None, sourceArn="arn:aws:ses:us-east-1:1:identity/harborline.example"),
    ],
)
def test_bounce_with_missing_or_unusual_parts_stops_the_address(report: Json) -> None:
    assert stopped(json.dumps(report)) == STOPS_ADA


def test_bounce_with_an_unreadable_recipient_suppresses_the_others() -> None:
    report = bounce("Permanent", "ada@example.com", "not an address")
    found = read_feedback(report, TENANTS)
    assert [each.address for each in found.suppressions] == ["ada@example.com"]
    assert found.problem is not None
    assert "not an address" not in str(found.problem)


def test_bounce_with_status_4_is_soft() -> None:
    report = without(with_recipient(status="4.2.2"), "bounce", "bounceType")
    assert stopped(json.dumps(report)) == []


def test_report_without_a_sending_domain_of_several_tenants_is_refused() -> None:
    with pytest.raises(InvalidEvent) as refused:
        read_feedback(bounce(source=None), TENANTS | {"other.example": "other"})
    assert refused.value.field == "mail.source"


@pytest.mark.parametrize(
    "body", ["[" * 5_000, '{"detail":' * 5_000, "", "7", "null", '{"detail":7}', '{"Message":"["}']
)
def test_body_without_a_report_is_refused_by_name(body: str) -> None:
    with pytest.raises(InvalidEvent):
        read_feedback(read_report(body), TENANTS)


def test_feedback_rule_matches_exactly_the_types_that_are_read() -> None:
    [rule] = feedback_consumer().rules
    assert rule.bus == "default"
    reports = {
        type_: {"source": "aws.ses", "detail-type": type_, "detail": {}} for type_ in (*SES_DETAIL_TYPES, "Email Sent")
    }
    assert [type_ for type_, event in reports.items() if matches(rule.pattern, event)] == list(SES_DETAIL_TYPES)
    assert not matches(rule.pattern, reports["Email Bounced"] | {"source": "upstream.email_feedback"})


@pytest.mark.parametrize("address", ["jörg@b.example", "józef.k@b.example", "a\u200d\u00e9b@b.example", "дa@b.example"])
def test_address_in_other_letters_stops_nobody_elses(address: str) -> None:
    found = read_feedback(bounce("Permanent", address), TENANTS)
    assert {each.address for each in found.suppressions} <= set(MAIL["destination"])
