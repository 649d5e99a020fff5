"""What `provision` makes in an emulator is what terraform makes in AWS from the same generated file."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from switchyard.devstack.stack.provision import OBJECT_BUCKET, expire_quarantine
from switchyard.infra.generate import GENERATED_FOLDER
from switchyard.protocol.topology import BUS
from tests.integration.cloud import Cloud
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Infrastructure

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def topology() -> dict[str, Any]:
    """As terraform reads it."""
    loaded: dict[str, Any] = json.loads((GENERATED_FOLDER / "topology.json").read_text(encoding="utf-8"))
    return loaded


async def attributes(cloud: Cloud, queue: str) -> dict[str, str]:
    answer = await cloud.sqs.get_queue_attributes(QueueUrl=await cloud.url(queue), AttributeNames=["All"])
    found: dict[str, str] = answer["Attributes"]
    return found


async def test_provisioned_queues_equal_terraforms(cloud: Cloud, topology: dict[str, Any]) -> None:
    answer = await cloud.sqs.list_queues(QueueNamePrefix=f"{BUS}-")
    consumers = topology["consumers"].values()
    expected = {name for each in consumers for name in (each["queue"], *each["lanes"], each["dead_letter_queue"])}
    assert {url.rsplit("/", 1)[1] for url in answer["QueueUrls"]} == expected


async def test_queues_have_the_retention_and_redrive_of_terraforms(cloud: Cloud, topology: dict[str, Any]) -> None:
    expected = topology["queues"]
    for consumer in topology["consumers"].values():
        dead = await attributes(cloud, consumer["dead_letter_queue"])
        assert int(dead["MessageRetentionPeriod"]) == expected["dead_letter_retention_seconds"]
        for name in (consumer["queue"], *consumer["lanes"]):
            queue = await attributes(cloud, name)
            assert int(queue["MessageRetentionPeriod"]) == expected["retention_seconds"]
            redrive = json.loads(queue["RedrivePolicy"])
            assert int(redrive["maxReceiveCount"]) == expected["max_receives"]
            assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
            assert queue["VisibilityTimeout"] == dead["VisibilityTimeout"], "a deployment has one visibility"


async def test_rules_patterns_and_targets_equal_terraforms(cloud: Cloud, topology: dict[str, Any]) -> None:
    assert topology["bus"] == BUS
    expected = {
        (rule["bus"], name): (rule["pattern"], rule["queue"])
        for consumer in topology["consumers"].values()
        for name, rule in consumer["rules"].items()
    }
    found = {}
    for bus in {bus for bus, _ in expected}:
        for rule in (await cloud.events.list_rules(EventBusName=bus, NamePrefix=f"{BUS}-"))["Rules"]:
            targets = (await cloud.events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus))["Targets"]
            assert [target["Arn"].rsplit(":", 1)[1] for target in targets] == [expected[bus, rule["Name"]][1]]
            assert rule["State"] == "ENABLED"
            found[bus, rule["Name"]] = rule["EventPattern"]
    assert found == {key: pattern for key, (pattern, _) in expected.items()}


async def test_queue_accepts_messages_of_its_own_rules_only(cloud: Cloud, topology: dict[str, Any]) -> None:
    for consumer in topology["consumers"].values():
        for name in (consumer["queue"], *consumer["lanes"]):
            queue = await attributes(cloud, name)
            (statement,) = json.loads(queue["Policy"])["Statement"]
            assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
            assert statement["Principal"] == {"Service": "events.amazonaws.com"}
            assert statement["Resource"] == queue["QueueArn"]
            sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
            own = {rule for rule, each in consumer["rules"].items() if each["queue"] == name}
            assert {arn.rsplit("/", 1)[1] for arn in sources} == own
        dead = await attributes(cloud, consumer["dead_letter_queue"])
        assert "Policy" not in dead, "nobody but SQS itself puts a dead letter there"


async def test_quarantine_of_the_local_stack_expires(cloud: Cloud, infrastructure: Infrastructure) -> None:
    keys = f"quarantine/router/{fresh_id()}.json", f"artefacts/{fresh_id()}"
    for key in keys:
        await cloud.s3.put_object(Bucket=OBJECT_BUCKET, Key=key, Body=b"{}")

    async def left() -> list[bool]:
        pages = [await cloud.s3.list_objects_v2(Bucket=OBJECT_BUCKET, Prefix=key) for key in keys]
        return [page["KeyCount"] == 1 for page in pages]

    assert await expire_quarantine(infrastructure.environment) == 0
    assert await left() == [True, True]
    assert await expire_quarantine(infrastructure.environment, keep=timedelta(0)) >= 1
    assert await left() == [False, True]
