"""OpenTelemetry: one trace per case across every hop. Off unless an OTLP endpoint is set. The trace context travels in
the envelope, because message attributes do not survive EventBridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from switchyard.protocol.envelope import Envelope

_client_spans = False
"""Whether calls to databases have spans: their cost is for processes that export them."""


def configure_telemetry(node: str, *, otlp_endpoint: str | None, code_version: str) -> None:
    """Export spans and metrics over OTLP and trace AWS calls; do nothing without an endpoint."""
    global _client_spans  # noqa: PLW0603 - what a process's one provider is made with
    if otlp_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor, BotocoreInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    resource = Resource.create({"service.name": f"switchyard-{node}", "service.version": code_version})
    base = otlp_endpoint.rstrip("/")
    # A caller that samples (X-Ray at the API does) must not decide that a whole case has no trace.
    provider = SdkTracerProvider(resource=resource, sampler=ALWAYS_ON)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces")))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics"))
    metrics.set_meter_provider(MeterProvider([reader], resource=resource))
    _client_spans = True
    AiobotocoreInstrumentor().instrument()
    BotocoreInstrumentor().instrument()  # Bedrock goes through boto3: this adds the gen_ai attributes


def shutdown_telemetry() -> None:
    """Flush what has not been exported."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        shutdown = getattr(provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


def broker_middlewares(*, otlp_endpoint: str | None, tracer_provider: TracerProvider | None = None) -> tuple[Any, ...]:
    """What makes a span of every message and every publish: a child of the one that published it, or linked to it.
    Nothing without an endpoint. The spans go to the global provider, unless another is given."""
    if otlp_endpoint is None:
        return ()
    from faststream_sqs.opentelemetry import SQSTelemetryMiddleware

    # The broker looks for the context in the `trace` of a detail, which is the envelope's.
    # An error's text may quote a payload.
    return (SQSTelemetryMiddleware(tracer_provider=tracer_provider, error_text=False),)


@contextmanager
def tag_span(node: str, envelope: Envelope) -> Iterator[None]:
    """Say on the span of this message which case it is about. A process that is not traced has no such span: it hands
    on the context that came with the event, so that the trace of the case goes on behind it."""
    span = trace.get_current_span()
    span.set_attributes(
        {
            "switchyard.node": node,
            "switchyard.event_id": envelope.event_id,
            "switchyard.event_type": envelope.type,
            "switchyard.case_id": envelope.case_id,
            "session.id": envelope.session_id,
        }
    )
    if span.get_span_context().is_valid:
        yield
        return
    with continue_trace(envelope.trace):
        yield


@contextmanager
def continue_trace(headers: Mapping[str, str]) -> Iterator[None]:
    """Go on with a trace whose context was kept, as `trace_context` returned it."""
    token = context.attach(propagate.extract(headers))
    try:
        yield
    finally:
        context.detach(token)


def mark_span_failed(code: str) -> None:
    """Mark the current span as failed, by code only."""
    trace.get_current_span().set_status(Status(StatusCode.ERROR, code))


def trace_context(cause: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The current trace context, for the envelope. Where an event has a `cause` with a trace, that is the case's: a
    timer's tick has none, and what an approver, a renewed grant or a user's feedback came with is another. Empty when
    tracing is off."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    kept = trace.get_current_span(propagate.extract(cause)).get_span_context()
    here = trace.get_current_span().get_span_context()
    return dict(cause) if kept.is_valid and kept.trace_id != here.trace_id else headers


@contextmanager
def client_span(system: str, operation: str) -> Iterator[None]:
    """A span of a call to a database of any kind, named by what is done and never by its text; nothing when tracing
    is off, and outside a span of a message or a tick."""
    if not _client_spans or not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    attributes = {"db.system.name": system, "db.operation.name": operation}
    with trace.get_tracer(__name__).start_as_current_span(
        f"{system} {operation}",
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,  # an error's text may quote a payload
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
