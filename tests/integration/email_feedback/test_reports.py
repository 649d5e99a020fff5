"""Bounces and complaints of SES, from its event bus or through SNS, reach the case manager as suppressions."""

from __future__ import annotations

import json

import pytest

from services.app import EMAIL_FEEDBACK
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import queue_name
from tests.integration.cloud import Cloud
from tests.integration.conftest import LogLines
from tests.integration.email_feedback.conftest import MailProcess, StartMail
from tests.integration.events import fresh_id

ADDRESS = "zanzibar.4711@example.org"
REPORT: Json = {
    "eventType": "Bounce",
    "bounce": {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": ADDRESS}]},
    "mail": {"messageId": "0100018f-aa", "source": "accounts@harborline.example"},
}


async def report(cloud: Cloud, detail: Json) -> str:
    """Put a report on the queue as EventBridge delivers it.

    Only AWS may publish as `aws.ses`, and the emulator refuses it, too: the rule has a unit test of its own.
    """
    body = json.dumps({"source": "aws.ses", "detail-type": "Email Bounced", "id": fresh_id(), "detail": detail})
    await cloud.send(queue_name(EMAIL_FEEDBACK), body)
    return body


async def test_bounce_reaches_the_case_manager(mail: MailProcess, cloud: Cloud) -> None:
    await report(cloud, REPORT)
    [event] = await mail.suppressions(1)
    assert (event["source"], event["detail-type"]) == ("upstream.email_feedback", "SuppressionRequested")
    assert (event["detail"]["tenant"], event["detail"]["address"]) == ("acme", ADDRESS)
    assert event["detail"]["reason"] == "bounced"


async def test_soft_bounce_suppresses_no_address(mail: MailProcess, cloud: Cloud) -> None:
    await report(cloud, REPORT | {"bounce": {"bounceType": "Transient", "bouncedRecipients": []}})
    await cloud.settled(queue_name(EMAIL_FEEDBACK))
    await mail.no_suppression()


@pytest.mark.parametrize("wrapped", [True, False])
async def test_report_through_sns_is_read_with_and_without_raw_delivery(
    wrapped: bool, mail: MailProcess, cloud: Cloud
) -> None:
    body = json.dumps({"Type": "Notification", "Message": json.dumps(REPORT)} if wrapped else REPORT)
    await cloud.send(queue_name(EMAIL_FEEDBACK), body)
    [event] = await mail.suppressions(1)
    assert event["detail"]["address"] == ADDRESS


async def test_report_delivered_twice_is_the_same_suppression(mail: MailProcess, cloud: Cloud) -> None:
    for _ in range(2):
        await report(cloud, REPORT)
    first, second = await mail.suppressions(2)
    assert first["detail"] == second["detail"]


async def test_unreadable_report_is_quarantined_and_blocks_nothing(mail: MailProcess, cloud: Cloud) -> None:
    bad = json.dumps(REPORT | {"mail": {"messageId": "m", "source": "x@nobodys.example"}})
    await cloud.send(queue_name(EMAIL_FEEDBACK), bad)
    record = await cloud.quarantine_of(EMAIL_FEEDBACK, bad)
    assert record["field"] == "mail.source"
    await report(cloud, REPORT)
    await mail.suppressions(1)


async def test_logs_have_no_address(start_mail: StartMail, cloud: Cloud, log_lines: LogLines) -> None:
    mail = await start_mail()
    await report(cloud, REPORT)
    await mail.suppressions(1)
    lines = log_lines()
    assert "report.taken" in {line["event"] for line in lines}
    assert "zanzibar" not in str(lines)
