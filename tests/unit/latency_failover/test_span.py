from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from latency_failover import FailoverModel, FailoverPolicy, LatencyBudget
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers, silent
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time


@virtual_time
async def test_span_of_the_request_has_the_decision() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    primary, fallback = ScriptedModel("a", silent()), ScriptedModel("b", answers(first_after=0.1))
    model = FailoverModel(primary, fallback, policy=FailoverPolicy(cold_ttft_ms=500), clock=VirtualClock())
    with provider.get_tracer("test").start_as_current_span("chat"), model.budget(LatencyBudget(total_ms=10_000)):
        await model.request(PROMPT, None, NO_TOOLS)
    (span,) = exporter.get_finished_spans()
    assert span.attributes == {
        "failover.reason": "ttft",
        "failover.role": "fallback",
        "failover.result": "answered",
        "failover.budget_ms": 5_000,
        "failover.attempts": 2,
        "failover.loser_tokens": 7,
    }
