"""What models did, as spans and metrics of the GenAI conventions: one span per call, one below it per attempt at a
model, so that a failover is seen in the trace. Any vendor alike; no text of a prompt or an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from latency_failover import FailoverDecision, ModelAttempt

_MS = 1_000_000
VENDORS = {"bedrock": "aws.bedrock", "openai": "openai"}
"""The names of vendors in the conventions (`gen_ai.provider.name`)."""


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
        tracer = trace.get_tracer(__name__)
        call = tracer.start_span(
            f"chat {decision.model_id}",
            kind=SpanKind.CLIENT,
            start_time=begin,
            attributes=self._attributes(decision.vendor, decision.model_id)
            | {"switchyard.failover.reason": decision.reason, "switchyard.failover.result": decision.result},
        )
        inside = trace.set_span_in_context(call)
        for attempt in decision.attempts:
            self._export_attempt(tracer, inside, attempt, begin)
        if decision.result != "answered":
            call.set_status(Status(StatusCode.ERROR, decision.result))
        call.end(end)
        self._measure(decision)

    def _export_attempt(self, tracer: trace.Tracer, inside: Any, attempt: ModelAttempt, begin: int) -> None:
        span = tracer.start_span(
            f"{attempt.role} {attempt.model_id}",
            context=inside,
            kind=SpanKind.CLIENT,
            start_time=begin + attempt.started_ms * _MS,
            attributes=self._attributes(attempt.vendor, attempt.model_id)
            | {
                "gen_ai.usage.input_tokens": attempt.input_tokens,
                "gen_ai.usage.output_tokens": attempt.output_tokens,
                "switchyard.failover.outcome": attempt.outcome,
            },
        )
        if attempt.error_code:
            span.set_attribute("error.type", attempt.error_code)
            span.set_status(Status(StatusCode.ERROR, attempt.error_code))
        span.end(begin + attempt.ended_ms * _MS)

    def _attributes(self, vendor: str, model: str) -> dict[str, str]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": VENDORS.get(vendor, vendor),
            "gen_ai.request.model": model,
            "gen_ai.agent.name": self._agent,
            "session.id": self._session,
        }

    def _measure(self, decision: FailoverDecision) -> None:
        meter = metrics.get_meter(__name__)
        labels = {
            "gen_ai.agent.name": self._agent,
            "gen_ai.request.model": decision.model_id,
            "switchyard.failover.reason": decision.reason,
        }
        duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "A model call, its failover included."
        )
        duration.record(decision.latency_ms / 1_000, labels)
        tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}", "Tokens of a model call.")
        for kind, count in (("input", decision.input_tokens), ("output", decision.output_tokens)):
            tokens.record(count, labels | {"gen_ai.token.type": kind})
