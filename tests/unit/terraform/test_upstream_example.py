"""The upstream's example: its schedule puts one submission per fire time on the bus, and its role no other event."""

from __future__ import annotations

import json
import re
from typing import Any

from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.api.requests import case_fields
from switchyard.ingress.submission import SESSION_HEADER
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.submissions import case_id_for
from tests.unit.ingress.test_handler import ask
from tests.unit.terraform.reading import EXAMPLE, blocks, resources

FIRE_TIME = "<aws.scheduler.scheduled-time>"
"""https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html"""


def submission(fired_at: str) -> dict[str, Any]:
    """What the schedule puts at a time."""
    source = (EXAMPLE / "main.tf").read_text()
    [text] = re.findall(r"input = jsonencode\(\{\n(.*?)\n {4}\}\)", source, re.DOTALL)
    pairs = re.findall(r"(\w+) += (\"[^\"]*\"|var\.\w+)", text)
    return {
        name: ("northfork" if value.startswith("var.") else json.loads(value)).replace(FIRE_TIME, fired_at)
        for name, value in pairs
    }


def test_schedule_puts_a_valid_submission_whose_key_is_its_fire_time() -> None:
    monday, tuesday = submission("2026-11-23T13:00:00Z"), submission("2026-11-24T13:00:00Z")
    assert CaseSubmitted.model_validate(monday).idempotency_key == "morning-2026-11-23T13:00:00Z"
    assert monday["idempotency_key"] != tuesday["idempotency_key"]
    assert submission("2026-11-23T13:00:00Z") == monday, "a retry is the same submission"


def test_upstream_role_puts_one_type_under_one_source_on_the_bus() -> None:
    document = next(
        block["aws_iam_policy_document"]["put"]
        for block in blocks(EXAMPLE, "data")
        if "put" in block.get("aws_iam_policy_document", {})
    )
    [statement] = document["statement"]
    assert (statement["actions"], statement["resources"]) == (["events:PutEvents"], ["${var.bus_arn}"])
    conditions = {(each["test"], each["variable"]): each["values"] for each in statement["condition"]}
    assert conditions == {
        ("ForAllValues:StringEquals", "events:source"): ["${var.source_name}"],
        ("ForAllValues:StringEquals", "events:detail-type"): ["CaseSubmitted"],
        ("Null", "events:source"): ["false"],
        ("Null", "events:detail-type"): ["false"],
    }
    [name] = [block["source_name"] for block in blocks(EXAMPLE, "variable") if "source_name" in block]
    assert name["default"].startswith(UPSTREAM_PREFIX)


def test_schedule_and_page_use_the_role_and_the_apis_fields() -> None:
    schedule = resources(EXAMPLE)["aws_scheduler_schedule", "morning"]
    [target] = schedule["target"]
    assert target["role_arn"] == "${aws_iam_role.upstream.arn}"
    page = (EXAMPLE / "README.md").read_text()
    [body] = re.findall(r"--data '(\{.*?\})'", page)
    assert set(json.loads(body)) <= case_fields(CaseSubmitted)
    assert f"{SESSION_HEADER}: ".lower() in page.lower()


def test_webhook_of_the_page_is_accepted_and_repeated_is_the_same_case() -> None:
    page = (EXAMPLE / "README.md").read_text()
    [body] = re.findall(r"--data '(\{.*?\})'", page)
    [session] = re.findall(r"X-Session-Id: ([\w-]+)", page)
    answers = [ask(body=body, session=session) for _ in range(2)]
    assert [status for status, _, _ in answers] == [202, 202]
    assert answers[0][1]["case_id"] == answers[1][1]["case_id"]
    put = [json.loads(entry["Detail"]) for _, _, [entry] in answers]
    assert [each["idempotency_key"] for each in put] == ["ticket-4711"] * 2
    assert open_question(CaseSubmitted.model_validate(put[0])).person == put[0]["user_id"]


def test_submission_of_the_schedule_opens_a_case_of_its_own_per_fire_time() -> None:
    fired = [CaseSubmitted.model_validate(submission(f"2026-11-2{day}T13:00:00Z")) for day in (3, 4, 4)]
    assert all(open_question(each).sealed for each in fired)
    cases = [case_id_for(each.tenant, "upstream.reports", each.user_id, each.idempotency_key) for each in fired]
    assert cases[0] != cases[1] == cases[2]
