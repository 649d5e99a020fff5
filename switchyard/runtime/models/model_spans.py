"""What models did, as spans and metrics of the GenAI conventions: one span per call, one below it per attempt at a
model, so that a failover is seen in the trace. Any vendor alike; no text of a prompt or an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from latency_failover import FailoverDecision, ModelAttempt
from switchyard.runtime.models import gen_ai_names as names

_MS = 1_000_000


@contextmanager
def agent_span(agent: str, session: str) -> Iterator[None]:
    """A span around one agent's run, with its model calls below it. An error is its code alone."""
    attributes = {
        names.OPERATION: names.INVOKE_AGENT,
        names.AGENT: agent,
        names.CONVERSATION: session,
        "session.id": session,
    }
    with trace.get_tracer(__name__, schema_url=names.SCHEMA).start_as_current_span(
        f"{names.INVOKE_AGENT} {agent}", attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as error:
            code = getattr(error, "code", type(error).__name__)
            span.set_attribute(names.ERROR_TYPE, code)
            span.set_status(Status(StatusCode.ERROR, code))
            raise


class TracedDecisions(list[FailoverDecision]):
    """The decisions of a task, each exported when it is made. The session is on spans only: metrics would keep a series
    for each."""

    def __init__(self, agent: str, session: str, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__()
        self._agent = agent
        self._session = session
        self._now_ns = now_ns

    def append(self, decision: FailoverDecision) -> None:
        """Keep and export a decision whose call has just ended."""
        super().append(decision)
        end = self._now_ns()
        begin = end - decision.latency_ms * _MS
        tracer = trace.get_tracer(__name__, schema_url=names.SCHEMA)
        call = tracer.start_span(
            f"chat {decision.model_id}",
            kind=SpanKind.CLIENT,
            start_time=begin,
            attributes=self._attributes(decision.vendor, decision.model_id)
            | {"switchyard.failover.reason": decision.reason, "switchyard.failover.result": decision.result},
        )
        if decision.ttft_ms is not None:
            call.set_attribute(names.FIRST_CHUNK, decision.ttft_ms / 1_000)
        inside = trace.set_span_in_context(call)
        for attempt in decision.attempts:
            self._export_attempt(tracer, inside, attempt, begin)
        if decision.result != "answered":
            call.set_status(Status(StatusCode.ERROR, decision.result))
        call.end(end)
        self._measure(decision, inside)

    def _export_attempt(self, tracer: trace.Tracer, inside: Any, attempt: ModelAttempt, begin: int) -> None:
        span = tracer.start_span(
            f"{attempt.role} {attempt.model_id}",
            context=inside,
            kind=SpanKind.CLIENT,
            start_time=begin + attempt.started_ms * _MS,
            attributes=self._attributes(attempt.vendor, attempt.model_id)
            | {
                names.INPUT_TOKENS: attempt.input_tokens,
                names.OUTPUT_TOKENS: attempt.output_tokens,
                "switchyard.failover.outcome": attempt.outcome,
            },
        )
        if attempt.error_code:
            span.set_attribute(names.ERROR_TYPE, attempt.error_code)
            span.set_status(Status(StatusCode.ERROR, attempt.error_code))
        span.end(begin + attempt.ended_ms * _MS)

    def _attributes(self, vendor: str, model: str) -> dict[str, str]:
        return {
            names.OPERATION: names.CHAT,
            names.PROVIDER: names.VENDORS.get(vendor, vendor),
            names.MODEL: model,
            names.AGENT: self._agent,
            names.CONVERSATION: self._session,
            "session.id": self._session,
        }

    def _measure(self, decision: FailoverDecision, inside: Any) -> None:
        # With the span as their context, the measurements have it as their exemplar.
        meter = metrics.get_meter(__name__, schema_url=names.SCHEMA)
        labels = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: names.VENDORS.get(decision.vendor, decision.vendor),
            names.MODEL: decision.model_id,
            names.AGENT: self._agent,
            "switchyard.failover.reason": decision.reason,
        }
        if decision.result != "answered":
            labels[names.ERROR_TYPE] = decision.result
        duration = meter.create_histogram(
            names.DURATION_METRIC,
            "s",
            "A model call, its failover included.",
            explicit_bucket_boundaries_advisory=names.SECONDS,
        )
        duration.record(decision.latency_ms / 1_000, labels, inside)
        if decision.ttft_ms is not None:
            first = meter.create_histogram(
                names.FIRST_CHUNK_METRIC,
                "s",
                "From the call to the first chunk of the answer.",
                explicit_bucket_boundaries_advisory=names.FIRST_CHUNK_SECONDS,
            )
            first.record(decision.ttft_ms / 1_000, labels, inside)
        tokens = meter.create_histogram(
            names.TOKENS_METRIC,
            "{token}",
            "Tokens of a model call.",
            explicit_bucket_boundaries_advisory=names.TOKEN_COUNTS,
        )
        for kind, count in (("input", decision.input_tokens), ("output", decision.output_tokens)):
            tokens.record(count, labels | {names.TOKEN_TYPE: kind}, inside)
