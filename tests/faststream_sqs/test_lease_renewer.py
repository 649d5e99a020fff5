"""Leases: renewed while work goes on, and the end of the work when they are lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aiohttp import web

from faststream_sqs import MessageLeaseLost, SQSBroker, SQSMessage

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]


async def test_message_stays_hidden_while_its_handler_runs(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    finish = asyncio.Event()
    started = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0, visibility_timeout=1, concurrency=1)
    async def handle(body: str) -> None:
        started.set()
        await finish.wait()

    await queue.send("hello")
    await broker.start()
    await asyncio.wait_for(started.wait(), 5)
    assert await queue.receive(wait=3) == [], "its visibility timeout is one second"
    finish.set()
    await broker.stop()
    assert await queue.counts() == (0, 0)


async def test_lost_lease_cancels_the_handler_and_leaves_the_message(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    outcome: list[str] = []

    def expired(payload: dict[str, Any]) -> dict[str, Any]:
        failed = [
            {"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "Message": "expired", "SenderFault": True}
            for entry in payload["Entries"]
        ]
        return {"Failed": failed}

    wire.intercept["ChangeMessageVisibilityBatch"] = expired

    @wired_broker.subscriber(queue.name, wait_time=0, visibility_timeout=3, concurrency=1)
    async def handle(body: str, message: SQSMessage) -> None:
        if outcome:
            return
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
    await wired_broker.start()
    await eventually(lambda: len(outcome) == 2)
    assert outcome == ["cancelled", "not acknowledged"]
    assert wire.calls["DeleteMessageBatch"] == 0
    assert await queue.counts() == (0, 1)


async def test_failed_renewal_is_repeated_before_the_lease_ends(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    finish = asyncio.Event()
    cancelled: list[bool] = []

    def down_at_first(payload: dict[str, Any]) -> web.Response | None:
        # botocore itself tries twice.
        return web.Response(status=503) if wire.calls["ChangeMessageVisibilityBatch"] <= 2 else None

    wire.intercept["ChangeMessageVisibilityBatch"] = down_at_first

    @wired_broker.subscriber(queue.name, wait_time=0, visibility_timeout=6, concurrency=1)
    async def handle(body: str) -> None:
        try:
            await finish.wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    await queue.send("hello")
    await wired_broker.start()
    await eventually(lambda: wire.calls["ChangeMessageVisibilityBatch"] >= 3, within=10)
    finish.set()
    await wired_broker.stop()
    assert not cancelled
    assert await queue.counts() == (0, 0)


async def test_lease_without_renewal_ends_by_the_clock(wired_broker: SQSBroker, queue: "Queue", wire: "Wire") -> None:
    cancelled = asyncio.Event()
    calls = 0
    wire.intercept["ChangeMessageVisibilityBatch"] = lambda _: web.Response(status=503)

    @wired_broker.subscriber(queue.name, wait_time=0, visibility_timeout=1, concurrency=1)
    async def handle(body: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            return
        started = time.monotonic()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if 0.5 < time.monotonic() - started < 3:
                cancelled.set()
            raise

    await queue.send("hello")
    await wired_broker.start()
    await asyncio.wait_for(cancelled.wait(), 5)
    wire.intercept.clear()


async def test_heartbeats_await_the_handlers_callback(broker: SQSBroker, queue: "Queue") -> None:
    beats: list[float] = []
    three = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0, visibility_timeout=1, concurrency=1)
    async def handle(body: str, message: SQSMessage) -> None:
        async def renew_due() -> None:
            beats.append(time.monotonic())
            if len(beats) == 3:
                three.set()

        message.on_heartbeat(renew_due)
        await three.wait()

    await queue.send("hello")
    await broker.start()
    await asyncio.wait_for(three.wait(), 5)
    assert all(0.2 < later - earlier < 1 for earlier, later in pairwise(beats))


async def test_heartbeat_reporting_a_lost_lease_cancels_the_handler(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire"
) -> None:
    cancelled = asyncio.Event()

    @wired_broker.subscriber(queue.name, wait_time=0, visibility_timeout=3, concurrency=1)
    async def handle(body: str, message: SQSMessage) -> None:
        async def renew_due() -> None:
            raise MessageLeaseLost("the row belongs to another worker")

        message.on_heartbeat(renew_due)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await queue.send("hello")
    await wired_broker.start()
    await asyncio.wait_for(cancelled.wait(), 5)
    assert wire.calls["DeleteMessageBatch"] == 0
    assert (await queue.counts())[1] == 1, "it is left to its visibility timeout"


async def test_heartbeat_failing_otherwise_is_called_again(broker: SQSBroker, queue: "Queue") -> None:
    calls = 0
    twice = asyncio.Event()

    @broker.subscriber(queue.name, wait_time=0, visibility_timeout=1, concurrency=1)
    async def handle(body: str, message: SQSMessage) -> None:
        async def renew_due() -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                twice.set()
            raise OSError("the database is away")

        message.on_heartbeat(renew_due)
        await twice.wait()

    await queue.send("hello")
    await broker.start()
    await asyncio.wait_for(twice.wait(), 5)
    await broker.stop()
    assert await queue.counts() == (0, 0)


async def test_leases_are_renewed_in_tens(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    finish = asyncio.Event()
    started: list[str] = []

    @wired_broker.subscriber(queue.name, wait_time=0, visibility_timeout=3, concurrency=12)
    async def handle(body: str) -> None:
        started.append(body)
        await finish.wait()

    await queue.send(*map(str, range(12)))
    await wired_broker.start()
    await eventually(lambda: len(started) == 12)
    await eventually(lambda: wire.calls["ChangeMessageVisibilityBatch"] >= 2)
    finish.set()
    sizes = [len(request["Entries"]) for request in wire.requests["ChangeMessageVisibilityBatch"][:2]]
    assert sorted(sizes) == [2, 10]
