"""One trace a case: what arrives in the envelope goes on in what is published."""

from __future__ import annotations

import json

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from faststream_sqs import SQSBroker, SQSMessage, TestSQSBroker
from switchyard.protocol.envelope import Envelope
from switchyard.runtime.core.telemetry import broker_middlewares, mark_span_failed, tag_span, trace_context
from tests.unit.protocol.bus_events import golden

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def envelope(trace: dict[str, str]) -> Envelope:
    return Envelope.model_validate_json(json.dumps(golden("DraftAnswer") | {"trace": trace}))


def test_trace_of_the_cause_is_continued() -> None:
    with tag_span("drafter", envelope({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})):
        assert trace_context()["traceparent"].split("-")[1] == TRACE


def test_trace_context_outside_a_trace_is_empty() -> None:
    assert trace_context() == {}
    with tag_span("drafter", envelope({})):
        assert trace_context() == {}


def test_invalid_trace_is_ignored() -> None:
    with tag_span("drafter", envelope({"traceparent": "not a trace"})):
        assert trace_context() == {}


async def test_message_is_one_span_and_its_publishes_share_the_trace() -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    middlewares = broker_middlewares(otlp_endpoint="http://collector", tracer_provider=provider)
    broker = SQSBroker("us-east-1", middlewares=middlewares, logger=None)
    bus = broker.event_publisher("switchyard", source="switchyard.router", detail_type="DraftAnswer")
    carried: list[dict[str, str]] = []

    @broker.subscriber("switchyard-drafter", source="switchyard.router")
    async def draft(message: SQSMessage) -> None:
        assert message.envelope is not None
        with tag_span("drafter", Envelope.model_validate(message.envelope.detail, strict=False)):
            carried.append(trace_context())
            mark_span_failed("model_refused")

    @broker.subscriber("switchyard-audit", source="switchyard.router", batch=True)
    async def record(events: list[object]) -> None:
        raise RuntimeError("a secret of the case")

    event = golden("DraftAnswer") | {"trace": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}}
    async with TestSQSBroker(broker):
        with pytest.raises(RuntimeError):
            await bus.publish(json.dumps(event))
    named = {span.name: span for span in spans.get_finished_spans() if span.kind is SpanKind.CONSUMER}
    drafted, recorded = named["switchyard-drafter process"], named["switchyard-audit process"]
    assert drafted.context is not None
    assert f"{drafted.context.trace_id:032x}" == TRACE
    assert drafted.attributes is not None
    assert drafted.attributes["switchyard.case_id"] == event["case_id"]
    assert drafted.attributes["session.id"] == event["session_id"]
    assert (drafted.status.status_code, drafted.status.description) == (StatusCode.ERROR, "model_refused")
    assert carried[0]["traceparent"] == f"00-{TRACE}-{drafted.context.span_id:016x}-01"
    assert [f"{link.context.trace_id:032x}" for link in named["switchyard-audit create"].links] == [TRACE]
    assert recorded.status.description == "RuntimeError"
    assert not any("secret" in span.to_json() for span in spans.get_finished_spans())


def test_tracing_without_an_endpoint_is_off() -> None:
    assert broker_middlewares(otlp_endpoint=None) == ()
