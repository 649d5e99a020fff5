"""What terraform makes in AWS, made in an emulator from the catalogue: bus, queues, rules, buckets, sending domains.

Every step may be repeated. Not for AWS: there terraform owns these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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

OBJECT_BUCKET = "switchyard-objects"
SENDING_DOMAINS = ("harborline.example",)
"""Domains that the emulator's SES may send from, as an account's verified identities. Reserved ones (RFC 2606)."""
CHECKPOINT_BUCKET = "switchyard-checkpoints"


async def provision_emulator(environment: Mapping[str, str], *, visibility_s: float, with_ses: bool = True) -> None:
    """Create what is missing at the endpoint and with the credentials in `environment` (`AWS_*`).

    `with_ses` is whether it has SES v2, which LocalStack's free edition has not.
    """
    session = get_session()
    options = client_options(environment)
    async with (
        session.create_client("events", **options) as events,
        session.create_client("sqs", **options) as sqs,
        session.create_client("s3", **options) as s3,
        session.create_client("sesv2", **options) as ses,
    ):
        await _unless_exists(events.create_event_bus(Name=BUS), "ResourceAlreadyExistsException")
        await _unless_exists(s3.create_bucket(Bucket=OBJECT_BUCKET), "BucketAlreadyOwnedByYou", "BucketAlreadyExists")
        await _unless_exists(
            # Object Lock can be had from the beginning only; versions come with it.
            s3.create_bucket(Bucket=CHECKPOINT_BUCKET, ObjectLockEnabledForBucket=True),
            "BucketAlreadyOwnedByYou",
            "BucketAlreadyExists",
        )
        for domain in SENDING_DOMAINS if with_ses else ():
            await _unless_exists(ses.create_email_identity(EmailIdentity=domain), "AlreadyExistsException")
        for consumer in load_app().consumers:
            await _consumer(events, sqs, consumer, visibility_s)


def client_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """A client's options for the endpoint in `environment`."""
    return {
        "region_name": environment["AWS_REGION"],
        "endpoint_url": environment["AWS_ENDPOINT_URL"],
        "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
    }


async def _consumer(events: Any, sqs: Any, consumer: ConsumerQueues, visibility_s: float) -> None:
    visibility = str(max(1, round(visibility_s)))
    dead_letters = await _queue(
        sqs,
        consumer.dead_letter_queue,
        {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_SECONDS), "VisibilityTimeout": visibility},
    )
    arns = {}
    for rule in consumer.rules:
        answer = await events.put_rule(Name=rule.name, EventBusName=rule.bus, EventPattern=rule.pattern_json)
        arns[rule.name] = answer["RuleArn"]
    queue = await _queue(
        sqs,
        consumer.queue,
        {
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            "VisibilityTimeout": visibility,
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": MAX_RECEIVES}),
        },
        policy_for=list(arns.values()),
    )
    for rule in consumer.rules:
        target = {"Id": "queue", "Arn": queue}
        answer = await events.put_targets(Rule=rule.name, EventBusName=rule.bus, Targets=[target])
        if answer["FailedEntryCount"]:
            raise RuntimeError(f"rule {rule.name} did not take its target: {answer['FailedEntries']}")


async def _queue(sqs: Any, name: str, attributes: dict[str, str], *, policy_for: list[str] | None = None) -> str:
    try:
        url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    except ClientError as error:
        if "NonExistentQueue" not in error.response["Error"]["Code"]:
            raise
        url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = answer["Attributes"]["QueueArn"]
    if policy_for:
        # The emulators deliver without it; AWS does not.
        attributes = attributes | {"Policy": json.dumps(_policy(arn, policy_for))}
    await sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return arn


def _policy(queue_arn: str, rule_arns: list[str]) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arns}},
            }
        ],
    }


async def _unless_exists(call: Any, *codes: str) -> None:
    try:
        await call
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise
