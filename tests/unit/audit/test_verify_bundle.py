"""The standalone verifier, held to the contracts that it does not import."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from contracts.catalogue import CATALOGUE
from switchyard.audit.export.standalone import verify_bundle
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.digest import UNDIGESTED_FIELDS
from switchyard.protocol.fields import Json
from tests.unit.audit import cases
from tests.unit.protocol.json_values import objects


@given(objects)
def test_canonical_form_equals_the_engines(value: dict[str, Any]) -> None:
    assert verify_bundle.canonical_json(value).encode() == canonical_json(value)


def test_undigested_fields_equal_the_engines() -> None:
    assert verify_bundle.UNDIGESTED_FIELDS == UNDIGESTED_FIELDS


def test_verifier_endings_equal_the_terminal_types_of_the_catalogue() -> None:
    assert {kind.name for kind in CATALOGUE.types if kind.terminal} == verify_bundle.ENDINGS


def why(events: list[Json]) -> list[str]:
    return list(verify_bundle.check_case_events(events[0]["case_id"], events))


def retried() -> list[Json]:
    """A case that ended, was tried again from its seventh event, and ended once more."""
    events = cases.answered()
    again = cases.renamed(
        events[8], events[6], type="TaskRetried", seq=events[6]["seq"] + 1, parents=[events[6]["digest"]]
    )
    closed = cases.renamed(events[8], again, seq=again["seq"] + 1, parents=[again["digest"]])
    return [*events, again, closed]


def test_case_has_one_ending_per_attempt() -> None:
    assert why(cases.answered()) == why(retried()) == []
    assert len(why(retried()[:-1])) == 1
    assert len(why([*retried()[:-2], retried()[-1]])) == 2, "an ending without its retry, and without its cause"


def test_notice_to_the_user_and_the_answer_of_one_command_are_accepted() -> None:
    [unended] = why(cases.consented())
    assert "ending" in unended
    answer = cases.consented()[-1]
    assert len(why([*cases.consented(), cases.renamed(answer, cases.consented()[-3], type="ConsentExpired")])) == 2


@pytest.mark.parametrize("dropped", range(9))
def test_case_with_any_event_left_out_is_a_finding(dropped: int) -> None:
    events = cases.answered()
    case_id = events[0]["case_id"]
    del events[dropped]

    assert list(verify_bundle.check_case_events(case_id, events))
