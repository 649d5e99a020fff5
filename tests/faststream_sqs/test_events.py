"""Publishing events, and receiving them through a rule."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from faststream.exceptions import SetupError

from faststream_sqs import PublishFailed, SQSBroker, SQSMessage

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]


async def test_event_is_unwrapped_with_its_envelope(
    broker: SQSBroker, queue: "Queue", bus: str, eventually: Eventually
) -> None:
    seen: list[Any] = []
    events = broker.event_publisher(bus)

    @broker.subscriber(queue.name, wait_time=1)
    async def handle(body: dict[str, int], message: SQSMessage) -> None:
        seen.append((body, message))

    await broker.start()
    event_id = await events.publish(
        {"answer": 42},
        source="shop",
        detail_type="OrderPlaced",
        resources=["arn:aws:s3:::bucket"],
    )
    await eventually(lambda: seen)
    body, message = seen[0]
    assert body == {"answer": 42}
    assert message.body == b'{"answer":42}'
    assert json.loads(message.raw_body)["detail"] == {"answer": 42}
    assert message.envelope.id == event_id
    assert (message.envelope.source, message.envelope.detail_type) == ("shop", "OrderPlaced")
    assert message.envelope.resources == ("arn:aws:s3:::bucket",)


async def test_text_is_published_verbatim_with_its_attributes(wired_broker: SQSBroker, bus: str, wire: "Wire") -> None:
    events = wired_broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await wired_broker.start()
    happened = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await events.publish('{ "kept":  "as it is" }', trace_header="Root=1-5759e988-bd862e3fe1be46a9", time=happened)
    [entry] = wire.requests["PutEvents"][0]["Entries"]
    assert entry["Detail"] == '{ "kept":  "as it is" }'
    assert entry["TraceHeader"] == "Root=1-5759e988-bd862e3fe1be46a9"
    assert entry["Time"] == happened.timestamp()
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("shop", "OrderPlaced", bus)


async def test_events_published_at_the_same_time_share_requests(
    wired_broker: SQSBroker, bus: str, wire: "Wire"
) -> None:
    events = wired_broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await wired_broker.start()
    ids = await asyncio.gather(*(events.publish({"n": n}) for n in range(25)))
    assert len(set(ids)) == 25
    assert wire.calls["PutEvents"] == 3


async def test_requests_stay_within_the_size_limit(wired_broker: SQSBroker, bus: str, wire: "Wire") -> None:
    events = wired_broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await wired_broker.start()
    detail = json.dumps({"text": "x" * 200_000})  # LocalStack takes no event over 256 KB
    await asyncio.gather(*(events.publish(detail) for _ in range(7)))
    sizes = [sum(len(entry["Detail"]) for entry in each["Entries"]) for each in wire.requests["PutEvents"]]
    assert sum(sizes) == 7 * len(detail)
    assert max(sizes) <= 1_000_000
    with pytest.raises(PublishFailed, match="EventTooLong"):
        await events.publish(json.dumps({"text": "x" * 1_000_000}))


async def test_failed_entries_of_a_request_alone_are_sent_again(
    wired_broker: SQSBroker, bus: str, wire: "Wire"
) -> None:
    """PutEvents reports success while entries have failed: `FailedEntryCount` says so."""

    def fail_some(payload: dict[str, Any]) -> dict[str, Any]:
        results = []
        for entry in payload["Entries"]:
            if entry["DetailType"] == "Malformed":
                results.append({"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."})
            elif entry["DetailType"] == "Throttled" and wire.calls["PutEvents"] <= 2:
                results.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
            else:
                results.append({"EventId": f"id-of-{entry['DetailType']}"})
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    wire.intercept["PutEvents"] = fail_some
    events = wired_broker.event_publisher(bus, source="shop")
    await wired_broker.start()
    types = ["Fine", "Malformed", "Throttled"]
    results = await asyncio.gather(*(events.publish("{}", detail_type=each) for each in types), return_exceptions=True)
    assert results[0] == "id-of-Fine"
    assert isinstance(results[1], PublishFailed)
    assert (results[1].code, results[1].message) == ("MalformedDetail", "Detail is malformed.")
    assert results[2] == "id-of-Throttled"
    sent = [[entry["DetailType"] for entry in request["Entries"]] for request in wire.requests["PutEvents"]]
    assert sent == [types, ["Throttled"], ["Throttled"]]


async def test_resends_end_with_an_error_for_that_entry_alone(wired_broker: SQSBroker, bus: str, wire: "Wire") -> None:
    def never_the_second(payload: dict[str, Any]) -> dict[str, Any]:
        results = [
            {"ErrorCode": "InternalFailure"} if entry["DetailType"] == "Unlucky" else {"EventId": "id"}
            for entry in payload["Entries"]
        ]
        return {"FailedEntryCount": 1, "Entries": results}

    wire.intercept["PutEvents"] = never_the_second
    events = wired_broker.event_publisher(bus, source="shop")
    await wired_broker.start()
    results = await asyncio.gather(
        events.publish("{}", detail_type="Lucky"),
        events.publish("{}", detail_type="Unlucky"),
        return_exceptions=True,
    )
    assert results[0] == "id"
    assert isinstance(results[1], PublishFailed)
    assert (results[1].code, results[1].permanent) == ("InternalFailure", False)
    assert wire.calls["PutEvents"] == 6


async def test_outage_is_bridged_by_resends(wired_broker: SQSBroker, bus: str, wire: "Wire") -> None:
    wire.intercept["PutEvents"] = lambda _: web.Response(status=503) if wire.calls["PutEvents"] <= 3 else None
    events = wired_broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await wired_broker.start()
    assert await events.publish("{}")


async def test_subscriber_of_one_kind_rejects_other_messages(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], bus: str, eventually: Eventually
) -> None:
    dead = await make_queue()
    seen: list[Any] = []

    @broker.subscriber(
        queue.name,
        wait_time=1,
        dead_letter_queue=dead.name,
        detail_type={"OrderPlaced", "OrderPaid"},
        source="shop",
    )
    async def handle(body: dict[str, int]) -> None:
        seen.append(body["n"])

    events = broker.event_publisher(bus)
    await broker.start()
    await events.publish({"n": 1}, source="shop", detail_type="OrderPlaced")
    await events.publish({"n": 2}, source="shop", detail_type="OrderLost")
    await events.publish({"n": 3}, source="elsewhere", detail_type="OrderPaid")
    await events.publish({"n": 4}, source="shop", detail_type="OrderPaid")
    await queue.send("no event")
    copies: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        while len(copies) < 3:
            copies += await dead.receive(wait=1)
    await eventually(lambda: len(seen) == 2)
    reasons = {copy["MessageAttributes"]["reject-reason"]["StringValue"] for copy in copies}
    assert sorted(seen) == [1, 4]
    assert reasons == {"unexpected detail-type OrderLost", "unexpected source elsewhere", "not an EventBridge event"}


async def test_handler_may_be_decorated_with_an_event_publisher(
    broker: SQSBroker,
    queue: "Queue",
    make_queue: Callable[..., Awaitable["Queue"]],
    bus: str,
    eventually: Eventually,
) -> None:
    orders = await make_queue()
    seen: list[Any] = []

    @broker.subscriber(orders.name, wait_time=0)
    @broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    async def place(body: int) -> dict[str, int] | None:
        return {"placed": body} if body else None

    @broker.subscriber(queue.name, wait_time=0)
    async def observe(body: dict[str, int], message: SQSMessage) -> None:
        seen.append((body, message.raw_message.envelope))

    await broker.start()
    await orders.send("0")
    await orders.send("7")
    await eventually(lambda: seen)
    assert seen[0][0] == {"placed": 7}
    assert seen[0][1].detail_type == "OrderPlaced"


async def test_event_without_a_source_or_type_is_refused(broker: SQSBroker, bus: str) -> None:
    events = broker.event_publisher(bus)
    await broker.start()
    with pytest.raises(SetupError, match="source and a detail type"):
        await events.publish("{}", source="shop")
