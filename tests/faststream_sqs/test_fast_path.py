"""The short way to the handler and FastStream's own: handlers and applications see the same."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from faststream import BaseMiddleware, Context
from faststream.exceptions import IgnoredException
from faststream.response import Response

from faststream_sqs import SQSBroker, SQSMessage
from faststream_sqs.subscriber import QueueSubscriber

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]
MakeBroker = Callable[..., SQSBroker]
WAYS = ["short", "whole"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Which way the messages of the test take."""
    way: str = request.param
    return way


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways that messages took."""
    ways: list[str] = []
    whole = QueueSubscriber.process_message

    async def process_message(self: QueueSubscriber, msg: Any) -> Response:
        ways.append("whole")
        return await whole(self, msg)

    monkeypatch.setattr(QueueSubscriber, "process_message", process_message)
    return ways


class Passive(BaseMiddleware[Any, Any]):
    """Does nothing, but is there: that alone makes messages take FastStream's way."""


def _middlewares(way: str) -> tuple[type[Passive], ...]:
    return (Passive,) if way == "whole" else ()


class Lines(logging.Handler):
    """Keeps what was logged about messages."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "message_id", "") or record.levelno >= logging.ERROR:
            self.seen.append((record.levelname, record.getMessage(), record.__dict__.get("queue", "")))


def _logger() -> tuple[logging.Logger, Lines]:
    logger, lines = logging.Logger("test", level=logging.INFO), Lines()
    logger.addHandler(lines)
    return logger, lines


async def test_fast_path_gives_handlers_the_same_context(
    make_broker: MakeBroker, queue: "Queue", eventually: Eventually, way: str, taken: list[str]
) -> None:
    broker = make_broker(middlewares=_middlewares(way))
    subscriber = broker.subscriber(queue.name, wait_time=0)
    seen: list[Any] = []

    @subscriber
    async def handle(
        body: str,
        message: SQSMessage,
        the_broker: Annotated[Any, Context("broker")],
        the_handler: Annotated[Any, Context("handler_")],
        log_context: Annotated[Any, Context("log_context")],
        queue_name: Annotated[str, Context("message.raw_message.queue")],
    ) -> None:
        seen.append((body, the_broker, the_handler, log_context, queue_name, message.message_id))

    await broker.start()
    [message_id] = await queue.send("hello")
    await eventually(lambda: seen)
    log_context = {"queue": queue.name, "message_id": message_id}
    assert seen == [("hello", broker, subscriber, log_context, queue.name, message_id)]
    assert taken == (["whole"] if way == "whole" else [])


async def test_concurrent_messages_have_separate_contexts(
    broker: SQSBroker, queue: "Queue", eventually: Eventually, taken: list[str]
) -> None:
    seen: list[tuple[str, str]] = []
    all_here = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        if len(await _other_bodies(body)) == 3:
            all_here.set()
        await all_here.wait()
        seen.append((body, broker.context.get_local("message").raw_body))

    arrived: list[str] = []

    async def _other_bodies(body: str) -> list[str]:
        arrived.append(body)
        return arrived

    await queue.send("a", "b", "c")
    await broker.start()
    await eventually(lambda: len(seen) == 3)
    assert sorted(seen) == [("a", "a"), ("b", "b"), ("c", "c")]
    assert not taken


@pytest.mark.parametrize("fails", [False, True], ids=["success", "error"])
async def test_handled_message_is_freed_without_a_search_for_cycles(
    make_broker: MakeBroker, queue: "Queue", eventually: Eventually, way: str, fails: bool
) -> None:
    broker = make_broker(middlewares=_middlewares(way), logger=None)
    seen: list[weakref.ref[SQSMessage]] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        seen.append(weakref.ref(message))
        if fails:
            raise RuntimeError("no")

    await broker.start()
    gc.disable()
    try:
        await queue.send("hello")
        await eventually(lambda: seen and seen[0]() is None)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, [("INFO", "Received"), ("INFO", "Processed")]),
        (RuntimeError("no"), [("INFO", "Received"), ("ERROR", "RuntimeError: no"), ("INFO", "Processed")]),
        (IgnoredException("later"), [("INFO", "Received"), ("INFO", "later"), ("INFO", "Processed")]),
    ],
    ids=["success", "error", "ignored error"],
)
async def test_fast_path_logs_the_same_lines(
    make_broker: MakeBroker,
    queue: "Queue",
    eventually: Eventually,
    way: str,
    error: Exception | None,
    expected: list[tuple[str, str]],
) -> None:
    logger, lines = _logger()
    broker = make_broker(middlewares=_middlewares(way), logger=logger, log_level=logging.INFO)

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        if error is not None:
            raise error

    await broker.start()
    await queue.send("hello")
    await eventually(lambda: len(lines.seen) >= len(expected))
    assert lines.seen[: len(expected)] == [(level, text, queue.name) for level, text in expected]


async def test_handled_message_writes_no_log_line_by_default(
    make_broker: MakeBroker, queue: "Queue", eventually: Eventually
) -> None:
    logger, lines = _logger()
    broker = make_broker(logger=logger)
    bodies: list[str] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        bodies.append(body)
        if body == "bad":
            raise RuntimeError("no")

    await broker.start()
    await queue.send("good", "bad")
    await eventually(lambda: len(bodies) >= 2)
    await broker.stop()
    assert [line[:2] for line in lines.seen] == [("ERROR", "RuntimeError: no")] * (len(bodies) - 1)


async def test_handler_with_a_publisher_takes_the_full_path(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], taken: list[str]
) -> None:
    replies = await make_queue()

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> str:
        return body.upper()

    await broker.start()
    await broker.publish("hello", queue.name, reply_to=replies.name)
    [reply] = await replies.receive(wait=5)
    assert reply["Body"] == "HELLO"
    assert taken == ["whole"]


async def test_failing_parser_keeps_its_message(
    make_broker: MakeBroker, queue: "Queue", eventually: Eventually, way: str
) -> None:
    logger, lines = _logger()
    broker = make_broker(middlewares=_middlewares(way), logger=logger)

    async def parser(message: Any, original: Any) -> Any:
        raise ValueError("unreadable")

    @broker.subscriber(queue.name, wait_time=0, parser=parser)
    async def handle(body: str) -> None: ...

    await broker.start()
    await queue.send("hello")
    await eventually(lambda: lines.seen)
    assert lines.seen[0][:2] == ("ERROR", "ValueError: unreadable")
    await broker.stop()
    assert sum(await queue.counts()) == 1
