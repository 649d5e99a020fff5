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
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.telemetry import broker_middlewares, client_span, mark_span_failed, tag_span, trace_context
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


def test_event_of_a_timer_goes_on_with_the_trace_of_its_cause() -> None:
    kept = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert trace_context(kept) == kept
    nearer = f"00-{TRACE}-{'2' * 16}-01"
    with tag_span("drafter", envelope({"traceparent": nearer})):
        assert trace_context(kept) == {"traceparent": nearer}


def test_event_of_a_case_stays_in_its_trace_when_another_trace_set_it_off() -> None:
    kept = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    other = {"traceparent": f"00-{'1' * 32}-00f067aa0ba902b7-01"}
    with tag_span("case_manager", envelope(other)):
        assert trace_context(kept) == kept
        assert trace_context({}) == trace_context({"traceparent": "not a trace"}) == other


def test_database_call_has_a_span_named_by_its_statement_inside_a_trace_only(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    with client_span("postgresql", "claim"):
        assert spans.get_finished_spans() == ()
    monkeypatch.setattr(telemetry, "_client_spans", True)
    with client_span("postgresql", "claim"):
        pass
    with provider.get_tracer("test").start_as_current_span("message"):
        with client_span("postgresql", "claim"):
            pass
        with pytest.raises(ValueError, match="payload"), client_span("postgresql", "complete"):
            raise ValueError("payload")
    claim, complete, _message = spans.get_finished_spans()
    assert (claim.name, dict(claim.attributes or {})["db.operation.name"]) == ("postgresql claim", "claim")
    assert (complete.status.status_code, complete.status.description) == (StatusCode.ERROR, "ValueError")
    assert not complete.events
