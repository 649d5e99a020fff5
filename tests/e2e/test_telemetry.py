"""One trace per case over every hop and wait, with its tokens and its session, and no text of any payload."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from demo.emails import DEMO_EMAILS, build_email_submission
from switchyard.cli.commands.approval import submit_decision
from switchyard.devstack.stack.local_stack import LOCAL_OPERATOR
from tests.e2e.conftest import Deployment
from tests.e2e.spans import read_received

pytestmark = pytest.mark.e2e
SETTLEMENT = next(email for email in DEMO_EMAILS if email.key == "settlement")
EXPORT_S = 90.0
"""Spans are exported every 5 s, metrics every minute."""

METRIC_KEYS = {
    "gen_ai.agent.name",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.token.type",
    "switchyard.failover.reason",
    "error.type",
    # The instrumentation of Bedrock's client measures, too.
    "gen_ai.system",
    "server.address",
    "server.port",
}
"""Those of model calls; a queue or a bus has `messaging.*`."""


def received(deployment: Deployment) -> tuple[list[ResourceSpans], list[ResourceMetrics]]:
    """All that the stack's processes have exported until now."""
    return read_received(Path(deployment.stack.endpoints.home) / "spans" / "received")


def spans_of(deployment: Deployment) -> list[Span]:
    return [span for each in received(deployment)[0] for scope in each.scope_spans for span in scope.spans]


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def texts(message: Any) -> Iterator[str]:
    """Every text in an OTLP message, wherever it is: names, attributes, events, status."""
    for field, value in message.ListFields():
        single = isinstance(value, str | bytes | int | float) or hasattr(value, "ListFields")
        values = [value] if single else value
        for each in values:
            if hasattr(each, "ListFields"):
                yield from texts(each)
            elif isinstance(each, str):
                yield each
            elif isinstance(each, bytes) and field.name not in {"trace_id", "span_id", "parent_span_id"}:
                yield each.decode(errors="replace")


async def traced(deployment: Deployment, cases: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The events of ended cases, once every hop of theirs has a span."""
    events = {case: await deployment.events(case) for case in cases}

    async def complete() -> bool | None:
        seen = {attributes(span).get("switchyard.event_id") for span in spans_of(deployment)}
        hops = {each["event_id"] for found in events.values() for each in found if each["node_to"] not in {"external"}}
        return hops <= seen or None

    await deployment.until(complete, seconds=EXPORT_S, what="a span for each hop of the cases")
    return events


async def test_trace_of_a_case_has_every_hop_its_tokens_and_its_session_and_no_text(deployment: Deployment) -> None:
    asked = deployment.question("e2e wells by basin")
    [case] = await deployment.submit([asked])
    assert (await deployment.closed([case]))[case]["outcome"] == "answered"
    answer = (await deployment.answer(case))["text"]
    await deployment.settled([case])
    events = (await traced(deployment, [case]))[case]

    spans = spans_of(deployment)
    ours = [span for span in spans if attributes(span).get("switchyard.case_id") == case]
    [trace] = {span.trace_id for span in ours}
    assert {attributes(span)["session.id"] for span in ours} == {asked["session_id"]}
    nodes = {attributes(span)["switchyard.node"] for span in ours}
    assert nodes >= {"router", "case_manager", "triage", "text_to_sql", "drafter"}

    logged: defaultdict[str, int] = defaultdict(int)
    for event in events:
        if call := event.get("model_call"):
            logged[event["node_from"]] += call["input_tokens"] + call["output_tokens"] + call["loser_tokens"]
    exported: defaultdict[str, int] = defaultdict(int)
    for span in spans:
        found = attributes(span)
        if span.trace_id == trace and "gen_ai.usage.input_tokens" in found and "gen_ai.agent.name" in found:
            assert found["gen_ai.conversation.id"] == asked["session_id"]
            exported[found["gen_ai.agent.name"]] += (
                found["gen_ai.usage.input_tokens"] + found["gen_ai.usage.output_tokens"]
            )
    assert {agent: exported[agent] for agent in logged} == dict(logged) != {}

    prompt = "You choose the specialist"
    written = [text for each in (*received(deployment)[0], *received(deployment)[1]) for text in texts(each)]
    assert len(written) > len(spans)
    for private in (asked["question"], answer, prompt, asked["user_id"], "SELECT basin"):
        assert [text for text in written if private in text] == [], private


async def test_case_that_waits_for_a_person_stays_in_its_trace(deployment: Deployment) -> None:
    mark = f"{deployment.prefix}-{random.SystemRandom().randrange(10**9):09}"
    email = build_email_submission(SETTLEMENT, 0, deployment.target.clock.now())
    email |= {"idempotency_key": mark, "consumer_id": mark}
    email["facts"]["email"]["address"] = f"{mark}@gmail.com"
    [case] = await deployment.submit([email], source="upstream.collections")

    async def approval() -> str | None:
        rows = await deployment.rows(
            "select approval_id::text from case_manager.approval where case_id = $1 and state = 'asked'",
            case,
            database="SWITCHYARD_WORK_DB_OWNER_URL",
        )
        return rows[0]["approval_id"] if rows else None

    asked = await deployment.until(approval, seconds=60, what="an approval")
    await submit_decision(deployment.target, asked, "granted", approver=LOCAL_OPERATOR, reason="Reads well.")
    assert (await deployment.closed([case]))[case]["outcome"] == "sent"
    await deployment.settled([case])
    events = (await traced(deployment, [case]))[case]
    assert "ApprovalGranted" in {event["type"] for event in events}
    spans = [span for span in spans_of(deployment) if attributes(span).get("switchyard.case_id") == case]
    assert len({span.trace_id for span in spans}) == 1
    written = [text for each in received(deployment)[0] for text in texts(each)]
    assert [text for text in written if mark + "@" in text] == []


async def test_metrics_name_no_session_case_tenant_or_person(deployment: Deployment) -> None:
    asked = deployment.question("e2e wells by basin")
    [case] = await deployment.submit([asked])
    await deployment.closed([case])

    async def exported() -> list[Metric] | None:
        found = [metric for each in received(deployment)[1] for scope in each.scope_metrics for metric in scope.metrics]
        return found if {"gen_ai.client.token.usage"} <= {metric.name for metric in found} else None

    metrics = await deployment.until(exported, seconds=EXPORT_S, what="metrics of model calls")
    points = [
        point
        for metric in metrics
        for kind in ("histogram", "sum", "gauge")
        if metric.HasField(kind)
        for point in getattr(metric, kind).data_points
    ]
    keys = {each.key for point in points for each in point.attributes}
    assert {key for key in keys if not key.startswith("messaging.")} <= METRIC_KEYS
    values = {each.value.string_value for point in points for each in point.attributes}
    for private in (asked["session_id"], case, asked["tenant"], asked["user_id"]):
        assert [value for value in values if private in value] == []
    assert any(point.exemplars for point in points if hasattr(point, "exemplars")), "a latency leads to its trace"
