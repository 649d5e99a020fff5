"""Publishing to queues."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from faststream_sqs import PublishFailed, SQSBroker, SQSMessage, SQSResponse

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]


class Order(BaseModel):
    """Something to publish."""

    number: int


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ('{ "kept": "as it is" }', '{ "kept": "as it is" }'),
        (b"bytes", "bytes"),
        ({"a": [1]}, '{"a":[1]}'),
        (Order(number=7), '{"number":7}'),
        ("plain", "plain"),
    ],
)
async def test_text_is_published_verbatim_and_objects_as_json(
    broker: SQSBroker, queue: "Queue", message: Any, body: str
) -> None:
    await broker.connect()
    message_id = await broker.publish(message, queue.name)
    [received] = await queue.receive()
    assert received["MessageId"] == message_id
    assert received["Body"] == body
    content_type = received["MessageAttributes"].get("content-type", {}).get("StringValue")
    expected: dict[type[Any], str | None] = {bytes: None, str: "text/plain"}
    assert content_type == expected.get(type(message), "application/json")


async def test_attributes_delay_and_group_reach_sqs(wired_broker: SQSBroker, queue: "Queue", wire: "Wire") -> None:
    await wired_broker.connect()
    headers: dict[str, Any] = {"text": "x", "number": 1.5, "binary": b"\x00"}
    await wired_broker.publish("hello", queue.name, headers=headers, delay=0.2, group_id="tenant-1")
    [entry] = wire.requests["SendMessageBatch"][0]["Entries"]
    assert entry["DelaySeconds"] == 1
    assert entry["MessageGroupId"] == "tenant-1"
    kinds = {name: value["DataType"] for name, value in entry["MessageAttributes"].items()}
    ours = {"content-type": "String", "correlation_id": "String"}
    assert kinds == {"text": "String", "number": "Number", "binary": "Binary", **ours}


@pytest.mark.parametrize(
    "sent",
    [1, 1.5, True, "text", '{"a":1}', '"quoted"', " 7", {"a": 1}, [1, 2], b"\xff\x00", b"", "", b"\x00", b"bytes"],
)
async def test_consumer_reads_the_published_message(
    broker: SQSBroker, queue: "Queue", eventually: Eventually, sent: Any
) -> None:
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any) -> None:
        seen.append(body)

    await broker.start()
    await broker.publish(sent, queue.name)
    await eventually(lambda: seen)
    assert seen == [sent]


async def test_messages_sent_at_the_same_time_share_requests(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire"
) -> None:
    await wired_broker.connect()
    ids = await wired_broker.publish_batch(*map(str, range(25)), queue=queue.name)
    assert len(set(ids)) == 25
    assert wire.calls["SendMessageBatch"] == 3


async def test_requests_stay_within_the_size_limit(wired_broker: SQSBroker, queue: "Queue", wire: "Wire") -> None:
    await wired_broker.connect()
    await wired_broker.publish_batch(*["x" * 400_000] * 5, queue=queue.name)
    sizes = [sum(len(entry["MessageBody"]) for entry in each["Entries"]) for each in wire.requests["SendMessageBatch"]]
    assert sum(sizes) == 2_000_000
    assert max(sizes) <= 1024 * 1024


async def test_too_long_message_fails_alone_before_it_is_sent(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire"
) -> None:
    await wired_broker.connect()
    results = await asyncio.gather(
        wired_broker.publish("fine", queue.name),
        wired_broker.publish("x" * 1_100_000, queue.name),
        wired_broker.publish("y", queue.name, headers={f"name-{i}": "x" for i in range(11)}),
        return_exceptions=True,
    )
    assert isinstance(results[0], str)
    assert [error.code for error in results[1:] if isinstance(error, PublishFailed)] == [
        "MessageTooLong",
        "TooManyAttributes",
    ]
    assert wire.calls["SendMessageBatch"] == 1


async def test_failed_entries_of_a_request_alone_are_sent_again(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire"
) -> None:
    def fail_some(payload: dict[str, Any]) -> dict[str, Any]:
        accepted, failed = [], []
        for entry in payload["Entries"]:
            if entry["MessageBody"] == "refused":
                failed.append(
                    {"Id": entry["Id"], "Code": "InvalidMessageContents", "Message": "no", "SenderFault": True}
                )
            elif entry["MessageBody"] == "throttled" and wire.calls["SendMessageBatch"] == 1:
                failed.append({"Id": entry["Id"], "Code": "RequestThrottled", "Message": "slow", "SenderFault": True})
            else:
                accepted.append({"Id": entry["Id"], "MessageId": entry["MessageBody"], "MD5OfMessageBody": ""})
        return {"Successful": accepted, "Failed": failed}

    wire.intercept["SendMessageBatch"] = fail_some
    await wired_broker.connect()
    bodies = ["fine", "refused", "throttled"]
    results = await asyncio.gather(*(wired_broker.publish(b, queue.name) for b in bodies), return_exceptions=True)
    assert results[0] == "fine"
    assert isinstance(results[1], PublishFailed)
    assert (results[1].code, results[1].permanent) == ("InvalidMessageContents", True)
    assert results[2] == "throttled"
    sent = [[entry["MessageBody"] for entry in request["Entries"]] for request in wire.requests["SendMessageBatch"]]
    assert sent == [bodies, ["throttled"]]


async def test_batch_request_refused_whole_is_split_to_find_culprit(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire"
) -> None:
    def refuse(payload: dict[str, Any]) -> web.Response | None:
        if any(entry["MessageBody"] == "poison" for entry in payload["Entries"]):
            return web.json_response({"__type": "InvalidParameterValue", "message": "no"}, status=400)
        return None

    wire.intercept["SendMessageBatch"] = refuse
    await wired_broker.connect()
    bodies = ["a", "b", "poison", "d", "e"]
    results = await asyncio.gather(*(wired_broker.publish(b, queue.name) for b in bodies), return_exceptions=True)
    assert [isinstance(result, PublishFailed) for result in results] == [False, False, True, False, False]
    assert sorted(each["Body"] for each in await queue.receive()) == ["a", "b", "d", "e"]


async def test_response_has_its_own_options(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]]
) -> None:
    results = await make_queue()

    @broker.subscriber(queue.name, wait_time=0)
    @broker.publisher(results.name)
    async def handle(body: str, message: SQSMessage) -> SQSResponse:
        return SQSResponse({"seen": body}, headers={"kind": "answer"}, correlation_id="talk-9")

    await broker.start()
    await queue.send("hello")
    [result] = await results.receive(wait=5)
    assert result["Body"] == '{"seen":"hello"}'
    assert result["MessageAttributes"]["kind"]["StringValue"] == "answer"
    assert result["MessageAttributes"]["correlation_id"]["StringValue"] == "talk-9"


async def test_handler_returning_none_publishes_no_message(
    wired_broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], wire: "Wire"
) -> None:
    results = await make_queue()
    done = asyncio.Event()

    @wired_broker.subscriber(queue.name, wait_time=0)
    @wired_broker.publisher(results.name)
    async def handle(body: str) -> None:
        done.set()

    await wired_broker.start()
    await queue.send("hello")
    await asyncio.wait_for(done.wait(), 5)
    await wired_broker.stop()
    assert wire.calls["SendMessageBatch"] == 0
