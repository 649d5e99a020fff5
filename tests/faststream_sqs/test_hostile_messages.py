"""Poison in a poll, and answers that are not those of AWS: no neighbour is lost, and polling goes on."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import TracerProvider

from faststream_sqs import PublishFailed, SQSBroker, SQSMessage
from faststream_sqs.batch_call import from_error
from faststream_sqs.envelope import open_envelope
from faststream_sqs.json_text import MAX_DEPTH, UnreadableJson, read_json
from faststream_sqs.opentelemetry import SQSTelemetryMiddleware

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]
MakeQueue = Callable[..., Awaitable["Queue"]]
PAGE = "<html><body>Service Unavailable</body></html>"


def event(detail: str, **changed: str) -> str:
    """An event as EventBridge wraps it, with a detail that need not be JSON."""
    fields = {"id": '"1"', "source": '"s"', "detail-type": '"Asked"', "time": '"2026-01-01T00:00:00Z"'} | changed
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + f',"detail":{detail}}}'


GOOD = event('{"n":1}')
POISON = [
    event("[" * 5_000),
    event('{"a":' * 5_000),
    event("[" * 5_000 + "]" * 5_000),
    event('{"n":' + "9" * 5_000 + "}"),
    event('{"n":NaN}', source='["s"]'),
    event("{}", **{"detail-type": '{"a":1}'}),
    event("{}", id="7"),
    "\ufeff" + GOOD,
    '"detail-type"',
]


def test_json_of_allowed_depth_is_read_and_deeper_is_refused() -> None:
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for text in ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "[" * 1_000_000, '{"a":' * 100_000, "9" * 5_000):
        with pytest.raises(UnreadableJson):
            read_json(text)
    assert read_json(json.dumps(["[" * 1_000])) == ["[" * 1_000]


@pytest.mark.parametrize("body", POISON)
def test_envelope_of_poison_is_none(body: str) -> None:
    assert open_envelope(body) is None


@pytest.mark.parametrize("traced", [False, True], ids=["plain", "traced"])
async def test_poison_is_rejected_and_its_neighbours_are_handled(
    make_broker: Callable[..., SQSBroker], make_queue: MakeQueue, eventually: Eventually, traced: bool
) -> None:
    queue, dead = await make_queue(), await make_queue()
    middlewares = [SQSTelemetryMiddleware(tracer_provider=TracerProvider())] if traced else []
    broker = make_broker(middlewares=middlewares)
    handled: list[str] = []

    @broker.subscriber(queue.name, dead_letter_queue=dead.name, detail_type="Asked", wait_time=1)
    async def handle(message: SQSMessage) -> None:
        handled.append(message.raw_body)

    poison = [body for body in POISON if body.isascii()]
    await queue.send(*[body for each in poison for body in (each, GOOD)])
    await broker.start()
    await eventually(lambda: len(handled) == len(poison), within=20)
    assert set(handled) == {GOOD}
    found: set[str] = set()

    async def all_dead() -> bool:
        found.update(message["Body"] for message in await dead.receive())
        return found == set(poison)

    await eventually(all_dead, within=20)

    async def empty() -> bool:
        return await queue.counts() == (0, 0)

    await eventually(empty)


@pytest.mark.parametrize(
    "body", [*POISON[:4], event('{"trace":' + "[" * 3_000), event('{"trace":{"traceparent":"\\ud800"}}')]
)
async def test_poison_reaches_a_handler_that_reads_for_itself_although_traced(
    make_broker: Callable[..., SQSBroker], queue: "Queue", eventually: Eventually, body: str
) -> None:
    broker = make_broker(middlewares=[SQSTelemetryMiddleware(tracer_provider=TracerProvider())])
    handled: list[str] = []

    async def skip(_: Any) -> None: ...

    @broker.subscriber(queue.name, wait_time=1, decoder=skip)
    async def handle(message: SQSMessage) -> None:
        handled.append(message.raw_body)

    await queue.send(body)
    await broker.start()
    await eventually(lambda: handled == [body])


async def test_extractor_that_raises_costs_the_trace_and_not_the_message(
    make_broker: Callable[..., SQSBroker], queue: "Queue", eventually: Eventually
) -> None:
    def broken(_: Any) -> None:
        raise RecursionError

    broker = make_broker(middlewares=[SQSTelemetryMiddleware(tracer_provider=TracerProvider(), extract=broken)])
    handled: list[str] = []

    @broker.subscriber(queue.name, wait_time=1)
    async def handle(body: str) -> None:
        handled.append(body)

    await queue.send("hello")
    await broker.start()
    await eventually(lambda: handled == ["hello"])


async def test_page_instead_of_messages_is_a_failed_poll_and_not_an_empty_queue(
    wired_broker: SQSBroker, wire: "Wire", queue: "Queue", eventually: Eventually
) -> None:
    handled: list[str] = []

    @wired_broker.subscriber(queue.name, wait_time=1)
    async def handle(body: str) -> None:
        handled.append(body)

    wire.intercept["ReceiveMessage"] = lambda _: web.Response(text=PAGE, content_type="text/html")
    await wired_broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"])
    await asyncio.sleep(1)
    assert wire.calls["ReceiveMessage"] < 40
    del wire.intercept["ReceiveMessage"]
    await queue.send("hello")
    await eventually(lambda: handled == ["hello"], within=10)


async def test_page_instead_of_a_deletion_or_a_renewal_is_repeated(
    wired_broker: SQSBroker, wire: "Wire", queue: "Queue", eventually: Eventually
) -> None:
    pages = {"DeleteMessageBatch": 2, "ChangeMessageVisibilityBatch": 1}

    def answer(operation: str) -> Callable[[dict[str, Any]], web.Response | None]:
        def once(_: dict[str, Any]) -> web.Response | None:
            pages[operation] -= 1
            return web.Response(text=PAGE, content_type="text/html") if pages[operation] >= 0 else None

        return once

    for operation in pages:
        wire.intercept[operation] = answer(operation)

    @wired_broker.subscriber(queue.name, wait_time=1, visibility_timeout=3)
    async def handle(body: str) -> None:
        # Until the renewal that got a page was repeated.
        await eventually(lambda: pages["ChangeMessageVisibilityBatch"] < 0, within=10)

    await queue.send("hello")
    await wired_broker.start()

    async def empty() -> bool:
        return await queue.counts() == (0, 0)

    await eventually(empty, within=15)
    assert wire.calls["ReceiveMessage"] >= 1
    assert pages["ChangeMessageVisibilityBatch"] < 0


@pytest.mark.parametrize("answer", [{}, {"Entries": []}, {"Entries": [{}]}, {"FailedEntryCount": 0}, None])
async def test_answer_that_is_not_eventbridges_is_a_failed_publish(
    wired_broker: SQSBroker, wire: "Wire", bus: str, answer: dict[str, Any] | None
) -> None:
    publisher = wired_broker.event_publisher(bus=bus)
    await wired_broker.start()
    wire.intercept["PutEvents"] = lambda _: (
        web.Response(text=PAGE, content_type="text/html") if answer is None else answer
    )
    with pytest.raises(PublishFailed) as failed:
        await publisher.publish({"n": 1}, source="s", detail_type="d")
    assert not failed.value.permanent


@pytest.mark.parametrize(
    "code",
    [
        "ExpiredTokenException",
        "ExpiredToken",
        "RequestExpired",
        "InvalidSignatureException",
        "UnrecognizedClientException",
    ],
)
async def test_publish_with_credentials_that_expired_is_repeated(
    wired_broker: SQSBroker, wire: "Wire", bus: str, code: str
) -> None:
    publisher = wired_broker.event_publisher(bus=bus)
    await wired_broker.start()
    left = 2

    def refuse(_: dict[str, Any]) -> web.Response | None:
        nonlocal left
        left -= 1
        answer = json.dumps({"__type": code, "message": "expired"})
        return web.Response(text=answer, status=400, content_type="application/x-amz-json-1.1") if left >= 0 else None

    wire.intercept["PutEvents"] = refuse
    assert await publisher.publish({"n": 1}, source="s", detail_type="d")


def test_failure_of_another_kind_is_not_permanent() -> None:
    for error in (KeyError("Entries"), ValueError(), RecursionError(), OSError("secret")):
        failed = from_error(error)
        assert not failed.permanent
        assert "secret" not in failed.message
