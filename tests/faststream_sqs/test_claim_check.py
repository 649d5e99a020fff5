"""Long bodies in S3, in the form of Amazon's extended client libraries."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from faststream_sqs import ClaimCheck, PublishFailed, RetryPolicy, SQSBroker, SQSMessage, TestSQSBroker
from faststream_sqs.claim_check import POINTER
from tests.faststream_sqs.conftest import PLAIN, SESSION

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]
MakeBroker = Callable[..., SQSBroker]
MakeQueue = Callable[..., Awaitable["Queue"]]
NOWHERE = "http://127.0.0.1:9"
LONG = "x" * 2_000_000


@pytest.fixture
async def s3(endpoint: str) -> AsyncIterator[Any]:
    async with SESSION.create_client("s3", endpoint_url=endpoint, **PLAIN) as client:
        yield client


@pytest.fixture
async def bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    await s3.create_bucket(Bucket=name)
    return name


def _pointer(bucket: str, key: str) -> str:
    return json.dumps([POINTER, {"s3BucketName": bucket, "s3Key": key}])


async def test_long_body_goes_through_s3_and_a_short_one_does_not(
    make_broker: MakeBroker, queue: "Queue", bucket: str, s3: Any, eventually: Eventually
) -> None:
    broker = make_broker(claim_check=ClaimCheck(bucket, prefix="bodies/", threshold=1_000))
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any, message: SQSMessage) -> None:
        seen.append((body, message.raw_body))

    await broker.connect()
    await broker.publish("short", queue.name)
    await broker.publish(b"\xff" * 2_000, queue.name)
    await broker.publish({"text": LONG}, queue.name)
    listed = (await s3.list_objects_v2(Bucket=bucket))["Contents"]
    assert len(listed) == 2
    assert all(each["Key"].startswith("bodies/") for each in listed)
    await broker.start()
    await eventually(lambda: len(seen) == 3)
    assert ("short", "short") in seen
    assert b"\xff" * 2_000 in [body for body, _ in seen]
    assert ({"text": LONG}, json.dumps({"text": LONG}, separators=(",", ":"))) in seen


async def test_message_of_the_java_client_is_read(
    make_broker: MakeBroker, queue: "Queue", bucket: str, s3: Any, sqs: Any, eventually: Eventually
) -> None:
    broker = make_broker(claim_check=ClaimCheck(bucket))
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any) -> None:
        seen.append(body)

    await s3.put_object(Bucket=bucket, Key="key", Body=b'{"a": 1}')
    for name in ("ExtendedPayloadSize", "SQSLargePayloadSize"):
        attributes = {name: {"DataType": "Number", "StringValue": "8"}}
        body = _pointer(bucket, "key")
        await sqs.send_message(QueueUrl=queue.url, MessageBody=body, MessageAttributes=attributes)
    await broker.start()
    await eventually(lambda: seen == [{"a": 1}] * 2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (_pointer("another-bucket", "key"), "not a pointer into the bucket"),
        ("BUCKET/secrets/key", "not a pointer into the bucket"),
        ("BUCKET/bodies/missing", "not in S3"),
        ("BUCKET/bodies/long", "more than 10 bytes"),
        ("BUCKET/bodies/binary", "not text"),
        ("no pointer", "not a pointer"),
        ("[" * 100_000, "not a pointer"),
    ],
)
async def test_pointer_to_what_is_not_for_us_is_rejected_with_the_reason(
    make_broker: MakeBroker, make_queue: MakeQueue, bucket: str, s3: Any, sqs: Any, body: str, reason: str
) -> None:
    queue, dead = await make_queue(), await make_queue()
    broker = make_broker(claim_check=ClaimCheck(bucket, prefix="bodies/", max_bytes=10))

    @broker.subscriber(queue.name, wait_time=0, dead_letter_queue=dead.name)
    async def handle(body: Any) -> None:
        raise AssertionError

    await s3.put_object(Bucket=bucket, Key="secrets/key", Body=b"secret")
    await s3.put_object(Bucket=bucket, Key="bodies/long", Body=b"x" * 11)
    await s3.put_object(Bucket=bucket, Key="bodies/binary", Body=b"\xff")
    if body.startswith("BUCKET/"):
        body = _pointer(bucket, body.removeprefix("BUCKET/"))
    attributes = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "8"}}
    await sqs.send_message(QueueUrl=queue.url, MessageBody=body, MessageAttributes=attributes)
    await broker.start()
    [copy] = await dead.receive(wait=5)
    assert reason in copy["MessageAttributes"]["reject-reason"]["StringValue"]
    assert copy["Body"] == body, "the pointer, not the content"


async def test_body_that_cannot_be_fetched_now_is_fetched_later(
    make_broker: MakeBroker, queue: "Queue", bucket: str, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = make_broker(claim_check=ClaimCheck(bucket, threshold=10))
    seen: list[Any] = []
    at_once = RetryPolicy(base=0.001, cap=0.001)

    @broker.subscriber(queue.name, wait_time=0, retry=at_once)
    async def handle(body: str, message: SQSMessage) -> None:
        seen.append((body, message.receive_count))

    await broker.connect()
    await broker.publish("long enough to be kept", queue.name)
    objects = broker.config.connection.objects
    get, failures = objects.get_object, [ConnectionError("no S3")]

    async def fail_once(**options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await get(**options)

    monkeypatch.setattr(objects, "get_object", fail_once)
    await broker.start()
    await eventually(lambda: seen == [("long enough to be kept", 2)])


async def test_body_that_s3_does_not_take_is_not_published(make_broker: MakeBroker, queue: "Queue") -> None:
    broker = make_broker(claim_check=ClaimCheck("no-such-bucket-here", threshold=10))
    await broker.connect()
    with pytest.raises(PublishFailed, match="S3"):
        await broker.publish("long enough to be kept", queue.name)
    assert await queue.counts() == (0, 0)


@pytest.mark.parametrize("batch", [False, True])
async def test_claim_check_works_in_memory(make_broker: MakeBroker, batch: bool) -> None:
    broker = make_broker(endpoint_url=NOWHERE, claim_check=ClaimCheck("bucket"))
    lengths: list[int] = []

    @broker.subscriber("orders", batch=batch)
    async def handle(body: list[str] if batch else str) -> None:  # type: ignore[valid-type]
        lengths.append(len("".join(body)))

    async with TestSQSBroker(broker):
        await broker.publish(LONG, "orders")
    assert lengths == [len(LONG)]
