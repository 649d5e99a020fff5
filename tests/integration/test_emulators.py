"""The differences of tests/emulators.py that lie beyond queues and the bus, shown on the emulator that is running."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET, OBJECT_BUCKET
from switchyard.protocol.topology import BUS
from tests.emulators import AWS, Emulator
from tests.integration.cloud import Cloud, until
from tests.integration.events import fresh_id

pytestmark = pytest.mark.integration


async def test_event_is_delivered_when_listed(cloud: Cloud, emulator: Emulator) -> None:
    name = f"emulators-{fresh_id()}"
    url = (await cloud.sqs.create_queue(QueueName=name))["QueueUrl"]
    arn = (await cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    await cloud.events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps({"source": [name]}))
    await cloud.events.put_targets(Rule=name, EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])
    entry = {"EventBusName": BUS, "Source": name, "DetailType": "Sent", "Detail": json.dumps({"text": "x" * 100_000})}

    async def arrived(number: int) -> bool:
        answer = await cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"]) == number

    for number in range(1, 6):
        await cloud.events.put_events(Entries=[entry])
        if emulator.delivers_at_once:
            assert await arrived(number)
    await until(lambda: arrived(5), "all five")
    await cloud.events.remove_targets(Rule=name, EventBusName=BUS, Ids=["queue"])
    await cloud.events.delete_rule(Name=name, EventBusName=BUS)
    await cloud.sqs.delete_queue(QueueUrl=url)


@pytest.mark.parametrize("bucket", [OBJECT_BUCKET, CHECKPOINT_BUCKET])
async def test_object_is_locked_as_listed(cloud: Cloud, emulator: Emulator, bucket: str) -> None:
    key = fresh_id()
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
    put = cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"", **lock)
    if bucket == OBJECT_BUCKET and emulator.refuses_locks_without_object_lock:
        with pytest.raises(ClientError, match="InvalidRequest"):
            await put
        return
    version = (await put).get("VersionId")
    remove = cloud.s3.delete_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    if bucket == OBJECT_BUCKET:
        await remove
        with pytest.raises(ClientError, match="404"):
            await cloud.s3.head_object(Bucket=bucket, Key=key)
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            await remove


@pytest.mark.parametrize("spec", AWS.signing_keys)
async def test_key_signs_as_listed(aws: None, aws_session: AioSession, emulator: Emulator, spec: str) -> None:
    async with aws_session.create_client("kms") as kms:
        make = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")
        if spec in emulator.signing_keys:
            assert (await make)["KeyMetadata"]["KeySpec"] == spec
        else:
            with pytest.raises(ClientError, match=spec):
                await make
