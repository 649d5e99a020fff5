"""Traces and metrics with OpenTelemetry. Needs the extra `otel`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, TypeAlias

from faststream._internal.context.repository import ContextRepo
from faststream.message import StreamMessage
from faststream.opentelemetry import TelemetryMiddleware, TelemetrySettingsProvider
from faststream.opentelemetry.consts import ERROR_TYPE, MESSAGING_DESTINATION_PUBLISH_NAME
from faststream.opentelemetry.middleware import BaseTelemetryMiddleware
from faststream.response import PublishCommand
from opentelemetry.metrics import Meter, MeterProvider
from opentelemetry.propagators.aws.aws_xray_propagator import TRACE_HEADER_KEY, AwsXRayPropagator
from opentelemetry.semconv.trace import SpanAttributes
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .delivery import SQSDelivery
from .encoding import read_headers
from .limits import MAX_ATTRIBUTES
from .response import EventPublishCommand, SQSPublishCommand

__all__ = ("SQSTelemetryMiddleware", "TraceExtractor", "trace_in_detail")

SQS = "aws_sqs"
"""`messaging.system` of queues (semantic conventions for messaging)."""

EVENTBRIDGE = "aws.eventbridge"
"""`messaging.system` of event buses: the conventions define none; this follows the name of SNS."""


Carrier: TypeAlias = dict[str, str]
TraceExtractor: TypeAlias = Callable[[SQSDelivery], Mapping[str, Any] | None]
"""Finds the W3C fields in the content of a message; None if it has no trace."""

TRACEPARENT = "traceparent"
FIELDS = (TRACEPARENT, "tracestate", "baggage")
"""The fields of W3C Trace Context and of W3C Baggage."""

_W3C = TraceContextTextMapPropagator()
_XRAY = AwsXRayPropagator()


def trace_in_detail(delivery: SQSDelivery) -> Mapping[str, Any] | None:
    """The object `trace` in the detail of an EventBridge event, which carries no message attributes."""
    detail = None if delivery.envelope is None else delivery.envelope.detail
    trace = detail.get("trace") if isinstance(detail, dict) else None
    return trace if isinstance(trace, dict) else None


class SQSTelemetryMiddleware(TelemetryMiddleware[PublishCommand]):
    """A span for each publish and for each handler call, in one trace across queues and event buses.

    A message carries `traceparent` as an attribute. Events, and messages whose ten attributes are used, carry the X-Ray
    header instead. Consumers read the attributes, then the result of `extract`, then the X-Ray header. The span of a
    batch has links to the traces of its messages.

    Args:
        tracer_provider: where spans go; the global provider if None.
        meter_provider: where metrics go; the global provider if None.
        meter: what records the metrics, instead of one of the provider.
        include_messages_counters: count messages, in addition to durations.
        extract: finds the trace context in the content of a message, for producers that put it there; by default in
            the object `trace` of an event's detail.
        error_text: record an error with its text and its traceback, as every FastStream broker does. False records
            its type alone, for messages that are confidential: the text of an error may quote them.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        meter: Meter | None = None,
        include_messages_counters: bool = True,
        extract: TraceExtractor = trace_in_detail,
        error_text: bool = True,
    ) -> None:
        super().__init__(
            settings_provider_factory=_settings_for,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            meter=meter,
            include_messages_counters=include_messages_counters,
        )
        self._extract = extract
        if not error_text:
            self._tracer = _DiscreetTracer(self._tracer)

    def __call__(self, msg: Any | None, /, *, context: ContextRepo) -> BaseTelemetryMiddleware[PublishCommand]:
        """The middleware of one message or one publish."""
        return _SQSTelemetry(
            msg,
            tracer=self._tracer,
            metrics_container=self._metrics,
            settings_provider_factory=self._settings_provider_factory,
            context=context,
            extract=self._extract,
        )


class _SQSTelemetry(BaseTelemetryMiddleware[PublishCommand]):
    """FastStream's middleware, which reads the trace context from the headers of the message only."""

    def __init__(self, msg: Any | None, /, *, extract: TraceExtractor, **parts: Any) -> None:
        super().__init__(msg, **parts)
        self._extract = extract

    async def publish_scope(self, call_next: Any, cmd: PublishCommand) -> Any:
        async def send(cmd: PublishCommand) -> Any:
            if isinstance(cmd, SQSPublishCommand | EventPublishCommand):
                _move_to_xray_header(cmd)
            return await call_next(cmd)

        return await super().publish_scope(send, cmd)

    async def consume_scope(self, call_next: Any, msg: StreamMessage[Any]) -> Any:
        # FastStream gets a copy, so that the handler's message keeps its headers.
        async def handle(_: StreamMessage[Any]) -> Any:
            return await call_next(msg)

        return await super().consume_scope(handle, _with_trace(msg, self._extract))


class _DiscreetTracer(Tracer):
    """A tracer whose spans record the type of an error only."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(self, *args: Any, **options: Any) -> Span:
        return self._tracer.start_span(*args, **options)

    @contextmanager
    def start_as_current_span(self, *args: Any, **options: Any) -> Iterator[Span]:  # type: ignore[override] # no decorator
        options |= {"record_exception": False, "set_status_on_exception": False}
        with self._tracer.start_as_current_span(*args, **options) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute(ERROR_TYPE, type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise


class _SingleSettings(TelemetrySettingsProvider[SQSDelivery, PublishCommand]):
    """Attributes of single messages, and of published ones."""

    messaging_system = SQS

    def get_consume_attrs_from_message(self, msg: StreamMessage[SQSDelivery]) -> dict[str, Any]:
        return _consumed(msg, (msg.raw_message,))

    def get_consume_destination_name(self, msg: StreamMessage[SQSDelivery]) -> str:
        return msg.raw_message.queue

    def get_publish_attrs_from_cmd(self, cmd: PublishCommand) -> dict[str, Any]:
        return {
            SpanAttributes.MESSAGING_SYSTEM: EVENTBRIDGE if isinstance(cmd, EventPublishCommand) else SQS,
            SpanAttributes.MESSAGING_DESTINATION_NAME: cmd.destination,
            # OpenTelemetry warns about attributes without a value.
            **({SpanAttributes.MESSAGING_MESSAGE_CONVERSATION_ID: cmd.correlation_id} if cmd.correlation_id else {}),
        }

    def get_publish_destination_name(self, cmd: PublishCommand) -> str:
        return cmd.destination


class _BatchSettings(TelemetrySettingsProvider[tuple[SQSDelivery, ...], PublishCommand]):
    """Attributes of batches."""

    messaging_system = SQS

    def get_consume_attrs_from_message(self, msg: StreamMessage[tuple[SQSDelivery, ...]]) -> dict[str, Any]:
        count = {SpanAttributes.MESSAGING_BATCH_MESSAGE_COUNT: len(msg.raw_message)}
        return _consumed(msg, msg.raw_message) | count

    def get_consume_destination_name(self, msg: StreamMessage[tuple[SQSDelivery, ...]]) -> str:
        return msg.raw_message[0].queue

    def get_publish_attrs_from_cmd(self, cmd: PublishCommand) -> dict[str, Any]:
        return _SingleSettings().get_publish_attrs_from_cmd(cmd)

    def get_publish_destination_name(self, cmd: PublishCommand) -> str:
        return cmd.destination


def _settings_for(msg: Any) -> Any:
    return _BatchSettings() if isinstance(msg, tuple) else _SingleSettings()


def _consumed(msg: StreamMessage[Any], deliveries: Sequence[SQSDelivery]) -> dict[str, Any]:
    queue = deliveries[0].queue
    return {
        SpanAttributes.MESSAGING_SYSTEM: SQS,
        SpanAttributes.MESSAGING_DESTINATION_NAME: queue,
        MESSAGING_DESTINATION_PUBLISH_NAME: queue,
        SpanAttributes.MESSAGING_MESSAGE_ID: msg.message_id,
        SpanAttributes.MESSAGING_MESSAGE_CONVERSATION_ID: msg.correlation_id,
        SpanAttributes.MESSAGING_MESSAGE_PAYLOAD_SIZE_BYTES: sum(each.size for each in deliveries),
    }


def _with_trace(msg: StreamMessage[Any], extract: TraceExtractor) -> StreamMessage[Any]:
    """A copy of the message with the trace context in its headers, where FastStream looks for it."""
    seen = copy(msg)
    raw = msg.raw_message
    if isinstance(raw, SQSDelivery):
        seen.headers = {**msg.headers, **_extract_carrier(raw, extract)}
        return seen
    # FastStream makes one link for each correlation id: each message gets one of its own.
    seen.batch_headers = [{"correlation_id": each.message_id, **_extract_carrier(each, extract)} for each in raw]
    return seen


def _extract_carrier(delivery: SQSDelivery, extract: TraceExtractor) -> Carrier:
    """The W3C fields of a message: from its attributes, else from its content, else from its X-Ray header."""
    for found in (read_headers(delivery.raw), _extracted(delivery, extract)):
        if found and isinstance(found.get(TRACEPARENT), str):
            return {name: found[name] for name in FIELDS if isinstance(found.get(name), str)}
    header = delivery.raw.get("Attributes", {}).get("AWSTraceHeader")
    return _from_xray(header) if header else {}


def _extracted(delivery: SQSDelivery, extract: TraceExtractor) -> Mapping[str, Any] | None:
    try:
        return extract(delivery)
    except Exception:  # noqa: BLE001 - foreign code over foreign content: a message is not lost for want of a trace
        return None


def _move_to_xray_header(cmd: SQSPublishCommand | EventPublishCommand) -> None:
    """Move a trace context that message attributes cannot carry to the X-Ray header, which SQS and EventBridge keep.

    An event has no attributes at all. A message has at most ten, and tracing must not make an eleventh of them.
    """
    if isinstance(cmd, SQSPublishCommand):
        named = sum(value is not None for value in cmd.headers.values())
        # The content type is known only after encoding: it is counted in any case.
        ours = 1 + bool(cmd.correlation_id) + bool(cmd.reply_to)
        if named + ours <= MAX_ATTRIBUTES:
            return
    fields = {name: cmd.headers.pop(name) for name in FIELDS if name in cmd.headers}
    if cmd.trace_header is None:
        cmd.trace_header = _to_xray(fields)


def _from_xray(header: str) -> Carrier:
    carrier: Carrier = {}
    _W3C.inject(carrier, _XRAY.extract({TRACE_HEADER_KEY: header}))
    return carrier


def _to_xray(fields: Mapping[str, str]) -> str | None:
    carrier: Carrier = {}
    _XRAY.inject(carrier, _W3C.extract(fields))
    return carrier.get(TRACE_HEADER_KEY)
