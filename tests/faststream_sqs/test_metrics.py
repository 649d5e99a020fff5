"""Prometheus: what is received, processed, in process and published."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream.exceptions import RejectMessage
from prometheus_client import CollectorRegistry

from faststream_sqs import SQSBatchMessage, SQSBroker, SQSMessage
from faststream_sqs.prometheus import SQSPrometheusMiddleware

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]


class Metrics:
    """What was counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def __call__(self, name: str, **labels: str) -> float | None:
        common = {"app_name": "faststream", "broker": "aws_sqs"}
        return self.registry.get_sample_value(f"faststream_{name}", {**common, **labels})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def counted(make_broker: Callable[..., SQSBroker], metrics: Metrics) -> SQSBroker:
    """A broker that counts."""
    return make_broker(middlewares=[SQSPrometheusMiddleware(registry=metrics.registry)])


async def test_messages_are_counted_by_queue_and_outcome(
    counted: SQSBroker, metrics: Metrics, queue: "Queue", eventually: Eventually
) -> None:
    @counted.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        match body:
            case "fail":
                raise ConnectionError
            case "refuse":
                raise RejectMessage
            case "later":
                await message.nack(delay=60)

    def processed(status: str) -> float | None:
        return metrics("received_processed_messages_total", handler=queue.name, status=status)

    await counted.start()
    for body in ("fine", "fine", "fail", "refuse", "later"):
        await counted.publish(body, queue.name)
    await eventually(lambda: processed("nacked") and processed("error"))
    await counted.stop()
    assert (processed("acked"), processed("rejected"), processed("nacked")) == (2, 1, 1)
    failed = processed("error")
    received = metrics("received_messages_total", handler=queue.name)
    assert failed is not None
    assert received == 4 + failed
    assert metrics("received_messages_in_process", handler=queue.name) == 0
    exceptions = metrics(
        "received_processed_messages_exceptions_total", handler=queue.name, exception_type="ConnectionError"
    )
    assert exceptions == failed
    assert metrics("published_messages_total", destination=queue.name, status="success") == 5


async def test_messages_in_process_are_gauged_and_batches_count_each_message(
    counted: SQSBroker, metrics: Metrics, queue: "Queue", eventually: Eventually
) -> None:
    go = asyncio.Event()

    @counted.subscriber(queue.name, wait_time=1, batch=True, max_batch=3, max_wait=5)
    async def handle(bodies: list[str], message: SQSBatchMessage) -> None:
        await go.wait()

    await counted.start()
    await counted.publish_batch("one", "two", "three", queue=queue.name)
    await eventually(lambda: metrics("received_messages_in_process", handler=queue.name) == 3)
    go.set()
    await eventually(lambda: metrics("received_messages_in_process", handler=queue.name) == 0)
    assert metrics("received_messages_total", handler=queue.name) == 3
    assert metrics("received_messages_size_bytes_sum", handler=queue.name) == len("onetwothree")
    assert metrics("received_processed_messages_total", handler=queue.name, status="acked") == 3


async def test_failed_publishes_and_events_are_counted(
    counted: SQSBroker, metrics: Metrics, queue: "Queue", bus: str
) -> None:
    events = counted.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await counted.start()
    await events.publish({"id": 7})
    attributes: Any = {str(n): n for n in range(11)}
    with pytest.raises(Exception, match="TooManyAttributes"):
        await counted.publish("hello", queue.name, headers=attributes)
    assert metrics("published_messages_total", destination=bus, status="success") == 1
    assert metrics("published_messages_total", destination=queue.name, status="error") == 1
    kind = {"destination": queue.name, "exception_type": "PublishFailed"}
    assert metrics("published_messages_exceptions_total", **kind) == 1
