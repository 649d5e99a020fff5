"""Trace context in queues and event buses, in the forms of W3C and X-Ray."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from opentelemetry.propagators.aws.aws_xray_propagator import TRACE_HEADER_KEY, AwsXRayPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .delivery import SQSDelivery
from .parser import extract_headers
from .response import EventPublishCommand, SQSPublishCommand
from .settlement import MAX_ATTRIBUTES

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


def extract_carrier(delivery: SQSDelivery, extract: TraceExtractor) -> Carrier:
    """The W3C fields of a message: from its attributes, else from its content, else from its X-Ray header."""
    for found in (extract_headers(delivery.raw), extract(delivery)):
        if found and isinstance(found.get(TRACEPARENT), str):
            return {name: found[name] for name in FIELDS if isinstance(found.get(name), str)}
    header = delivery.raw.get("Attributes", {}).get("AWSTraceHeader")
    return _from_xray(header) if header else {}


def move_to_xray_header(cmd: SQSPublishCommand | EventPublishCommand) -> None:
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
