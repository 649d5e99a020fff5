"""Spans and metrics of model calls: the failover is in the trace, and sessions are in no metric."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from latency_failover import FailoverDecision, ModelAttempt
from switchyard.runtime.models.model_spans import TracedDecisions

END_NS = 1_000_000_000_000
FAILED_OVER = FailoverDecision(
    reason="error",
    role="fallback",
    vendor="openai",
    model_id="gpt-5.2",
    latency_ms=900,
    input_tokens=30,
    output_tokens=7,
    budget_ms=2_000,
    policy_version="p1",
    attempts=(
        ModelAttempt(
            vendor="bedrock",
            model_id="sonnet",
            role="primary",
            started_ms=0,
            ended_ms=200,
            outcome="error",
            error_code="ThrottlingException",
        ),
        ModelAttempt(
            vendor="openai",
            model_id="gpt-5.2",
            role="fallback",
            started_ms=210,
            ended_ms=900,
            outcome="won",
            input_tokens=30,
            output_tokens=7,
        ),
    ),
)


def test_failover_is_a_span_with_one_below_it_for_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider, meters = TracerProvider(), MeterProvider([reader])
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    monkeypatch.setattr("opentelemetry.metrics.get_meter", meters.get_meter)

    decisions = TracedDecisions("drafter", "session-1", now_ns=lambda: END_NS)
    decisions.append(FAILED_OVER)

    assert decisions == [FAILED_OVER]
    primary, fallback, call = spans.get_finished_spans()
    assert [span.name for span in (call, primary, fallback)] == ["chat gpt-5.2", "primary sonnet", "fallback gpt-5.2"]
    assert {span.parent.span_id for span in (primary, fallback) if span.parent} == {call.context.span_id}
    begin = END_NS - 900 * 1_000_000
    assert (call.start_time, call.end_time) == (begin, END_NS)
    assert (fallback.start_time, fallback.end_time) == (begin + 210 * 1_000_000, END_NS)
    asked = dict(primary.attributes or {})
    assert (asked["gen_ai.provider.name"], asked["gen_ai.agent.name"]) == ("aws.bedrock", "drafter")
    assert (asked["session.id"], asked["error.type"]) == ("session-1", "ThrottlingException")
    assert (primary.status.status_code, call.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert dict(fallback.attributes or {})["gen_ai.usage.output_tokens"] == 7

    data = reader.get_metrics_data()
    assert data is not None
    measured = {
        metric.name: metric.data.data_points
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert set(measured) == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    for points in measured.values():
        for point in points:
            assert "session.id" not in (point.attributes or {})
            assert (point.attributes or {})["switchyard.failover.reason"] == "error"
