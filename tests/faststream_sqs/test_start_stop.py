"""Starting, pausing, stopping: nothing mistyped, nothing stranded."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from faststream.exceptions import IncorrectState, SetupError

from faststream_sqs import BusMissing, QueueMissing, RetryPolicy, SQSBroker, SQSMessage

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]


async def _handle(body: Any) -> None: ...


async def test_mistyped_queues_are_an_error_at_start_that_names_them_all(broker: SQSBroker, queue: "Queue") -> None:
    broker.subscriber(queue.name, dead_letter_queue="no-such-dlq", wait_time=0)(_handle)
    broker.subscriber("no-such-queue", wait_time=0)(_handle)
    broker.publisher("no-such-target")
    with pytest.raises(QueueMissing, match="declare=") as caught:
        await broker.start()
    assert caught.value.queues == ("no-such-dlq", "no-such-queue", "no-such-target")


async def test_mistyped_bus_is_an_error_at_start(broker: SQSBroker) -> None:
    broker.event_publisher("no-such-bus")
    with pytest.raises(BusMissing, match="`no-such-bus`"):
        await broker.start()


async def test_mistyped_target_declared_after_start_is_an_error_at_publish(broker: SQSBroker, queue: "Queue") -> None:
    await broker.start()
    with pytest.raises(QueueMissing):
        await broker.publish("hello", "no-such-queue")
    with pytest.raises(BusMissing):
        await broker.event_publisher("no-such-bus").publish("{}", source="test", detail_type="Tested")


async def test_publishing_never_creates_a_queue(make_broker: Callable[..., SQSBroker], sqs: Any) -> None:
    broker = make_broker(declare="create")
    await broker.start()
    with pytest.raises(QueueMissing):
        await broker.publish("hello", "never-declared")
    listed = await sqs.list_queues(QueueNamePrefix="never-declared")
    assert not listed.get("QueueUrls")


async def test_declared_queues_and_buses_are_created_on_request(
    make_broker: Callable[..., SQSBroker], sqs: Any, events: Any
) -> None:
    for _ in range(2):  # the second time, they exist
        broker = make_broker(declare="create")
        broker.subscriber("created", dead_letter_queue="created-dlq", wait_time=0)(_handle)
        broker.event_publisher("created-bus")
        await broker.start()
        await broker.stop()
    assert len((await sqs.list_queues(QueueNamePrefix="created"))["QueueUrls"]) == 2
    assert (await events.describe_event_bus(Name="created-bus"))["Name"] == "created-bus"


async def test_queue_may_be_named_by_its_url(broker: SQSBroker, queue: "Queue") -> None:
    broker.subscriber(queue.url, wait_time=0)(_handle)
    await broker.start()
    assert await broker.publish("hello", queue.url)


async def test_mistyped_queue_url_is_an_error_at_start(broker: SQSBroker, queue: "Queue") -> None:
    broker.subscriber(f"{queue.url}-mistyped", wait_time=0)(_handle)
    with pytest.raises(QueueMissing):
        await broker.start()


async def test_poll_longer_than_the_graceful_timeout_is_finished_and_released(
    wire: "Wire", make_broker: Callable[..., SQSBroker], queue: "Queue", eventually: Eventually
) -> None:
    broker = make_broker(endpoint_url=wire.url, graceful_timeout=0.1)
    handled: list[str] = []

    @broker.subscriber(queue.name, wait_time=2)
    async def handle(body: str) -> None:
        handled.append(body)

    await broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"] == 1)
    stopping = asyncio.ensure_future(broker.stop())
    await asyncio.sleep(0.5)
    await queue.send("hello")
    await stopping
    assert wire.answered["ReceiveMessage"] == 1
    assert not handled
    assert await queue.counts() == (1, 0)


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"wait_time": 21}, {"visibility_timeout": 0.5}, {"max_batch": 0}, {"max_wait": -1}],
)
def test_options_out_of_range_are_refused(broker: SQSBroker, options: dict[str, Any]) -> None:
    with pytest.raises(SetupError):
        broker.subscriber("any", **options)


async def test_stopped_broker_strands_no_message(broker: SQSBroker, queue: "Queue", eventually: Eventually) -> None:
    """Every message is handled and gone, or visible at once: none waits for a visibility timeout."""
    started = asyncio.Event()
    begun: list[str] = []
    handled: list[str] = []

    @broker.subscriber(queue.name, wait_time=1, concurrency=3)
    async def handle(body: str) -> None:
        begun.append(body)
        started.set()
        await asyncio.sleep(0.1)
        handled.append(body)

    await queue.send(*map(str, range(20)))
    await broker.start()
    await asyncio.wait_for(started.wait(), 5)
    await broker.stop()
    visible, in_flight = await queue.counts()
    assert in_flight == 0
    assert sorted(handled) == sorted(begun), "what had begun was finished"
    assert visible + len(handled) == 20


async def test_messages_that_arrive_while_stopping_are_released(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    handled: list[str] = []

    @broker.subscriber(queue.name, wait_time=2)
    async def handle(body: str) -> None:
        handled.append(body)

    await broker.start()
    await asyncio.sleep(0.2)  # the poll is under way
    stopping = asyncio.ensure_future(broker.stop())
    await asyncio.sleep(0.1)
    await queue.send("late")
    await stopping
    assert not handled
    assert await queue.counts() == (1, 0)


async def test_cancelled_poll_loses_no_message(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    """Cutting the connection of a long poll would strand the message that SQS hands it at that moment."""
    subscriber = wired_broker.subscriber(queue.name, wait_time=2)
    subscriber(_handle)
    await wired_broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"])
    [poller] = subscriber.tasks
    poller.cancel()
    await asyncio.wait([poller])
    await queue.send("hello")
    await wired_broker.stop()
    await eventually(lambda: wire.answered["ReceiveMessage"] == wire.calls["ReceiveMessage"])
    assert await queue.counts() == (1, 0)


async def test_handler_outlasting_drain_is_cancelled_and_message_released(
    make_broker: Callable[..., SQSBroker], queue: "Queue"
) -> None:
    broker = make_broker(graceful_timeout=0.5)
    started = asyncio.Event()
    cancelled: list[bool] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    await queue.send("hello")
    await broker.start()
    await asyncio.wait_for(started.wait(), 5)
    before = time.monotonic()
    await broker.stop()
    assert time.monotonic() - before < 3
    assert cancelled
    assert await queue.counts() == (1, 0)


async def test_stopped_broker_can_start_again(broker: SQSBroker, queue: "Queue", eventually: Eventually) -> None:
    handled: list[str] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        handled.append(body)

    for round_ in (1, 2):
        await broker.start()
        await broker.publish("hello", queue.name)
        await eventually(lambda round_=round_: len(handled) == round_)
        await broker.stop()
        assert not await broker.ping()
    with pytest.raises(IncorrectState, match="connect"):
        await broker.publish("hello", queue.name)


async def test_paused_subscriber_receives_nothing_until_resumed(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    handled: list[int] = []
    subscriber = wired_broker.subscriber(queue.name, wait_time=0)

    @subscriber
    async def handle(body: str, message: SQSMessage) -> None:
        handled.append(message.receive_count)

    await wired_broker.start()
    subscriber.pause("the database is away")
    assert subscriber.paused == "the database is away"
    await eventually(lambda: wire.answered["ReceiveMessage"] == wire.calls["ReceiveMessage"])
    polls = wire.calls["ReceiveMessage"]
    await queue.send("hello")
    await asyncio.sleep(0.2)
    assert wire.calls["ReceiveMessage"] == polls
    assert not handled
    assert await queue.counts() == (1, 0)
    assert subscriber.healthy
    subscriber.resume()
    await eventually(lambda: handled)
    assert handled == [1]


async def test_message_polled_during_a_pause_is_released(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    subscriber = wired_broker.subscriber(queue.name, wait_time=2)
    subscriber(_handle)
    await wired_broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"] == 1)
    subscriber.pause("maintenance")
    await queue.send("hello")
    await eventually(lambda: wire.answered["ChangeMessageVisibilityBatch"] == 1)
    assert await queue.counts() == (1, 0)


async def test_ping_and_health_follow_the_polls(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    subscriber = wired_broker.subscriber(queue.name, wait_time=0)
    subscriber(_handle)
    assert not await wired_broker.ping()
    await wired_broker.start()
    assert subscriber.healthy
    assert await wired_broker.ping()
    wire.intercept["ReceiveMessage"] = lambda _: web.Response(status=503)
    await eventually(lambda: not subscriber.healthy, within=6)
    assert not await wired_broker.ping()
    assert wire.calls["ReceiveMessage"] < 2000
    del wire.intercept["ReceiveMessage"]
    await eventually(lambda: subscriber.healthy, within=8)
    assert await wired_broker.ping()


async def test_failed_polls_back_off(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled: list[float] = []

    def fail(_: object) -> web.Response:
        polled.append(time.monotonic())
        return web.Response(status=503)

    monkeypatch.setattr(
        "faststream_sqs.subscriber._POLL_BACKOFF", RetryPolicy(base=0.2, cap=5.0, uniform=lambda _, high: high)
    )
    wire.intercept["ReceiveMessage"] = fail
    wired_broker.subscriber(queue.name, wait_time=0)(_handle)
    await wired_broker.start()
    await eventually(lambda: len(polled) == 3)
    assert polled[1] - polled[0] >= 0.2
    assert polled[2] - polled[1] >= 0.4


async def test_publishing_broker_pings_its_targets(broker: SQSBroker, bus: str, events: Any) -> None:
    broker.event_publisher(bus)
    await broker.start()
    assert await broker.ping()
    await events.remove_targets(Rule="all", EventBusName=bus, Ids=["queue"])
    await events.delete_rule(Name="all", EventBusName=bus)
    await events.delete_event_bus(Name=bus)
    assert not await broker.ping()


async def test_long_polls_of_ten_queues_do_not_delay_a_send(
    wired_broker: SQSBroker,
    make_queue: Callable[..., Awaitable["Queue"]],
    queue: "Queue",
    wire: "Wire",
    eventually: Eventually,
) -> None:
    """A client's pool has ten connections by default, and each long poll holds one."""
    for _ in range(10):
        wired_broker.subscriber((await make_queue()).name, wait_time=3)(_handle)
    await wired_broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"] >= 10)
    before = time.monotonic()
    await wired_broker.publish("hello", queue.name)
    assert time.monotonic() - before < 1.5
