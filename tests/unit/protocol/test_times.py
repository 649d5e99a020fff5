"""No time of an event or a submission leads past what Python and the clients of PostgreSQL can hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.projection import AlarmKind
from switchyard.case_manager.pending_commands import decision_deadline
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import FIRST_YEAR, LAST_YEAR, MAX_MILLISECONDS, Contract, Milliseconds
from switchyard.protocol.received import ReceivedEvent, read_envelope
from switchyard.runtime.core.clock import moment
from tests.reference import examine_message, verify_case
from tests.unit.audit import cases

EXTREMES = ("0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "1899-12-31T23:59:59Z", "9000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z")  # fmt: skip
WITHIN = ("1900-01-01T00:00:00Z", "8999-12-31T23:59:59.999999Z")
TIMES = ("occurred_at", "case_deadline")
A_TIME = st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27))
ZONES = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))


@pytest.mark.parametrize("name", [*TIMES, "principal.exp"])
@pytest.mark.parametrize("time", EXTREMES)
def test_event_with_an_extreme_time_is_refused_and_kept_as_an_alarm(name: str, time: str) -> None:
    event = cases.first()
    changed = {"principal": event["principal"] | {"exp": time}} if name == "principal.exp" else {name: time}
    text = cases.body(cases.rewritten(event, **changed))

    with pytest.raises(InvalidEvent) as caught:
        read_envelope(text)
    examined = examine_message(text)

    assert (caught.value.field, "1900 to 8999" in caught.value.message) == (name, True)
    assert examined.row is None
    assert examined.alarm is not None
    assert (examined.alarm.kind, examined.alarm.field, examined.alarm.body) == (AlarmKind.MALFORMED, name, text)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_event_with_an_extreme_day_is_refused(day: str) -> None:
    with pytest.raises(InvalidEvent, match="1900 to 8999"):
        read_envelope(cases.body(cases.rewritten(cases.first(), opened_on=day)))


@pytest.mark.parametrize("time", WITHIN)
def test_event_with_far_time_is_recorded_and_verified(time: str) -> None:
    stored = cases.stored([cases.rewritten(cases.first(), **dict.fromkeys(TIMES, time))])
    assert verify_case(stored, now=cases.NOW).status


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59Z",
        "1700-01-01T00:00:00Z",
        "soon",
        5,
    ],
)
def test_extreme_bus_time_is_omitted_with_an_alarm(time: object) -> None:
    text = cases.body(cases.first(), time=time)

    examined = examine_message(text)

    assert examined.row is not None
    assert examined.row.bus_ts is None
    assert examined.alarm is not None
    assert (examined.alarm.kind, examined.alarm.field) == (AlarmKind.BUS_TIME, "time")
    assert verify_case(_stored(text), now=cases.NOW).findings == ()


@given(A_TIME, A_TIME, st.one_of(st.none(), st.tuples(st.datetimes(), ZONES)), st.integers(0, 2**53 - 1))
def test_event_of_any_times_is_a_verified_row_or_an_alarm(
    occurred_at: str, deadline: str, bus: tuple[datetime, timedelta] | None, limit: int
) -> None:
    fields = {"occurred_at": occurred_at, "case_deadline": deadline, "time_limit_ms": limit}
    event = cases.rewritten(cases.first(), **fields)
    zone = "" if bus is None else f"{'-' if bus[1] < timedelta(0) else '+'}{_clock(abs(bus[1]))}"
    text = cases.body(event, time=None if bus is None else bus[0].isoformat() + zone)

    examined = examine_message(text)

    if examined.row is None:
        assert examined.alarm is not None
        return
    read = Envelope.model_validate_json(json.dumps(event))
    received: ReceivedEvent[Contract] = ReceivedEvent(read, read, event)
    assert decision_deadline(received, cases.NOW) <= moment(read.case_deadline)
    assert examined.row.bus_ts is None or FIRST_YEAR <= examined.row.bus_ts.year <= LAST_YEAR
    assert verify_case(_stored(text), now=cases.NOW).status


def _clock(span: timedelta) -> str:
    return f"{span.seconds // 3600:02d}:{span.seconds % 3600 // 60:02d}"


def _stored(text: str) -> list[Any]:
    row = examine_message(text).row
    assert row is not None
    (stored,) = cases.stored([cases.first()])
    return [type(stored)(row, stored.recorded_at)]


@pytest.mark.parametrize("payload", [type_.payload for type_ in CATALOGUE.types], ids=lambda payload: payload.__name__)
def test_time_field_of_event_or_submission_is_a_timestamp_or_a_day(payload: type[Contract]) -> None:
    schema = payload.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    for name, shape in [item for model in models for item in model.get("properties", {}).items()]:
        if name.endswith(("_at", "_on", "until", "_date")) or name in {"exp", "at"}:
            formats = {each.get("format") for each in (shape, *shape.get("anyOf", ()))}
            assert formats & {"date-time", "date"} or shape.get("type") == "null", name


@pytest.mark.parametrize("count", [-1, MAX_MILLISECONDS + 1, 2**53 - 1])
def test_span_past_the_last_year_is_refused(count: int) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Milliseconds).validate_python(count)
    assert datetime(LAST_YEAR, 12, 31, tzinfo=UTC) + timedelta(milliseconds=MAX_MILLISECONDS)
