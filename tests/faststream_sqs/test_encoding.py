"""What arrives is what was sent: bodies, headers, content types, and what SQS refuses is refused before it is sent."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig

from faststream_sqs import PublishFailed, SQSBroker, SQSMessage, TestSQSBroker, UnreadableBody
from faststream_sqs.encoding import read_body, read_headers, write_body, write_header

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]
MakeBroker = Callable[..., SQSBroker]
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("body", [b"", b"text", b"\x00", b"\xff\xfe", bytes(range(256)), "\ufffe".encode()])
def test_body_is_text_for_sqs_and_comes_back(body: bytes) -> None:
    text, encoding = write_body(body)
    assert text
    assert read_body(text, encoding) == body


def test_body_that_is_not_in_its_encoding_is_unreadable() -> None:
    with pytest.raises(UnreadableBody, match="base64"):
        read_body("not base64!", "base64")
    assert read_body("text", "gzip") == b"text"


async def test_body_in_the_encoding_of_a_stranger_stays_text(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any) -> None:
        seen.append(body)

    await broker.start()
    await queue.send("H4sIAAAA", **{"body-encoding": "gzip"})
    await eventually(lambda: seen == ["H4sIAAAA"])


@pytest.mark.parametrize("value", ["text", 7, -1, 1.5, b"\x00", True, False, {"a": [1, None]}, [], [1, "x"]])
def test_header_comes_back_as_it_was(value: Any) -> None:
    assert read_headers({"MessageAttributes": {"name": write_header("name", value)}}) == {"name": value}


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf"), {"a": object()}, [float("nan")]])
def test_header_that_has_no_form_in_sqs_is_refused(value: Any) -> None:
    with pytest.raises(PublishFailed, match="the header `name` cannot be sent"):
        write_header("name", value)


@pytest.mark.parametrize(
    ("kind", "text"), [("Number", "9" * 5_000), ("Number", "abc"), ("String.json", "[" * 100_000), ("String.x", "y")]
)
def test_header_of_a_stranger_that_cannot_be_read_stays_text(kind: str, text: str) -> None:
    assert read_headers({"MessageAttributes": {"name": {"DataType": kind, "StringValue": text}}}) == {"name": text}


async def test_headers_reach_the_handler_as_they_were(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    seen: list[dict[str, Any]] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        seen.append(message.headers)

    headers: dict[str, Any] = {"flag": True, "nested": {"a": [1]}, "number": 3, "binary": b"\x00"}
    await broker.start()
    await broker.publish("hello", queue.name, headers=headers, correlation_id="talk")
    await eventually(lambda: seen)
    assert seen == [{**headers, "content-type": "text/plain", "correlation_id": "talk"}]


async def test_filter_by_content_type_takes_json_and_leaves_text(memory: SQSBroker) -> None:
    seen: list[str] = []
    subscriber = memory.subscriber("orders")

    @subscriber(filter=lambda message: message.content_type == "application/json")
    async def as_json(body: Any) -> None:
        seen.append("json")

    @subscriber
    async def other(body: Any) -> None:
        seen.append("other")

    async with TestSQSBroker(memory) as broker:
        await broker.publish({"a": 1}, "orders")
        await broker.publish('{"a": 1}', "orders")
    assert seen == ["json", "other"]


async def test_publish_without_a_message_sends_an_empty_one(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any) -> None:
        seen.append(body)

    await broker.start()
    assert await broker.publish(queue=queue.name)
    await eventually(lambda: seen == [b""])


async def test_headers_that_are_passed_on_do_not_misread_another_body(memory: SQSBroker) -> None:
    seen: list[Any] = []

    @memory.subscriber("first")
    async def first(body: bytes, message: SQSMessage) -> None:
        headers = {name: value for name, value in message.headers.items() if name != "correlation_id"}
        await memory.publish("aGVsbG8=", "second", headers=headers)

    @memory.subscriber("second")
    async def second(body: Any, message: SQSMessage) -> None:
        seen.append((body, message.headers["content-encoding"]))

    async with TestSQSBroker(memory) as broker:
        await broker.publish(b"\xff", "first", headers={"content-encoding": "gzip"})
    assert seen == [("aGVsbG8=", "gzip")]


class Reversing:
    """A codec whose output is binary."""

    def __init__(self) -> None:
        self.batches = 0

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        return b"\xff" + json.dumps(msg).encode()[::-1], "application/x-reversed"

    async def decode(self, msg: Any) -> Any:
        return json.loads(msg.body[1:][::-1])

    async def encode_batch(self, msgs: Sequence[Any], serializer: Any = None) -> list[tuple[bytes, str | None]]:
        self.batches += 1
        return [await self.encode(each) for each in msgs]

    async def decode_batch(self, msg: Any) -> list[Any]:
        return [await self.decode(each) for each in msg.messages]


@pytest.mark.parametrize("batch", [False, True])
async def test_codec_encodes_text_too_and_may_be_binary(make_broker: MakeBroker, queue: "Queue", batch: bool) -> None:
    codec = Reversing()
    broker = make_broker(endpoint_url=NOWHERE, codec=codec)
    seen: list[Any] = []

    @broker.subscriber(queue.name, batch=batch)
    async def handle(body: Any) -> None:
        seen.append(body)

    async with TestSQSBroker(broker):
        await broker.publish("text", queue.name)
        await broker.publish_batch({"a": 1}, "b", queue=queue.name)
    assert seen == ([["text"], [{"a": 1}, "b"]] if batch else ["text", {"a": 1}, "b"])
    assert codec.batches == 1


@pytest.fixture(params=["in memory", "on emulator"])
async def publisher(request: pytest.FixtureRequest, make_broker: MakeBroker, queue: "Queue") -> Any:
    """A broker that is ready to publish."""
    if request.param == "on emulator":
        broker = make_broker()
        await broker.connect()
        yield broker
    else:
        async with TestSQSBroker(make_broker(endpoint_url=NOWHERE)) as broker:
            yield broker


@pytest.mark.parametrize(
    ("message", "options", "error"),
    [
        ("a\x00b", {}, "InvalidMessageContents.*send bytes"),
        ("half \ud800", {}, "InvalidMessageContents.*send bytes"),
        ("x", {"delay": 901}, "delay must be from 0 to 900"),
        ("x", {"delay": -1}, "delay must be from 0 to 900"),
        ("x", {"headers": {"name": ""}}, "header `name` is empty"),
        ("x", {"headers": {"name": b""}}, "header `name` is empty"),
        ("x", {"headers": {"name": "\x00"}}, "header `name` has a control character"),
        ("x", {"headers": {"a name": "1"}}, "header name 'a name'"),
        ("x", {"headers": {"AWS.name": "1"}}, "header name 'AWS.name'"),
        ("x", {"headers": {"a..b": "1"}}, r"header name 'a\.\.b'"),
        ("x", {"headers": {"n" * 257: "1"}}, "header name"),
        ("x", {"headers": {str(n): n for n in range(11)}}, "TooManyAttributes"),
        ("x", {"group_id": "a b"}, "group_id must be"),
        ("x", {"group_id": "g" * 129}, "group_id must be"),
        ("x", {"deduplication_id": "1"}, "is not a FIFO queue"),
        ("x" * 1_048_576, {}, "MessageTooLong"),
        (b"\xff" * 800_000, {}, "MessageTooLong"),
    ],
)
async def test_publish_of_what_sqs_refuses_names_the_field(
    publisher: SQSBroker, queue: "Queue", message: Any, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(PublishFailed, match=error) as raised:
        await publisher.publish(message, queue.name, **options)
    assert raised.value.permanent


@pytest.mark.parametrize("options", [{}, {"delay": 1}])
async def test_publish_to_fifo_queue_without_group_or_with_delay_is_refused(
    make_broker: MakeBroker, options: dict[str, Any]
) -> None:
    async with TestSQSBroker(make_broker(endpoint_url=NOWHERE)) as broker:
        with pytest.raises(PublishFailed, match=r"`q\.fifo` is a FIFO queue"):
            await broker.publish("x", "q.fifo", group_id="g" if options else None, **options)


async def test_id_generator_makes_the_correlation_ids(make_broker: MakeBroker, queue: "Queue") -> None:
    ids = iter(("one", "two", "three"))
    broker = make_broker(endpoint_url=NOWHERE, id_generator=lambda: next(ids))
    seen: list[str] = []

    @broker.subscriber(queue.name)
    async def handle(message: SQSMessage) -> None:
        seen.append(message.correlation_id)

    publisher = broker.publisher(queue.name)
    async with TestSQSBroker(broker):
        await broker.publish("x", queue.name)
        await broker.publish_batch("x", "y", queue=queue.name)
        await publisher.publish("x")
    assert seen == ["one", "two", "two", "three"]


async def test_botocore_config_wins_over_the_brokers_own(make_broker: MakeBroker, wire: "Wire", queue: "Queue") -> None:
    broker = make_broker(endpoint_url=wire.url, botocore_config=AioConfig(read_timeout=3, user_agent_extra="mine"))
    connection = await broker.connect()
    assert connection.sending.meta.config.read_timeout == 3
    assert connection.sending.meta.config.connect_timeout == 5
    assert await broker.publish("x", queue.name)


@pytest.fixture
def memory(make_broker: MakeBroker) -> SQSBroker:
    """A broker that could not reach AWS if it tried."""
    return make_broker(endpoint_url=NOWHERE)
