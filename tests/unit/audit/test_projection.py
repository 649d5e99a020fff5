"""From a message to a row or an alarm."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from switchyard.audit.records.projection import AlarmKind
from tests.reference import examine_message
from tests.unit.audit import cases


def test_model_answer_becomes_row_with_review_columns() -> None:
    drafted = cases.answered()[6]
    text = cases.body(drafted)

    found = examine_message(text)

    assert found.alarm is None
    assert found.row is not None
    row = found.row
    assert (row.node_from, row.node_to, row.transition) == ("drafter", "router", "AnswerDrafted")
    assert (row.model_id, row.latency_ms, row.rubric_score, row.prompt_version) == ("claude-test", 812, 8_750, "p7")
    assert row.transcript_hash == drafted["digest"]
    assert row.parents == tuple(drafted["parents"])
    assert row.event_ts == datetime.fromisoformat(drafted["occurred_at"])
    assert row.bus_ts == row.event_ts.replace(microsecond=0)
    assert row.source == "switchyard.drafter"
    assert (row.terminal, row.outcome) == (False, None)
    assert row.body == text


def test_closing_event_is_terminal_with_outcome() -> None:
    row = examine_message(cases.body(cases.answered()[-1])).row

    assert row is not None
    assert (row.terminal, row.outcome) == (True, "answered")


def test_body_is_stored_as_received() -> None:
    text = json.dumps(cases.bus_event(cases.first()), indent=3)

    row = examine_message(text).row

    assert row is not None
    assert row.body == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", AlarmKind.MALFORMED),
        ("not json", AlarmKind.MALFORMED),
        ("[]", AlarmKind.MALFORMED),
        ('{"source": "switchyard.router", "detail-type": "X", "detail": {}}', AlarmKind.MALFORMED),
        ('{"source": 1, "detail-type": "X", "detail": {}}', AlarmKind.MALFORMED),
        ('{"a": ' + "9" * 5_000 + "}", AlarmKind.MALFORMED),
        ("[" * 100_000, AlarmKind.MALFORMED),
        ('{"a": "\ud800"}', AlarmKind.MALFORMED),
        (cases.body(cases.first() | {"seq": 7}), AlarmKind.DIGEST_MISMATCH),
        (cases.body(cases.first(), source="switchyard.drafter"), AlarmKind.FORGED_SOURCE),
        (cases.body(cases.first(), **{"detail-type": "CaseClosed"}), AlarmKind.FORGED_TYPE),
        (cases.body(cases.rewritten(cases.first(), opened_on="2026-02-30")), AlarmKind.MALFORMED),
        (cases.body(cases.first() | {"occurred_at": "2026-02-28T24:61:00Z"}), AlarmKind.MALFORMED),
        (cases.body(cases.rewritten(cases.first(), case_deadline="0000-01-01T00:00:00Z")), AlarmKind.MALFORMED),
    ],
    ids=range(14),
)
def test_untrusted_message_is_an_alarm_and_no_row(text: str, kind: AlarmKind) -> None:
    found = examine_message(text)

    assert found.row is None
    assert found.alarm is not None
    assert found.alarm.kind is kind


def test_unknown_type_is_recorded_and_raises_an_alarm() -> None:
    unknown = cases.rewritten(cases.first(), type="CaseDreamt")

    found = examine_message(cases.body(unknown))

    assert found.alarm is not None
    assert found.alarm.kind is AlarmKind.UNKNOWN_TYPE
    assert found.row is not None
    assert (found.row.catalogued, found.row.terminal) == (False, False)


@pytest.mark.parametrize("fields", [{"node_from": "triage"}, {"node_to": "drafter"}], ids=["producer", "consumer"])
def test_unlisted_producer_or_consumer_is_recorded_with_alarm(fields: dict[str, str]) -> None:
    found = examine_message(cases.body(cases.rewritten(cases.first(), **fields)))

    assert found.alarm is not None
    assert found.alarm.kind is AlarmKind.NOT_IN_CATALOGUE
    assert found.row is not None
    assert not found.row.catalogued


def test_closing_event_of_wrong_producer_is_not_terminal() -> None:
    closed = cases.rewritten(cases.answered()[-1], node_from="triage")

    row = examine_message(cases.body(closed)).row

    assert row is not None
    assert not row.terminal


def test_alarm_names_event_and_field_without_payload() -> None:
    event = cases.first(tenant="secret-tenant") | {"seq": 7}

    alarm = examine_message(cases.body(event)).alarm

    assert alarm is not None
    assert (alarm.event_id, alarm.case_id, alarm.field) == (event["event_id"], event["case_id"], "digest")
    assert "secret-tenant" not in alarm.reason
    assert alarm.body == cases.body(event)


def test_upstream_plain_payload_is_not_stored() -> None:
    leaked = json.dumps({"source": "upstream.crm", "detail-type": "CaseSubmitted", "detail": {"question": "private"}})

    alarm = examine_message(leaked).alarm

    assert alarm is not None
    assert alarm.body is None


def test_terminal_event_with_invalid_outcome_has_no_outcome() -> None:
    closed = cases.answered()[-1]
    absurd = cases.rewritten(closed, payload={**closed["payload"], "outcome": "x" * 9_000})

    row = examine_message(cases.body(absurd)).row

    assert row is not None
    assert (row.terminal, row.outcome) == (True, None)


@pytest.mark.parametrize("time", [None, 5, "yesterday", "2026-07-01T00:00:00"])
def test_invalid_bus_time_is_left_out(time: object) -> None:
    row = examine_message(cases.body(cases.first(), time=time)).row

    assert row is not None
    assert row.bus_ts is None


def test_days_are_dates_and_moments_are_utc() -> None:
    row = examine_message(cases.body(cases.first(opened=datetime(2026, 7, 31, 23, 59, 59, tzinfo=UTC)))).row

    assert row is not None
    assert row.opened_on.isoformat() == "2026-07-31"
    assert row.case_deadline == datetime(2026, 8, 1, 0, 14, 59, tzinfo=UTC)


def test_staff_member_is_in_the_body_and_in_no_column() -> None:
    """What docs/audit/erasure.md says: retention, which takes the text, takes the name."""
    event = cases.first()
    # No hexadecimal digest has such a name in it by chance.
    named = cases.rewritten(event, principal=event["principal"] | {"act": ["staff:zoe"]})

    row = examine_message(cases.body(named)).row

    assert row is not None
    assert [name for name, value in row._asdict().items() if "zoe" in str(value)] == ["body"]
