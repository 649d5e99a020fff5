"""OpenTelemetry: one trace from a publish to its handler, through queues and event buses."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from faststream_sqs import SQSBatchMessage, SQSBroker, SQSDelivery, SQSMessage, TestSQSBroker
from faststream_sqs.opentelemetry import SQSTelemetryMiddleware

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"


class Spans:
    """What was traced."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def traced(make_broker: Callable[..., SQSBroker], spans: Spans) -> SQSBroker:
    """A broker that traces."""
    return make_broker(middlewares=[SQSTelemetryMiddleware(tracer_provider=spans.provider)])


async def test_trace_spans_a_publish_its_handlers_and_their_publishes(
    traced: SQSBroker,
    spans: Spans,
    queue: "Queue",
    make_queue: Callable[..., Awaitable["Queue"]],
    eventually: Eventually,
) -> None:
    second = await make_queue()
    seen: list[SQSMessage] = []

    @traced.subscriber(queue.name, wait_time=0)
    async def first(body: str) -> None:
        await traced.publish(body, second.name)

    @traced.subscriber(second.name, wait_time=0)
    async def last(body: str, message: SQSMessage) -> None:
        seen.append(message)

    await traced.start()
    await traced.publish("hello", queue.name)
    await eventually(lambda: len(spans.named(f"{second.name} process")) == 1)

    traces = {trace_of(span) for span in spans.exporter.get_finished_spans()}
    assert len(traces) == 1
    published, processed = spans.one(f"{queue.name} publish"), spans.one(f"{queue.name} process")
    assert (published.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert processed.status.status_code is StatusCode.UNSET
    assert attributes_of(published)["messaging.system"] == "aws_sqs"
    assert attributes_of(published)["messaging.destination.name"] == queue.name
    consumed = attributes_of(spans.one(f"{second.name} process"))
    assert consumed["messaging.system"] == "aws_sqs"
    assert consumed["messaging.destination.name"] == second.name
    assert consumed["messaging.message.id"] == seen[0].message_id
    assert consumed["messaging.message.payload_size_bytes"] == len("hello")
    assert seen[0].headers["traceparent"].split("-")[1] == traces.pop()


async def test_event_has_the_trace_in_its_xray_header(
    make_broker: Callable[..., SQSBroker], spans: Spans, bus: str, wire: "Wire"
) -> None:
    broker = make_broker(endpoint_url=wire.url, middlewares=[SQSTelemetryMiddleware(tracer_provider=spans.provider)])
    events = broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await broker.start()
    await events.publish({"id": 7})
    await events.publish({"id": 8}, trace_header=XRAY)
    first, second = (request["Entries"][0] for request in wire.requests["PutEvents"])
    span = spans.named(f"{bus} publish")[0]
    trace = trace_of(span)
    assert first["TraceHeader"].startswith(f"Root=1-{trace[:8]}-{trace[8:]};Parent=")
    assert json.loads(first["Detail"]) == {"id": 7}
    assert second["TraceHeader"] == XRAY
    assert attributes_of(span)["messaging.system"] == "aws.eventbridge"


async def test_trace_in_the_detail_of_an_event_is_continued(
    traced: SQSBroker, spans: Spans, queue: "Queue", bus: str, eventually: Eventually
) -> None:
    @traced.subscriber(queue.name, wait_time=0)
    async def handle(body: Any, message: SQSMessage) -> None:
        assert "traceparent" not in message.headers

    events = traced.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    await traced.start()
    await events.publish({"id": 7, "trace": {"traceparent": TRACEPARENT, "other": 1}})
    await eventually(lambda: spans.named(f"{queue.name} process"))
    span = spans.one(f"{queue.name} process")
    assert (trace_of(span), parent_of(span)) == (TRACE, SPAN)
    assert span.status.status_code is StatusCode.UNSET


async def test_trace_in_content_is_found_by_the_given_extractor(
    make_broker: Callable[..., SQSBroker], spans: Spans, queue: "Queue", eventually: Eventually
) -> None:
    def extract(delivery: SQSDelivery) -> Mapping[str, Any] | None:
        body = json.loads(delivery.body)
        return {"traceparent": body["tp"]} if "tp" in body else None

    middleware = SQSTelemetryMiddleware(tracer_provider=spans.provider, extract=extract)
    broker = make_broker(middlewares=[middleware])

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any) -> None: ...

    await queue.send(json.dumps({"tp": TRACEPARENT}))
    await broker.start()
    await eventually(lambda: spans.named(f"{queue.name} process"))
    assert trace_of(spans.one(f"{queue.name} process")) == TRACE


async def test_content_type_precedence_is_attribute_then_content_then_xray(
    traced: SQSBroker, spans: Spans, queue: "Queue", sqs: Any, eventually: Eventually
) -> None:
    def envelope(**detail: Any) -> str:
        return json.dumps({"id": "1", "source": "s", "detail-type": "t", "time": "", "detail": detail})

    @traced.subscriber(queue.name, wait_time=0, concurrency=1)
    async def handle(body: Any) -> None: ...

    in_attribute, in_detail = f"00-{'a' * 32}-{'1' * 16}-01", f"00-{'b' * 32}-{'2' * 16}-01"
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": XRAY}}
    attribute = {"traceparent": {"DataType": "String", "StringValue": in_attribute}}
    everything = envelope(trace={"traceparent": in_detail})
    for body, attributes in ((everything, attribute), (everything, {}), (envelope(trace="none"), {})):
        await sqs.send_message(
            QueueUrl=queue.url, MessageBody=body, MessageAttributes=attributes, MessageSystemAttributes=system
        )
    await sqs.send_message(QueueUrl=queue.url, MessageBody="untraced")
    await traced.start()
    await eventually(lambda: len(spans.named(f"{queue.name} process")) == 4)
    parents = {trace_of(span): parent_of(span) for span in spans.named(f"{queue.name} process")}
    assert parents["a" * 32] == "1" * 16
    assert parents["b" * 32] == "2" * 16
    assert parents[TRACE] == SPAN
    assert len(parents) == 4


async def test_tracing_adds_no_attribute_to_a_message_with_ten(
    make_broker: Callable[..., SQSBroker], spans: Spans, queue: "Queue", wire: "Wire"
) -> None:
    broker = make_broker(endpoint_url=wire.url, middlewares=[SQSTelemetryMiddleware(tracer_provider=spans.provider)])
    await broker.start()
    await broker.publish("hello", queue.name, headers={f"name-{n}": n for n in range(8)})
    await broker.publish("hello", queue.name, headers={f"name-{n}": n for n in range(7)})
    full, roomy = (request["Entries"][0] for request in wire.requests["SendMessageBatch"])
    trace = trace_of(spans.named(f"{queue.name} publish")[0])
    header = full["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"]
    assert header.startswith(f"Root=1-{trace[:8]}-{trace[8:]};Parent=")
    assert len(full["MessageAttributes"]) == 10
    assert "traceparent" in roomy["MessageAttributes"]
    assert "MessageSystemAttributes" not in roomy


# ministack drops system attributes of a batch, and the trace header of an event. SQS and EventBridge keep them.
async def test_xray_header_is_continued_by_the_consumer(make_broker: Callable[..., SQSBroker], spans: Spans) -> None:
    middleware = SQSTelemetryMiddleware(tracer_provider=spans.provider)
    broker = make_broker(endpoint_url="http://127.0.0.1:9", middlewares=[middleware])
    events = broker.event_publisher("shop", source="shop", detail_type="OrderPlaced")

    @broker.subscriber("orders", detail_type="OrderPlaced")
    async def handle(body: Any) -> None:
        await broker.publish("hello", "full", headers={f"name-{n}": n for n in range(8)})

    @broker.subscriber("full")
    async def full(body: str) -> None: ...

    async with TestSQSBroker(broker):
        await events.publish({"id": 7})
    names = ("shop publish", "orders process", "full publish", "full process")
    assert len({trace_of(spans.one(name)) for name in names}) == 1


async def test_batch_span_links_the_trace_of_each_message(
    traced: SQSBroker, spans: Spans, queue: "Queue", eventually: Eventually
) -> None:
    messages: list[SQSBatchMessage] = []

    @traced.subscriber(queue.name, wait_time=1, batch=True, max_batch=3, max_wait=5)
    async def handle(bodies: list[str], message: SQSBatchMessage) -> None:
        messages.append(message)

    await traced.start()
    for body in ("one", "two", "three"):
        await traced.publish(body, queue.name, correlation_id="the same")
    await eventually(lambda: spans.named(f"{queue.name} process"))
    sent = {trace_of(span) for span in spans.named(f"{queue.name} publish")}
    [links] = [span.links for span in spans.named(f"{queue.name} create") if span.kind is SpanKind.CONSUMER]
    assert {f"{link.context.trace_id:032x}" for link in links} == sent
    assert len(sent) == 3
    assert attributes_of(spans.one(f"{queue.name} process"))["messaging.batch.message_count"] == 3
    assert "traceparent" in messages[0].batch_headers[0]


async def test_span_of_a_failing_handler_has_an_error(
    traced: SQSBroker, spans: Spans, queue: "Queue", eventually: Eventually
) -> None:
    @traced.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        raise ConnectionError("no database")

    await queue.send("hello")
    await traced.start()
    await eventually(lambda: spans.named(f"{queue.name} process"))
    assert spans.named(f"{queue.name} process")[0].status.status_code is StatusCode.ERROR


async def test_error_text_can_be_kept_out_of_the_span(make_broker: Callable[..., SQSBroker], spans: Spans) -> None:
    middleware = SQSTelemetryMiddleware(tracer_provider=spans.provider, error_text=False)
    broker = make_broker(endpoint_url="http://127.0.0.1:9", middlewares=[middleware])

    @broker.subscriber("orders")
    async def handle(body: str) -> None:
        raise ConnectionError(f"cannot handle {body}")

    async with TestSQSBroker(broker):
        with pytest.raises(ConnectionError):
            await broker.publish("a secret", "orders")
    span = spans.one("orders process")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ConnectionError")
    assert attributes_of(span)["error.type"] == "ConnectionError"
    for each in spans.exporter.get_finished_spans():
        assert "secret" not in each.to_json()


async def test_messages_are_counted_and_measured(
    make_broker: Callable[..., SQSBroker], queue: "Queue", eventually: Eventually
) -> None:
    reader = InMemoryMetricReader()
    middleware = SQSTelemetryMiddleware(tracer_provider=TracerProvider(), meter_provider=MeterProvider([reader]))
    broker = make_broker(middlewares=[middleware])
    seen: list[list[str]] = []

    @broker.subscriber(queue.name, wait_time=1, batch=True, max_batch=3, max_wait=5)
    async def handle(bodies: list[str]) -> None:
        seen.append(bodies)

    await broker.start()
    await broker.publish_batch("one", "two", "three", queue=queue.name)
    await eventually(lambda: seen)
    await broker.stop()
    data = reader.get_metrics_data()
    assert data is not None
    values = {
        metric.name: [
            getattr(point, "value", None) or getattr(point, "count", None) for point in metric.data.data_points
        ]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert values["messaging.publish.messages"] == [3]
    assert values["messaging.process.messages"] == [3]
    assert values["messaging.publish.duration"] == [1]
    assert values["messaging.process.duration"] == [1]


@pytest.fixture
def instrumented(spans: Spans) -> Iterator[None]:
    instrumentor = AiobotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider)
    yield
    instrumentor.uninstrument()


@pytest.mark.usefixtures("instrumented")
async def test_polls_make_no_spans_and_sends_do(
    make_broker: Callable[..., SQSBroker], spans: Spans, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    broker = make_broker(endpoint_url=wire.url)
    seen: list[str] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        seen.append(body)

    await broker.start()
    await broker.publish("hello", queue.name)
    await eventually(lambda: seen and wire.answered["ReceiveMessage"] > 2)
    await broker.stop()
    names = {span.name for span in spans.exporter.get_finished_spans()}
    assert "SQS.SendMessageBatch" in names
    assert "SQS.DeleteMessageBatch" in names
    assert "SQS.ReceiveMessage" not in names


@pytest.mark.slow
async def test_broker_works_without_opentelemetry() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
sys.modules["prometheus_client"] = None
import faststream_sqs
print(faststream_sqs.SQSBroker.__name__)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert out.decode().strip() == "SQSBroker", error.decode()
