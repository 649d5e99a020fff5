"""What becomes of a message: deleted, retried or rejected."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream import AckPolicy
from faststream.exceptions import NackMessage, RejectMessage

from faststream_sqs import RetryPolicy, SQSBroker, SQSMessage

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]

# Retries at once, for tests that count them.
AT_ONCE = RetryPolicy(base=0.001, cap=0.001, uniform=lambda low, high: low)


async def _is_empty(queue: "Queue") -> bool:
    return await queue.counts() == (0, 0)


async def test_handled_message_is_deleted_before_the_broker_stops(broker: SQSBroker, queue: "Queue") -> None:
    done = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        done.set()

    await broker.start()
    await queue.send("hello")
    await asyncio.wait_for(done.wait(), 5)
    await broker.stop()
    assert await queue.counts() == (0, 0)


async def test_failing_handler_keeps_its_message(broker: SQSBroker, queue: "Queue", eventually: Eventually) -> None:
    counts: list[int] = []

    @broker.subscriber(queue.name, wait_time=0, retry=AT_ONCE)
    async def handle(body: str, message: SQSMessage) -> None:
        counts.append(message.receive_count)
        if message.receive_count < 3:
            raise RuntimeError("not yet")

    await broker.start()
    await queue.send("hello")
    await eventually(lambda: len(counts) == 3)
    assert counts == [1, 2, 3]
    await eventually(lambda: _is_empty(queue))


async def test_retry_default_policy_delays_the_redelivery(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    """At least a second, the shortest delay of SQS, and at most the policy's ceiling."""
    calls = 0

    @wired_broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("never")

    await wired_broker.start()
    await queue.send("hello")
    await eventually(lambda: calls == 2)
    await eventually(lambda: wire.calls["ChangeMessageVisibilityBatch"] == 2)
    first, second = (call["Entries"][0]["VisibilityTimeout"] for call in wire.requests["ChangeMessageVisibilityBatch"])
    assert (first, 1 <= second <= 2) == (1, True)


async def test_retry_delay_of_a_fraction_is_rounded_up_to_a_second(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    @wired_broker.subscriber(queue.name, wait_time=0, retry=RetryPolicy(uniform=lambda low, high: 0.2))
    async def handle(body: str) -> None:
        raise RuntimeError("no")

    await queue.send("hello")
    await wired_broker.start()
    await eventually(lambda: wire.calls["ChangeMessageVisibilityBatch"] == 1)
    [entry] = wire.requests["ChangeMessageVisibilityBatch"][0]["Entries"]
    assert entry["VisibilityTimeout"] == 1


@pytest.mark.parametrize("how", ["call", "raise"])
async def test_handler_sets_the_delay_of_its_retry(
    broker: SQSBroker, queue: "Queue", eventually: Eventually, how: str
) -> None:
    times: list[float] = []

    @broker.subscriber(queue.name, wait_time=0, retry=RetryPolicy(base=60, cap=60))
    async def handle(body: str, message: SQSMessage) -> None:
        times.append(time.monotonic())
        if len(times) == 1 and how == "call":
            await message.nack(delay=1)
        elif len(times) == 1:
            raise NackMessage(delay=1)

    await broker.start()
    await queue.send("hello")
    await eventually(lambda: len(times) == 2)
    assert 0.5 < times[1] - times[0] < 3
    await eventually(lambda: _is_empty(queue))


@pytest.mark.parametrize("how", ["call", "raise"])
async def test_rejected_message_moves_to_the_dead_letter_queue_with_its_reason(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], how: str
) -> None:
    dead = await make_queue()

    @broker.subscriber(queue.name, wait_time=0, dead_letter_queue=dead.name)
    async def handle(body: str, message: SQSMessage) -> None:
        if how == "raise":
            raise RejectMessage(reason="no such\x00customer")
        await message.reject("no such\x00customer")

    await broker.start()
    [message_id] = await queue.send("hello", color="red")
    [copy] = await dead.receive(wait=5)
    await broker.stop()
    attributes = {name: value["StringValue"] for name, value in copy["MessageAttributes"].items()}
    assert copy["Body"] == "hello"
    assert attributes == {
        "color": "red",
        "reject-reason": "no such\ufffdcustomer",
        "reject-queue": queue.name,
        "reject-message-id": message_id,
    }
    assert await queue.counts() == (0, 0)


async def test_rejected_message_with_all_attributes_has_room_for_the_reason(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]]
) -> None:
    dead = await make_queue()

    @broker.subscriber(queue.name, wait_time=0, dead_letter_queue=dead.name)
    async def handle(body: str, message: SQSMessage) -> None:
        await message.reject("no")

    await broker.start()
    await queue.send("hello", **{f"name-{i}": "x" for i in range(10)})
    [copy] = await dead.receive(wait=5)
    assert len(copy["MessageAttributes"]) == 10
    assert copy["MessageAttributes"]["reject-reason"]["StringValue"] == "no"


async def test_rejected_message_without_a_dead_letter_queue_is_left_for_redrive(
    broker: SQSBroker, queue: "Queue"
) -> None:
    rejected = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        await message.reject("no")
        rejected.set()

    await broker.start()
    await queue.send("hello")
    await asyncio.wait_for(rejected.wait(), 5)
    await broker.stop()
    assert await queue.counts() == (0, 1)


async def test_message_without_a_matching_filter_is_rejected(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]]
) -> None:
    dead = await make_queue()
    subscriber = broker.subscriber(queue.name, wait_time=0, dead_letter_queue=dead.name)

    @subscriber(filter=lambda message: message.headers.get("color") == "red")
    async def handle(body: str) -> None: ...

    await broker.start()
    await queue.send("hello", color="blue")
    [copy] = await dead.receive(wait=5)
    assert copy["MessageAttributes"]["reject-reason"]["StringValue"] == "no handler accepts this message"


@pytest.mark.parametrize(
    ("policy", "left", "dead_letters"),
    [
        (AckPolicy.ACK, (0, 0), 0),
        (AckPolicy.ACK_FIRST, (0, 0), 0),
        (AckPolicy.REJECT_ON_ERROR, (0, 0), 1),
        (AckPolicy.MANUAL, (0, 1), 0),
    ],
)
async def test_ack_policy_decides_the_action_on_an_error(
    broker: SQSBroker,
    queue: "Queue",
    make_queue: Callable[..., Awaitable["Queue"]],
    policy: AckPolicy,
    left: tuple[int, int],
    dead_letters: int,
) -> None:
    dead = await make_queue()
    failed = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0, ack_policy=policy, dead_letter_queue=dead.name)
    async def handle(body: str) -> None:
        failed.set()
        raise RuntimeError("the body was: " + body)

    await broker.start()
    await queue.send("secret")
    await asyncio.wait_for(failed.wait(), 5)
    await broker.stop()
    assert await queue.counts() == left
    copies = await dead.receive()
    assert len(copies) == dead_letters
    for copy in copies:
        # The reason names the error and does not quote the message.
        assert copy["MessageAttributes"]["reject-reason"]["StringValue"] == "RuntimeError"


async def test_settled_message_is_not_settled_again(wired_broker: SQSBroker, queue: "Queue", wire: "Wire") -> None:
    done = asyncio.Event()

    @wired_broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        await message.ack()
        await message.ack()
        await message.nack()
        done.set()

    await wired_broker.start()
    await queue.send("hello")
    await asyncio.wait_for(done.wait(), 5)
    await wired_broker.stop()
    assert wire.calls["DeleteMessageBatch"] == 1
    assert wire.calls["ChangeMessageVisibilityBatch"] == 0


async def test_failed_delete_entry_is_retried(wired_broker: SQSBroker, queue: "Queue", wire: "Wire") -> None:
    def refuse_the_second_entry_once(payload: dict[str, Any]) -> dict[str, Any] | None:
        if wire.calls["DeleteMessageBatch"] > 1 or len(payload["Entries"]) < 3:
            return None
        first, second, *rest = [entry["Id"] for entry in payload["Entries"]]
        failed = {"Id": second, "Code": "InternalError", "Message": "try again", "SenderFault": False}
        return {"Successful": [{"Id": name} for name in (first, *rest)], "Failed": [failed]}

    wire.intercept["DeleteMessageBatch"] = refuse_the_second_entry_once
    arrived = 0
    together = asyncio.Event()

    @wired_broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 3:
            together.set()
        await together.wait()

    await queue.send("a", "b", "c")
    await wired_broker.start()
    await asyncio.wait_for(together.wait(), 5)
    await wired_broker.stop()
    sent = [[entry["ReceiptHandle"] for entry in request["Entries"]] for request in wire.requests["DeleteMessageBatch"]]
    assert sent[1] == [sent[0][1]], "only the entry that failed is sent again"


async def test_messages_that_end_together_are_deleted_in_one_request(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire"
) -> None:
    arrived = 0
    together = asyncio.Event()

    @wired_broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 10:
            together.set()
        await together.wait()

    await queue.send(*"abcdefghij")
    await wired_broker.start()
    await asyncio.wait_for(together.wait(), 5)
    await wired_broker.stop()
    assert wire.calls["DeleteMessageBatch"] == 1


async def test_place_is_free_before_its_deletion_settles(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    """With one place, the second message starts while the deletion of the first is still under way."""
    bodies: list[str] = []
    settle = asyncio.Event()

    async def hold(payload: dict[str, Any]) -> None:
        await settle.wait()

    wire.intercept["DeleteMessageBatch"] = hold

    @wired_broker.subscriber(queue.name, wait_time=0, concurrency=1)
    async def handle(body: str) -> None:
        bodies.append(body)

    await queue.send("a", "b")
    await wired_broker.start()
    await eventually(lambda: len(bodies) == 2)
    settle.set()


async def test_messages_received_never_outrun_slow_deletions(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    """Handled messages that wait for their deletion lose their leases: what is received must not outrun it."""
    bodies: list[str] = []
    settle = asyncio.Event()

    async def hold(payload: dict[str, Any]) -> None:
        await settle.wait()

    wire.intercept["DeleteMessageBatch"] = hold

    @wired_broker.subscriber(queue.name, wait_time=0, concurrency=2)
    async def handle(body: str) -> None:
        bodies.append(body)

    await queue.send(*map(str, range(20)))
    await wired_broker.start()
    await eventually(lambda: len(bodies) >= 4)
    for _ in range(20):
        polls = wire.calls["ReceiveMessage"]
        await asyncio.sleep(0.02)
        if wire.calls["ReceiveMessage"] == polls:
            break
    assert len(bodies) <= 6
    assert wire.calls["ReceiveMessage"] == polls
    settle.set()
    await eventually(lambda: len(bodies) == 20)
