"""OpenTelemetry: one trace per case across every hop. Off unless an OTLP endpoint is set.

The trace context travels in the envelope, because EventBridge does not carry it to SQS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from contracts.envelope import Envelope

_tracer = trace.get_tracer("switchyard")


def configure_telemetry(node: str, *, otlp_endpoint: str | None, code_version: str) -> None:
    """Export spans over OTLP and trace AWS calls; do nothing without an endpoint."""
    if otlp_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor, BotocoreInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"switchyard-{node}", "service.version": code_version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    AiobotocoreInstrumentor().instrument()
    BotocoreInstrumentor().instrument()  # Bedrock goes through boto3: this adds the gen_ai attributes


def shutdown_telemetry() -> None:
    """Flush what has not been exported."""
    provider = trace.get_tracer_provider()
    shutdown = getattr(provider, "shutdown", None)
    if shutdown is not None:
        shutdown()


@contextmanager
def handling(node: str, envelope: Envelope) -> Iterator[None]:
    """A consumer span for one event, as a child of the span that published it."""
    parent = propagate.extract(envelope.trace)
    with _tracer.start_as_current_span(
        f"process {envelope.type}",
        context=parent,
        kind=SpanKind.CONSUMER,
        record_exception=False,  # an exception's text may quote a payload
        attributes={
            "messaging.system": "aws_sqs",
            "messaging.operation.type": "process",
            "messaging.destination.name": node,
            "messaging.message.id": envelope.event_id,
            "switchyard.case_id": envelope.case_id,
            "session.id": envelope.session_id,
        },
    ):
        yield


def failed(code: str) -> None:
    """Mark the current span as failed, by code only."""
    trace.get_current_span().set_status(Status(StatusCode.ERROR, code))


def carrier() -> dict[str, str]:
    """The current trace context, for the envelope; empty when tracing is off."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
