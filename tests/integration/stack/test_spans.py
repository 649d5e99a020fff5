"""The stack's processes send their spans to the endpoint that the variable names."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Target
from switchyard.devstack.stack.local_stack import OTLP_VARIABLE, list_services, prepare_infrastructure
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER
from tests.integration.serving import free_port

pytestmark = pytest.mark.integration
PATIENCE_S = 60.0
"""The SDK exports every five seconds."""


class Receiver:
    """Takes OTLP over HTTP: the trace ids of all spans by service, and of those that name a case."""

    def __init__(self) -> None:
        self.traces: defaultdict[str, set[bytes]] = defaultdict(set)
        self.of_cases: set[bytes] = set()

    async def take(self, request: web.Request) -> web.Response:
        """POST /v1/traces."""
        assert request.content_type == "application/x-protobuf"
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            (name,) = (each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces[name].add(span.trace_id)
                    if any(each.key == "switchyard.case_id" for each in span.attributes):
                        self.of_cases.add(span.trace_id)
        return web.Response()


async def test_case_spans_form_one_trace_at_configured_endpoint(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, port = Receiver(), free_port()
    app = web.Application()
    app.router.add_post("/v1/traces", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    monkeypatch.setenv(OTLP_VARIABLE, f"http://{LOOPBACK}:{port}")
    try:
        async with EmbeddedStack(
            used_home,
            services=lambda endpoints: [
                each for each in list_services(endpoints) if each.name in {CASE_MANAGER, ROUTER}
            ],
            prepare=prepare_infrastructure,
        ) as stack:
            question = {
                "tenant": "acme", "idempotency_key": "spans", "session_id": "s", "user_id": "ana@acme.example",
                "question": "Which wells are shut in?", "role": "FIELD_ALL",
            }  # fmt: skip
            await publish_submissions(Target(stack.exports), [question])
            async with asyncio.timeout(PATIENCE_S):
                while not (receiver.of_cases & receiver.traces["switchyard-case_manager"]):  # noqa: ASYNC110 - another process sends them
                    await asyncio.sleep(0.1)
    finally:
        await runner.cleanup()
    (case,) = receiver.of_cases
    assert case in receiver.traces["switchyard-router"]
    assert case in receiver.traces["switchyard-case_manager"]
