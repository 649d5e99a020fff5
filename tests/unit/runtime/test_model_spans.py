"""Spans and metrics of model calls: the failover is in the trace, and sessions are in no metric."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import StatusCode

from latency_failover import FailoverDecision, FailoverModel, ModelAttempt
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.models import gen_ai_names
from switchyard.runtime.models.clients import model_budget
from switchyard.runtime.models.gen_ai_names import (
    AGENT,
    DURATION_METRIC,
    FIRST_CHUNK_METRIC,
    MODEL,
    OPERATION,
    PROVIDER,
    TOKEN_TYPE,
    TOKENS_METRIC,
)
from switchyard.runtime.models.model_spans import TracedDecisions
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers
from tests.unit.runtime.test_model_budget import task

END_NS = 1_000_000_000_000
FAILED_OVER = FailoverDecision(
    reason="error",
    role="fallback",
    vendor="openai",
    model_id="gpt-5.2",
    latency_ms=900,
    ttft_ms=400,
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
    assert set(measured) == {DURATION_METRIC, FIRST_CHUNK_METRIC, TOKENS_METRIC}
    keys = {key for points in measured.values() for point in points for key in point.attributes or {}}
    # A session, a case or a tenant among them would make a series each.
    assert keys == {OPERATION, PROVIDER, MODEL, AGENT, TOKEN_TYPE, "switchyard.failover.reason"}
    for points in measured.values():
        for point in points:
            assert (point.attributes or {})["switchyard.failover.reason"] == "error"
    [duration] = measured[DURATION_METRIC]
    assert isinstance(duration, HistogramDataPoint)
    assert 0.64 in duration.explicit_bounds
    assert {each.span_id for each in duration.exemplars} == {call.context.span_id}


async def test_run_of_an_agent_is_a_span_above_its_calls_with_an_errors_code_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    asked = task()
    model = FailoverModel(ScriptedModel("a", answers(first_after=0)), None)

    async def run(error: Exception | None = None) -> None:
        async with model_budget(model, asked, margin_ms=0):
            await model.request(PROMPT, None, NO_TOOLS)
            if error is not None:
                raise error

    await run()
    named = {span.name.split()[0]: span for span in spans.get_finished_spans()}
    agent, call = named["invoke_agent"], named["chat"]
    assert (call.parent and call.parent.span_id) == agent.context.span_id
    found = {name: value for name, value in (agent.attributes or {}).items() if not name.startswith("failover.")}
    assert found == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": asked.envelope.node_to,
        "gen_ai.conversation.id": asked.envelope.session_id,
        "session.id": asked.envelope.session_id,
    }
    spans.clear()
    with pytest.raises(PermanentTaskError):
        await run(PermanentTaskError("bad_output", "the model wrote: my secret"))
    *_, agent = spans.get_finished_spans()
    assert (agent.status.description, list(agent.events)) == ("bad_output", [])
    assert not any("secret" in span.to_json() for span in spans.get_finished_spans())


def test_names_are_those_of_the_pinned_conventions() -> None:
    known = {
        value
        for module in (gen_ai_attributes, gen_ai_metrics, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    ours = {value for value in vars(gen_ai_names).values() if isinstance(value, str) and "." in value}
    ours -= {gen_ai_names.SCHEMA, gen_ai_names.__doc__, gen_ai_names.__name__, gen_ai_names.__file__}
    assert {each for each in ours if each.startswith(("gen_ai.", "error."))} - known == set()
    assert gen_ai_attributes.GenAiOperationNameValues.CHAT.value == gen_ai_names.CHAT
    assert set(gen_ai_names.VENDORS.values()) <= {each.value for each in gen_ai_attributes.GenAiProviderNameValues}
    assert Schemas.V1_44_0.value == gen_ai_names.SCHEMA
