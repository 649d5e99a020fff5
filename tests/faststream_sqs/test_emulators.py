"""Each difference that emulators.py names, shown on the emulator that is running, and what the broker makes of it."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from faststream_sqs import MessageLeaseLost, PublishFailed, SQSBroker, SQSMessage

if TYPE_CHECKING:
    from tests.emulators import Emulator
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]
MakeQueue = Callable[..., Awaitable["Queue"]]
TRACE = "Root=1-5759e988-bd862e3fe1be46a9"


def _event(bus: str, **options: Any) -> dict[str, Any]:
    return {"EventBusName": bus, "Source": "shop", "DetailType": "OrderPlaced", "Detail": "{}", **options}


async def test_size_of_an_event_is_limited_as_listed(events: Any, bus: str, emulator: "Emulator") -> None:
    beyond = (emulator.event_bytes or 1_000_000) + 1
    put = events.put_events(Entries=[_event(bus, Detail=json.dumps({"text": "x" * beyond}))])
    if emulator.event_bytes is None:
        assert (await put)["FailedEntryCount"] == 0
    else:
        with pytest.raises(ClientError, match="over the limit"):
            await put


async def test_malformed_detail_is_refused_as_listed(broker: SQSBroker, bus: str, emulator: "Emulator") -> None:
    publisher = broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await broker.start()
    if emulator.refuses_malformed_detail:
        with pytest.raises(PublishFailed, match="MalformedDetail") as caught:
            await publisher.publish("{broken")
        assert caught.value.permanent
    else:
        assert await publisher.publish("{broken")


async def test_malformed_pattern_is_refused_as_listed(events: Any, bus: str, emulator: "Emulator") -> None:
    rule = events.put_rule(Name="odd", EventBusName=bus, EventPattern='{"source": [{"nonsense": "x"}]}')
    if emulator.refuses_malformed_pattern:
        with pytest.raises(ClientError, match="InvalidEventPattern"):
            await rule
    else:
        assert (await rule)["RuleArn"]


async def test_receipt_from_an_earlier_delivery_deletes_as_listed(
    sqs: Any, queue: "Queue", emulator: "Emulator"
) -> None:
    await queue.send("hello")
    [first] = await queue.receive(visibility=1)
    [second] = await queue.receive(wait=3)
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    entry = {"Id": "0", "ReceiptHandle": first["ReceiptHandle"]}
    await sqs.delete_message_batch(QueueUrl=queue.url, Entries=[entry])
    assert await queue.counts() == ((0, 0) if emulator.stale_receipt_deletes else (0, 1))


async def test_refused_entries_blame_the_sender_as_listed(sqs: Any, queue: "Queue", emulator: "Emulator") -> None:
    entries = [{"Id": "0", "MessageBody": "no\x00no"}]
    answer = await sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    [failed] = answer["Failed"]
    assert failed["Code"] == "InvalidMessageContents"
    assert failed["SenderFault"] is emulator.blames_the_sender


async def test_delete_of_a_deleted_message_succeeds_as_listed(sqs: Any, queue: "Queue", emulator: "Emulator") -> None:
    await queue.send("hello")
    [message] = await queue.receive()
    entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}
    await sqs.delete_message_batch(QueueUrl=queue.url, Entries=[entry])
    again = await sqs.delete_message_batch(QueueUrl=queue.url, Entries=[entry])
    assert bool(again.get("Successful")) is emulator.deletes_the_deleted


async def test_attributes_are_counted_as_listed(sqs: Any, queue: "Queue", emulator: "Emulator") -> None:
    attributes = {f"name-{i}": {"DataType": "String", "StringValue": "x"} for i in range(11)}
    entry = {"Id": "0", "MessageBody": "hello", "MessageAttributes": attributes}
    try:
        refused = bool((await sqs.send_message_batch(QueueUrl=queue.url, Entries=[entry])).get("Failed"))
    except ClientError:
        refused = True
    assert refused is emulator.counts_attributes


async def test_message_from_a_rule_has_the_listed_attributes(
    events: Any, make_queue: MakeQueue, emulator: "Emulator"
) -> None:
    queue = await make_queue()
    bus = f"bus-{uuid.uuid4().hex[:12]}"
    await events.create_event_bus(Name=bus)
    await events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    target = {"Id": "queue", "Arn": await queue.arn(), "SqsParameters": {"MessageGroupId": "tenant-1"}}
    await events.put_targets(Rule="all", EventBusName=bus, Targets=[target])
    await events.put_events(Entries=[_event(bus, TraceHeader=TRACE)])
    [message] = await queue.receive(wait=10)
    assert (message["Attributes"].get("MessageGroupId") == "tenant-1") is emulator.target_sets_group
    assert (message["Attributes"].get("AWSTraceHeader") == TRACE) is emulator.target_sets_trace_header


async def test_rejected_entry_is_final_regardless_of_sender_fault(
    wired_broker: SQSBroker, queue: "Queue", wire: Any
) -> None:
    """Sending again what SQS refused for its content only delays the error, five times."""
    await wired_broker.connect()
    producer: Any = wired_broker.config.producer
    with pytest.raises(PublishFailed) as caught:  # not through `publish`, which refuses it first
        await producer.copy(queue.name, {"Body": "no\x00no", "MessageId": "1"}, {})
    assert (caught.value.code, caught.value.permanent) == ("InvalidMessageContents", True)
    assert wire.calls["SendMessageBatch"] == 1


async def test_message_deleted_by_another_cancels_its_handler(
    broker: SQSBroker, sqs: Any, queue: "Queue", eventually: Eventually
) -> None:
    """What SQS itself answers to a renewal that comes too late, with no answer in its place."""
    outcome: list[str] = []
    handles: list[str] = []

    @broker.subscriber(queue.name, wait_time=0, visibility_timeout=3, concurrency=1)
    async def handle(body: str, message: SQSMessage) -> None:
        handles.append(message.raw_message.receipt_handle)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            try:
                await message.ack()
            except MessageLeaseLost:
                outcome.append("not acknowledged")
            raise

    await queue.send("hello")
    await broker.start()
    await eventually(lambda: handles)
    await sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=handles[0])
    # Renewed after one second; the lease alone would last for three.
    await eventually(lambda: len(outcome) == 2, within=2.5)
    assert outcome == ["cancelled", "not acknowledged"]


async def test_message_received_too_often_moves_to_the_dead_letter_queue(
    broker: SQSBroker, make_queue: MakeQueue, eventually: Eventually
) -> None:
    dead = await make_queue()
    policy = {"deadLetterTargetArn": await dead.arn(), "maxReceiveCount": "2"}
    queue = await make_queue(RedrivePolicy=json.dumps(policy))
    counts: list[int] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        counts.append(message.receive_count)
        await message.nack(delay=0)

    await queue.send("hello")
    await broker.start()
    [buried] = await dead.receive(wait=5)
    assert buried["Body"] == "hello"
    assert counts == [1, 2]
