"""Verification reports a row, however hostile, and never raises: one row cannot stop the proof of the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.catalogue import CATALOGUE
from switchyard.audit.verification.case_verifier import CaseVerifier, RowTrust
from tests.unit.audit import cases
from tests.unit.audit.test_signed_events import SIGNED, SIGNERS

TIMES = st.sampled_from([datetime.min, datetime.max]).map(lambda at: at.replace(tzinfo=UTC)) | st.datetimes(
    timezones=st.just(UTC)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EVENTS = [*cases.answered(), *(event for events in SIGNED.values() for event in events)]


@st.composite
def hostile_bodies(draw: st.DrawFn) -> str:
    """A genuine body with one value replaced: at the top, in the event, its payload or its principal; or any text."""
    bus = json.loads(cases.body(draw(st.sampled_from(EVENTS))))
    place = draw(st.sampled_from([bus, bus["detail"], bus["detail"]["payload"], bus["detail"]["principal"]]))
    place[draw(st.sampled_from(sorted(place)))] = draw(JSON)
    return draw(st.sampled_from([json.dumps(bus), "[" * 5_000, '{"a":' * 5_000, "", "null"]) | st.text(max_size=20))


@given(st.lists(st.tuples(st.integers(0, 3), hostile_bodies(), TIMES, TIMES, TIMES, TIMES), min_size=1, max_size=4))
def test_verification_of_any_row_never_raises(rows: list[tuple[int, str, Any, Any, Any, Any]]) -> None:
    signed = cases.stored(SIGNED["granted"])
    check = CaseVerifier(CATALOGUE, signed[0].row.case_id, RowTrust(None, SIGNERS))
    for number, body, event_ts, deadline, bus_ts, recorded_at in rows:
        row = signed[number % len(signed)].row
        hostile = row._replace(body=body, event_ts=event_ts, case_deadline=deadline, bus_ts=bus_ts)
        check.add(type(signed[0])(hostile, recorded_at))

    assert check.verdict(now=cases.NOW).findings
