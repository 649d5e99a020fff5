"""The trace of a case begins with its submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from faststream_sqs import SQSBroker, SQSMessage, TestSQSBroker
from switchyard.case_manager.dispatch import CaseManager as Dispatch
from switchyard.protocol.events.case_manager import WaitOver
from switchyard.protocol.fields import Json
from switchyard.runtime.core.telemetry import broker_middlewares, continue_trace
from tests.integration.case_manager.conftest import DEADLINE, SOURCE, CaseManager, StartCaseManager, submission
from tests.integration.manual_clock import ManualClock
from tests.unit.protocol.bus_events import golden
from tests.unit.router.branch_cases import recalling
from tests.unit.router.cases import received

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


# What ends or answers a case later stays in the case's trace, for any cause.

KEPT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
OTHER = {"traceparent": f"00-{'1' * 32}-00f067aa0ba902b7-01"}


def trace_of(event: Json) -> str:
    """The trace id that an event carries."""
    return str(event["trace"].get("traceparent", "- none")).split("-")[1]


async def test_case_that_a_timer_ends_stays_in_the_trace_of_its_submission(
    case_manager: CaseManager, clock: ManualClock
) -> None:
    with continue_trace(KEPT):
        opened = await case_manager.submit()
    clock.advance(DEADLINE.total_seconds() + 1)
    with continue_trace(OTHER):
        closed = [each for each in await case_manager.closing.close_expired() if each["case_id"] == opened["case_id"]]
    assert [trace_of(each) for each in (opened, *closed)] == [TRACE, TRACE]


async def test_gather_that_a_timer_joins_stays_in_the_trace_of_its_case(
    case_manager: CaseManager, clock: ManualClock
) -> None:
    asked: Any = received(recalling()[1] | {"trace": KEPT})
    await case_manager.gathers.open(asked)
    clock.advance(10)
    assert [trace_of(each) for each in await case_manager.gathers.join_due()] == [TRACE]


async def test_wait_that_another_trace_ends_is_answered_in_the_trace_of_its_case(case_manager: CaseManager) -> None:
    with continue_trace(OTHER):
        answer = case_manager.pending.build_answer(golden("Wait") | {"trace": KEPT}, WaitOver(waited_for="time"))
    assert trace_of(answer) == TRACE
