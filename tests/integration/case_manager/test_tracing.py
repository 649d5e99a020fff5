"""The trace of a case begins with its submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from faststream_sqs import SQSBroker, SQSMessage, TestSQSBroker
from switchyard.case_manager.dispatch import CaseManager as Dispatch
from switchyard.protocol.fields import Json
from switchyard.runtime.core.telemetry import broker_middlewares
from tests.integration.case_manager.conftest import SOURCE, StartCaseManager, submission

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Recorded:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Json] = []

    async def publish(self, events: Sequence[Json]) -> None:
        self.events += events


async def test_repeated_submission_publishes_the_same_event_under_its_own_trace(
    start_case_manager: StartCaseManager,
) -> None:
    case_manager, recorded = await start_case_manager(), Recorded()
    arrivals = replace(case_manager.arrivals, publisher=recorded)
    middlewares = broker_middlewares(otlp_endpoint="http://collector", tracer_provider=TracerProvider())
    broker = SQSBroker("us-east-1", middlewares=middlewares, logger=None)
    upstream = broker.event_publisher("switchyard", source=SOURCE, detail_type="CaseSubmitted")

    @broker.subscriber("switchyard-case-manager", source=SOURCE)
    async def keep(message: SQSMessage) -> None:
        nobody: Any = None  # what has no part in a submission that is in order
        await Dispatch(
            arrivals=arrivals,
            closing=case_manager.closing,
            pending=nobody,
            approvals=nobody,
            consents=nobody,
            gathers=nobody,
            suppression=nobody,
            feedback=nobody,
            forgetting=nobody,
            publisher=recorded,
            quarantine=nobody,
            breaker=nobody,
            redrive=nobody,
            rollout=nobody,
        ).handle(message)

    detail = submission()
    async with TestSQSBroker(broker):
        await upstream.publish(detail)
        await arrivals.tick()
        await upstream.publish(detail, trace_header=f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent=00f067aa0ba902b7;Sampled=1")
        await arrivals.tick()
    first, second = recorded.events
    traces = [event["trace"]["traceparent"].split("-")[1] for event in recorded.events]
    assert traces[0] != TRACE
    assert traces[1] == TRACE
    assert first | {"trace": {}} == second | {"trace": {}}
