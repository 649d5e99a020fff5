"""What terraform makes in AWS, made in an emulator from the catalogue: bus, queues, rules and buckets.

Every step may be repeated. Not for AWS: there terraform owns these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from switchyard.app.application import load_app
from switchyard.protocol.topology import (
    BUS,
    DEAD_LETTER_RETENTION_SECONDS,
    MAX_RECEIVES,
    RETENTION_SECONDS,
    ConsumerQueues,
)
from switchyard.runtime.core.aws import create_aws_client

OBJECT_BUCKET = "switchyard-objects"
CHECKPOINT_BUCKET = "switchyard-checkpoints"
QUARANTINE_KEEP = timedelta(days=30)
EXPIRY_INTERVAL_S = 3_600.0


async def provision_emulator(environment: Mapping[str, str], *, visibility_s: float) -> None:
    """Create what is missing at the endpoint and with the credentials in `environment` (`AWS_*`)."""
    session = get_session()
    options = client_options(environment)
    async with (
        create_aws_client(session, "events", **options) as events,
        create_aws_client(session, "sqs", **options) as sqs,
        create_aws_client(session, "s3", **options) as s3,
    ):
        await _unless_exists(events.create_event_bus(Name=BUS), "ResourceAlreadyExistsException")
        await _unless_exists(s3.create_bucket(Bucket=OBJECT_BUCKET), "BucketAlreadyOwnedByYou", "BucketAlreadyExists")
        await _unless_exists(
            # Object Lock can be had from the beginning only; versions come with it.
            s3.create_bucket(Bucket=CHECKPOINT_BUCKET, ObjectLockEnabledForBucket=True),
            "BucketAlreadyOwnedByYou",
            "BucketAlreadyExists",
        )
        for consumer in load_app().consumers:
            await _consumer(events, sqs, consumer, visibility_s)


async def expire_quarantine(environment: Mapping[str, str], *, keep: timedelta = QUARANTINE_KEEP) -> int:
    """Delete what has been in quarantine for longer than `keep`, as the bucket's lifecycle rule does in AWS; return how
    much it was."""
    expired = 0
    async with create_aws_client(get_session(), "s3", **client_options(environment)) as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=OBJECT_BUCKET, Prefix="quarantine/")
        async for page in pages:
            for found in page.get("Contents", ()):
                if found["LastModified"] < datetime.now(UTC) - keep:
                    await s3.delete_object(Bucket=OBJECT_BUCKET, Key=found["Key"])
                    expired += 1
    return expired


def client_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """A client's options for the endpoint in `environment`."""
    return {
        "region": environment["AWS_REGION"],
        "endpoint_url": environment["AWS_ENDPOINT_URL"],
        "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
    }


async def _consumer(events: Any, sqs: Any, consumer: ConsumerQueues, visibility_s: float) -> None:
    visibility = {"VisibilityTimeout": str(max(1, round(visibility_s)))}
    retention = {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_SECONDS)}
    _, dead_letters = await _queue(sqs, consumer.dead_letter_queue, retention | visibility)
    redrive = json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": MAX_RECEIVES})
    retention = {"MessageRetentionPeriod": str(RETENTION_SECONDS), "RedrivePolicy": redrive}
    for name in (consumer.queue, *consumer.lanes):
        url, queue = await _queue(sqs, name, retention | visibility)
        arns = []
        for rule in (each for each in consumer.rules if each.queue == name):
            answer = await events.put_rule(Name=rule.name, EventBusName=rule.bus, EventPattern=rule.pattern_json)
            arns.append(answer["RuleArn"])
            target = {"Id": "queue", "Arn": queue}
            answer = await events.put_targets(Rule=rule.name, EventBusName=rule.bus, Targets=[target])
            if answer["FailedEntryCount"]:
                raise RuntimeError(f"rule {rule.name} did not take its target: {answer['FailedEntries']}")
        # The emulators deliver without it; AWS does not.
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": arns}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


async def _queue(sqs: Any, name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """The queue's URL and ARN."""
    try:
        url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    except ClientError as error:
        if "NonExistentQueue" not in error.response["Error"]["Code"]:
            raise
        url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    await sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


async def _unless_exists(call: Any, *codes: str) -> None:
    try:
        await call
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise
