"""One trace a case: what arrives in the envelope goes on in what is published."""

from __future__ import annotations

import json

from contracts.envelope import Envelope
from runtime.telemetry import carrier, handling
from tests.unit.contracts.bus_events import golden

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def envelope(trace: dict[str, str]) -> Envelope:
    return Envelope.model_validate_json(json.dumps(golden("DraftAnswer") | {"trace": trace}))


def test_the_trace_of_the_cause_goes_on() -> None:
    with handling("drafter", envelope({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})):
        assert carrier()["traceparent"].split("-")[1] == TRACE


def test_outside_of_any_trace_nothing_is_carried() -> None:
    assert carrier() == {}
    with handling("drafter", envelope({})):
        assert carrier() == {}


def test_a_trace_that_is_none_does_no_harm() -> None:
    with handling("drafter", envelope({"traceparent": "not a trace"})):
        assert carrier() == {}
